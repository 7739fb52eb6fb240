"""Levels of sounds: the contract, the sums by hand, and that nearer and farther are the same."""

import numpy as np
import pytest
from contract import check_layer

from sora_tf.layers.loudness import LoudnessPool, SoundLevel

MASK = np.array([[True, True, False], [True, False, False]])


@pytest.fixture(scope="module")
def windows():
    return np.random.default_rng(0).normal(-2, 1, (2, 3, 4, 5)).astype("f4")


def test_the_contract_of_the_level(windows):
    check_layer(SoundLevel(level=1.5, offset=0.01, quiet=1e-3), [windows, MASK], tolerance=1e-5)


def test_the_contract_of_the_pool(windows):
    vectors = np.random.default_rng(1).normal(size=(2, 3, 6)).astype("f4")
    check_layer(LoudnessPool(), [vectors, windows, MASK], tolerance=1e-5)


def test_the_level_by_hand():
    # Magnitudes 1 and 3 in two real windows: mean 2, brought to 4, that is doubled, and 1 added.
    x = np.log(np.array([1.0, 3.0, 50.0])).reshape(1, 3, 1, 1).astype("f4")
    mask = np.array([[True, True, False]])
    made = SoundLevel(level=4.0, offset=1.0)([x, mask]).numpy().ravel()
    np.testing.assert_allclose(made, np.log([3.0, 7.0, 101.0]), atol=1e-5)


def test_nearer_and_farther_are_the_same_and_silence_stays_silent(windows):
    layer = SoundLevel()
    near = layer([windows, MASK]).numpy()
    np.testing.assert_allclose(layer([windows - 5, MASK]).numpy(), near, atol=1e-4)
    silent = np.full_like(windows, np.log(1e-6))
    made = layer([silent, MASK]).numpy()
    np.testing.assert_allclose(made, np.log(2.0 * 1e-6 / 1e-4 + 1e-3), atol=1e-4)
    assert np.isfinite(layer([windows, np.zeros((2, 3), bool)]).numpy()).all()


def test_the_pool_by_hand():
    # Windows as loud as 1 and 3: (1·2 + 3·10) / 4 = 8; the third is not real.
    vectors = np.array([[[2.0], [10.0], [99.0]]], np.float32)
    x = np.log(np.array([1.0, 3.0, 50.0])).reshape(1, 3, 1, 1).astype("f4")
    mask = np.array([[True, True, False]])
    assert LoudnessPool()([vectors, x, mask]).numpy() == pytest.approx(np.array([[8.0]]), abs=1e-5)


def test_the_pool_of_silence_is_the_mean_and_of_nothing_is_zero():
    vectors = np.array([[[2.0], [4.0]]], np.float32)
    silent = np.full((1, 2, 3, 3), np.log(1e-6), np.float32)
    both = np.ones((1, 2), bool)
    np.testing.assert_allclose(LoudnessPool()([vectors, silent, both]).numpy(), [[3.0]], atol=1e-5)
    assert (LoudnessPool()([vectors, silent, ~both]).numpy() == 0).all()


@pytest.mark.parametrize("name", ["level", "offset", "quiet"])
def test_numbers_are_checked(name):
    with pytest.raises(ValueError, match=f"SoundLevel: {name} must be above 0"):
        SoundLevel(**{name: 0.0})
