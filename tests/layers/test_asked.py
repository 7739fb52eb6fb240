"""The layers of the head that answers questions, by hand and by the contract."""

import numpy as np
import pytest
from contract import check_layer

from sora_tf.layers.asked import QueryPool, Trend
from sora_tf.layers.first_values import FirstValues

rng = np.random.default_rng(0)
X = rng.normal(size=(2, 4, 3)).astype(np.float32)
TIMES = np.array([[0, 0.2, 0.6, 1.0], [0, 0.5, 1.0, 1.0]], np.float32)
MASK = np.array([[True, True, True, True], [True, True, True, False]])


def test_the_mean_of_the_trend_is_the_least_squares_slope():
    y = Trend()([X, TIMES, MASK]).numpy()
    for clip in range(2):
        real = MASK[clip]
        apart = X[clip, real] - X[clip, real].mean(axis=0)
        np.testing.assert_allclose(y[clip, real, :3], apart, atol=1e-6)
        slopes = [np.polyfit(TIMES[clip, real], X[clip, real, d], 1)[0] for d in range(3)]
        np.testing.assert_allclose(y[clip, real, 3:].mean(axis=0), slopes, atol=1e-4)
    assert not y[1, 3].any()


def test_a_single_frame_goes_nowhere():
    y = Trend()([X, TIMES, np.array([[True, False, False, False]] * 2)]).numpy()
    assert not y.any()


def test_padding_changes_no_trend():
    other = X.copy()
    other[1, 3] = 100.0
    np.testing.assert_array_equal(Trend()([X, TIMES, MASK]), Trend()([other, TIMES, MASK]))


def test_a_query_chooses_what_is_like_it():
    layer = QueryPool(1)
    x = np.array([[[[2.0, 1.0], [4.0, -1.0]]]], np.float32)  # one frame, two vectors
    layer([x, np.zeros((1, 1), np.float32)])
    # tanh(second value + query); likeness ×10: with query 0, tanh(1) = 0.7616 and -0.7616.
    weights = {"of_vector": [np.array([[0.0], [1.0]]), np.zeros(1)], "of_query": [np.eye(1)],
               "likeness": [np.array([[10.0]])]}  # fmt: skip
    for name, values in weights.items():
        getattr(layer, name).set_weights(values)
    first = 1 / (1 + np.exp(-10 * 2 * np.tanh(1.0)))
    y = layer([x, np.zeros((1, 1), np.float32)]).numpy()
    np.testing.assert_allclose(y[0, 0], [2 * first + 4 * (1 - first), 2 * first - 1], rtol=1e-5)
    # A query of 50 makes both tanh 1: an even mean.
    even = layer([x, np.full((1, 1), 50.0, np.float32)]).numpy()
    np.testing.assert_allclose(even[0, 0], [3.0, 0.0], atol=1e-6)


def test_first_values():
    np.testing.assert_array_equal(FirstValues(2)(X), X[..., :2])


def test_contract():
    places = rng.normal(size=(2, 4, 3, 5)).astype(np.float32)
    query = rng.normal(size=(2, 6)).astype(np.float32)
    check_layer(Trend(), [X, TIMES, MASK], tolerance=1e-5)
    check_layer(FirstValues(2), X)
    check_layer(QueryPool(4), [places, query])


@pytest.mark.parametrize(("layer", "name"), [(QueryPool, "units"), (FirstValues, "count")])
def test_sizes_are_checked(layer, name):
    with pytest.raises(ValueError, match=name):
        layer(0)
