"""Statistics of a cepstrum: the contract, and the sum by hand."""

import numpy as np
import pytest
from contract import check_layer

from sora_tf.layers.statistics import CepstrumStatistics


def test_the_contract():
    x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype("f4")
    check_layer(CepstrumStatistics(coefficients=4, epsilon=1e-5), x)


def test_by_hand():
    # Of two bands a, b: c0 = (a + b)/√2 and c1 = √(2/2)·cos(π/4)·(a - b) = (a - b)/√2.
    # Bands (1, 0), (3, 0), (2, 0): c0 = c1 = 1/√2, 3/√2, 2/√2: mean √2, variance
    # (1/2 + 1/2 + 0)/3 = 1/3, changes 2/√2 and 1/√2: 1.5/√2.
    x = np.array([[[1.0, 0.0], [3.0, 0.0], [2.0, 0.0]]], np.float32)
    made = CepstrumStatistics(coefficients=2, epsilon=0.0)(x).numpy()[0]
    wanted = [np.sqrt(2), 1 / np.sqrt(3), 1 / np.sqrt(3), 1.5 / np.sqrt(2), 1.5 / np.sqrt(2)]
    np.testing.assert_allclose(made, wanted, atol=1e-6)
    louder = CepstrumStatistics(coefficients=2, epsilon=0.0)(x + 7).numpy()[0]
    np.testing.assert_allclose(louder, made, atol=1e-5)


def test_no_more_coefficients_than_bands():
    with pytest.raises(ValueError, match="coefficients must be from 2 to 3, got 4"):
        CepstrumStatistics(coefficients=4)(np.zeros((1, 5, 3), np.float32))
    with pytest.raises(ValueError, match="coefficients must be at least 2, got 1"):
        CepstrumStatistics(coefficients=1)
