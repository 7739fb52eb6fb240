import numpy as np
import pytest
import tensorflow as tf
from contract import check_layer

from sora_tf.layers import MaskedMeanPool, RecentMeanPool, SpaceTimeAttentionPool
from sora_tf.layers.frames import start_of

RNG = np.random.default_rng(0)


def test_mean_of_the_real_frames():
    x = np.array([[[1.0, 2.0], [3.0, 4.0], [100.0, 100.0]]], "float32")
    # (1 + 3)/2 and (2 + 4)/2; the third frame is padding.
    y = MaskedMeanPool()([x, np.array([[True, True, False]])])
    assert y.numpy().tolist() == [[2.0, 3.0]]


def test_mean_of_nothing_is_zero():
    y = MaskedMeanPool()([np.ones((1, 2, 3), "float32"), np.zeros((1, 2), bool)])
    assert y.numpy().tolist() == [[0.0, 0.0, 0.0]]


def test_floor_must_be_above_zero():
    with pytest.raises(ValueError, match="MaskedMeanPool: floor must be above 0 frames, got 0"):
        MaskedMeanPool(floor=0)


def test_equal_scores_are_a_mean():
    layer = SpaceTimeAttentionPool(heads=2, units=3)
    x = RNG.normal(size=(2, 3, 4, 6)).astype("float32")
    mask = np.array([[True] * 3, [True, True, False]])
    layer([x, mask])
    layer.score.set_weights([np.zeros((3, 2), "float32")])
    y = layer([x, mask]).numpy()
    np.testing.assert_allclose(y[0], x[0].mean(axis=(0, 1)), atol=1e-6)
    np.testing.assert_allclose(y[1], x[1, :2].mean(axis=(0, 1)), atol=1e-6)


def test_attention_by_hand():
    layer = SpaceTimeAttentionPool(heads=1, units=1)
    x = np.array([[[0.0], [10.0]]], "float32")  # two frames of one channel
    mask = np.ones((1, 2), bool)
    layer([x, mask])
    # Scores 3·tanh(0) = 0 and 3·tanh(10) = 3, so the weights are 1 and e³ over 1 + e³.
    layer.set_weights([np.ones((1, 1)), np.zeros(1), np.full((1, 1), 3.0)])
    share = np.exp(3) / (1 + np.exp(3))
    y, weights = layer([x, mask], return_weights=True)
    np.testing.assert_allclose(y, [[10 * share]], rtol=1e-5)
    np.testing.assert_allclose(weights.numpy().ravel(), [1 - share, share], rtol=1e-5)


def test_weights_sum_to_one_over_real_regions():
    layer = SpaceTimeAttentionPool(heads=2, units=3)
    x = RNG.normal(size=(1, 3, 4, 6)).astype("float32")
    _, weights = layer([x, np.array([[True, False, True]])], return_weights=True)
    assert weights.shape == (1, 3, 4, 2)
    np.testing.assert_allclose(weights.numpy().sum(axis=(1, 2)), 1, atol=1e-6)
    assert not weights.numpy()[:, 1].any()


def test_padding_changes_nothing_and_nothing_is_zero():
    layer = SpaceTimeAttentionPool(heads=2, units=3)
    x = RNG.normal(size=(1, 3, 4, 6)).astype("float32")
    bare = layer([x[:, :2], np.ones((1, 2), bool)])
    np.testing.assert_allclose(layer([x, np.array([[True, True, False]])]), bare, atol=1e-6)
    assert not layer([x, np.zeros((1, 3), bool)]).numpy().any()


@pytest.mark.parametrize("chunk", [1, 2, 4, 7])
@pytest.mark.parametrize(
    "layer", [MaskedMeanPool(), SpaceTimeAttentionPool(2, 8)], ids=["mean", "attention"]
)
def test_chunks_equal_the_clip(layer, chunk):
    # Large and small scores in turn, so that the running maximum has to move.
    x = (RNG.normal(size=(2, 9, 6)) * np.arange(9)[:, None]).astype("float32")
    mask = np.ones((2, 9), bool)
    mask[1, 3] = False
    whole = layer([x, mask])
    state = start_of(layer, [tf.constant(x), mask])
    for first in range(0, 9, chunk):
        last = first + chunk
        chunk_of = [tf.constant(x[:, first:last]), tf.constant(mask[:, first:last])]
        y, state = layer.step(chunk_of, state)
    np.testing.assert_allclose(y, whole, atol=1e-5)


@pytest.mark.parametrize(
    "layer", [MaskedMeanPool(2.0), RecentMeanPool(3), SpaceTimeAttentionPool(3, 5)]
)
def test_contract(layer):
    x = RNG.normal(size=(2, 4, 6)).astype("float32")
    check_layer(layer, [x, np.array([[True] * 4, [True, False, True, False]])])


def test_heads_must_divide():
    with pytest.raises(ValueError, match="heads must divide the channels, got 4 heads for 6"):
        SpaceTimeAttentionPool(4)([np.ones((1, 2, 6), "float32"), np.ones((1, 2), bool)])
