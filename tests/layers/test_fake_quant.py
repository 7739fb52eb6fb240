import numpy as np
import pytest
import tensorflow as tf
from contract import check_layer

from sora_tf._keras import keras
from sora_tf.layers.fake_quant import FakeQuantized, kernels_of, round_kernel
from sora_tf.layers.memory import FrameMemory
from sora_tf.layers.pooling import SpaceTimeAttentionPool
from sora_tf.layers.relation import RelationBlock

RNG = np.random.default_rng(0)


def dense(kernel, **kwargs):
    """x·kernel inside a FakeQuantized."""
    kernel = np.array(kernel, np.float32)
    inside = keras.layers.Dense(kernel.shape[1], use_bias=False, name="dense")
    layer = FakeQuantized(inside, **kwargs)
    layer.build([None, kernel.shape[0]])
    inside.set_weights([kernel])
    return layer


def test_kernel_levels_by_hand():
    kernel = tf.constant([[1.27, -254.0], [0.014, 1.2], [-0.016, -3.0]])
    # A column is a channel. s = 1.27/127 = 0.01: 127, 1.4 and -1.6 go to 127, 1 and -2.
    # s = 254/127 = 2: -127, 0.6 and -1.5 go to -127, 1 and -2 (halves to even).
    by_hand = [[1.27, -254.0], [0.01, 2.0], [-0.02, -4.0]]
    np.testing.assert_allclose(round_kernel(kernel, 1), by_hand, rtol=1e-6)
    # With one scale, s = 2, the first channel is gone.
    by_hand = [[2.0, -254.0], [0.0, 2.0], [0.0, -4.0]]
    np.testing.assert_allclose(round_kernel(kernel, 0), by_hand, rtol=1e-6)


def test_an_empty_channel_stays_zero():
    kernel = tf.constant([[0.0, 1.0], [0.0, 0.4]])
    # 0.4·127 = 50.8
    np.testing.assert_allclose(round_kernel(kernel, 1), [[0, 1], [0, 51 / 127]], rtol=1e-6)


def test_a_norm_folded_into_the_kernel_has_the_same_levels():
    kernel = RNG.normal(size=(3, 3, 4, 5)).astype(np.float32)
    factor = np.array([0.01, 1.0, -30.0, 7.0, 0.3], np.float32)
    folded = round_kernel(tf.constant(kernel * factor), 1)
    np.testing.assert_allclose(folded, round_kernel(tf.constant(kernel), 1) * factor, rtol=1e-5)


def test_the_gradient_passes_through():
    kernel = tf.Variable([[0.3, -2.0], [0.7, 0.1]])
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(round_kernel(kernel, 1) * [[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(tape.gradient(loss, kernel), [[1, 2], [3, 4]])


def test_output_levels_by_hand():
    layer = dense([[1.0]])
    x = np.array([[-1.0], [4.1]], np.float32)
    # s = 5.1/255 = 0.02, so zero is level 50: the range is -1 to 4.1 as it is.
    layer(x, training=True)
    assert [float(layer.low), float(layer.high)] == pytest.approx([-1.0, 4.1])
    # 0.031 is 1.55 steps, 0.029 is 1.45; what is outside is clipped.
    found = layer(np.array([[0.031], [0.029], [9.0], [-9.0]], np.float32))
    np.testing.assert_allclose(found[:, 0], [0.04, 0.02, 4.1, -1.0], atol=1e-6)


def test_the_range_widens_at_once_and_draws_back_slowly():
    layer = dense([[1.0]], momentum=0.75)
    for value in (4.0, 8.0):
        layer(np.array([[value]], np.float32), training=True)
        assert [float(layer.low), float(layer.high)] == [0.0, value]  # zero is always inside
    layer(np.array([[-1.0], [4.0]], np.float32), training=True)
    # 0.75·8 + 0.25·4
    assert [float(layer.low), float(layer.high)] == [-1.0, 7.0]
    layer(np.array([[100.0]], np.float32), training=False)
    assert float(layer.high) == 7.0


def test_outputs_stay_exact_before_a_batch_was_seen_and_where_asked():
    x = RNG.normal(size=(4, 1)).astype(np.float32)
    layer = dense([[1.0]])
    np.testing.assert_array_equal(layer(x), x)
    fused = dense([[1.0]], round_outputs=False)
    np.testing.assert_array_equal(fused(x, training=True), x)
    assert len(fused.weights) == 1


def test_clipped_outputs_have_no_gradient():
    layer = dense([[1.0]])
    layer(np.array([[0.0], [1.0]], np.float32), training=True)
    x = tf.constant([[0.5], [3.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(layer(x))
    np.testing.assert_array_equal(tape.gradient(loss, x), [[1.0], [0.0]])


def test_kernels_are_rounded_inside_only():
    layer = dense([[1.0], [0.4]], round_outputs=False)
    found = layer(np.array([[0.0, 1.0]], np.float32))
    # 0.4·127 = 50.8
    np.testing.assert_allclose(found, [[51 / 127]], rtol=1e-6)
    np.testing.assert_array_equal(layer.layer.kernel, np.array([[1.0], [0.4]], np.float32))
    assert len(layer.trainable_weights) == 1


def test_a_norm_keeps_its_moments_in_training_unless_told_not_to():
    norm = FakeQuantized(keras.layers.BatchNormalization(name="norm"), round_outputs=False)
    x = RNG.normal(3.0, 2.0, size=(8, 4)).astype(np.float32)
    # Mean 0 and variance 1 at first: x / √(1 + 0.001).
    np.testing.assert_allclose(norm(x, training=True), x / np.sqrt(1.001), rtol=1e-5)
    np.testing.assert_array_equal(norm.layer.moving_mean, np.zeros(4))
    assert len(norm.trainable_weights) == 2
    free = FakeQuantized(keras.layers.BatchNormalization(name="norm"), False, fixed_norm=False)
    np.testing.assert_allclose(np.mean(free(x, training=True), axis=0), np.zeros(4), atol=1e-5)
    assert np.abs(free.layer.moving_mean).min() > 0.01


@pytest.mark.parametrize("alpha", ["attention", "learned", "gcn"])
def test_relation_blocks_are_rounded(alpha):
    block = RelationBlock(4, alpha=alpha, heads=2, window=2, name="relation")
    x = RNG.normal(size=(2, 6, 4)).astype(np.float32)
    exact = block(x).numpy()
    found = FakeQuantized(block, round_outputs=False)(x).numpy()
    # By hand: each product's kernel with a scale per channel, other tables with one, no biases.
    for name, channel_axes in {
        "kernel": 1,
        "query_kernel": 1,
        "attention": 0,
        "offsets": 0,
    }.items():
        if getattr(block, name, None) is not None:
            weight = getattr(block, name)
            weight.assign(round_kernel(weight.value(), channel_axes))
    assert np.abs(found - exact).max() > 1e-5
    np.testing.assert_allclose(found, block(x), atol=1e-6)


def test_kernels_of_layers_in_layers():
    pool = SpaceTimeAttentionPool(heads=2, units=3)
    pool([np.zeros((1, 2, 4), np.float32), np.ones((1, 2), bool)])
    assert {owner.name for owner, _ in kernels_of(pool)} == {"hidden", "score"}
    assert not list(kernels_of(FrameMemory(0.5)))


@pytest.mark.parametrize(
    ("inside", "shape"),
    [
        (keras.layers.Conv2D(3, 3, activation="relu", name="conv"), (2, 6, 6, 4)),
        (keras.layers.DepthwiseConv2D(3, name="depthwise"), (2, 6, 6, 4)),
        (keras.layers.Dense(3, name="dense"), (2, 4)),
        (keras.layers.BatchNormalization(name="norm"), (2, 4)),
        (keras.layers.LSTM(3, return_sequences=True, name="lstm"), (2, 5, 4)),
    ],
)
@pytest.mark.parametrize("round_outputs", [True, False])
def test_contract(inside, shape, round_outputs):
    inside = type(inside).from_config(inside.get_config())
    layer = FakeQuantized(inside, round_outputs=round_outputs)
    x = RNG.normal(size=shape).astype(np.float32)
    layer(x, training=True)
    check_layer(layer, x)


def test_contract_with_a_mask():
    x = RNG.normal(size=(2, 6, 4)).astype(np.float32)
    mask = np.array([[True] * 4 + [False] * 2, [True] * 6])
    check_layer(FakeQuantized(RelationBlock(4, name="relation")), [x, mask])


def test_half_precision():
    layer = FakeQuantized(keras.layers.Dense(3, dtype="mixed_float16", name="dense"))
    outputs = layer(np.ones((2, 4), np.float32), training=True)
    assert outputs.dtype == tf.float16
    assert layer.high.dtype == tf.float32


def test_bad_momentum_is_named():
    with pytest.raises(ValueError, match="momentum must be from 0"):
        FakeQuantized(keras.layers.Dense(3), momentum=1.5)
