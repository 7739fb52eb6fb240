"""RelationBlock: numbers by hand, the layer contract, errors, precision and export."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from contract import check_layer

from sora_tf._keras import keras
from sora_tf.layers.graph import KINDS
from sora_tf.layers.messages import ALPHAS
from sora_tf.layers.relation import RelationBlock

ROOT6 = np.sqrt(6.0)
REAL = [True] * 4


def column(*values):
    return np.array(values, np.float32)[None, :, None]


def plain(x, mask=None, weights=None, **arguments):
    """The output of a block with W = 1, b = 0 and no activation."""
    block = RelationBlock(x.shape[-1], activation="linear", use_bias=False, **arguments)
    inputs = x if mask is None else [x, np.array([mask])]
    block(inputs)
    kernel = np.eye(x.shape[-1], dtype=np.float32)
    block.set_weights([kernel, *(weights or block.get_weights()[1:])])
    return block(inputs).numpy()[0]


@pytest.mark.parametrize(
    ("mask", "arguments", "expected"),
    [
        # Frames 1, 2, 4, 8; each with its neighbours: 1+2, 1+2+4, 2+4+8, 4+8.
        (None, {"alpha": "uniform"}, [3, 7, 14, 12]),
        # Frame 1 is masked: 1, nothing, 4+8, 4+8.
        ([True, False, True, True], {"alpha": "uniform"}, [1, 0, 12, 12]),
        # Degrees 2, 3, 3, 2: weights 1/2 or 1/3 on itself, 1/√6 between ends and middle, else 1/3.
        (
            None,
            {"alpha": "gcn"},
            [1 / 2 + 2 / ROOT6, 1 / ROOT6 + 2, 2 + 8 / ROOT6, 4 / ROOT6 + 4],
        ),
        # Without frame 1 degrees are 1, -, 2, 2: 1, nothing, (4+8)/2 twice.
        ([True, False, True, True], {"alpha": "gcn"}, [1, 0, 6, 6]),
        # Causal: means of 1; 1, 2; 2, 4; 4, 8.
        (None, {"alpha": "gcn", "edges": "causal"}, [1, 1.5, 3, 6]),
        # Full: the mean 15/4; without frame 1 it is 13/3.
        (None, {"alpha": "gcn", "edges": "full"}, [3.75] * 4),
        ([True, False, True, True], {"alpha": "gcn", "edges": "full"}, [13 / 3, 0, 13 / 3, 13 / 3]),
        # Learned starts at 1/3 for each of three offsets, at 1/4 on the full graph of four.
        (None, {"alpha": "learned"}, [1, 7 / 3, 14 / 3, 4]),
        (None, {"alpha": "learned", "edges": "full"}, [3.75] * 4),
        (None, {"alpha": "learned", "edges": "causal"}, [0.5, 1.5, 3, 6]),
        # Two apart: 1+4, 2+8, 1+4, 2+8.
        (None, {"alpha": "uniform", "edges": "dilated"}, [5, 10, 5, 10]),
        # Segments {1, 2}, {4, 8}: sums 3 and 12, means 1.5 and 6, which every node sums to 7.5.
        (None, {"alpha": "uniform", "edges": "segments"}, [10.5, 10.5, 19.5, 19.5]),
        # GCN in each segment is its mean, among the segments the mean of means 3.75.
        (None, {"alpha": "gcn", "edges": "segments"}, [5.25, 5.25, 9.75, 9.75]),
        # Frame 3 is masked: sums 3 and 4, means 1.5 and 4.
        ([True, True, True, False], {"alpha": "uniform", "edges": "segments"}, [8.5, 8.5, 9.5, 0]),
    ],
)
def test_fixed_weights_by_hand(mask, arguments, expected):
    made = plain(column(1, 2, 4, 8), mask, window=1, segment=2, **arguments)
    np.testing.assert_allclose(made[:, 0], expected, rtol=1e-6)


def test_learned_weights_by_hand():
    # Weights 0.5 for the frame ahead, 1 for itself, 2 for the frame behind:
    # 1+0.5·2, 2·1+2+0.5·4, 2·2+4+0.5·8, 2·4+8.
    table = np.array([0.5, 1.0, 2.0], np.float32)
    made = plain(column(1, 2, 4, 8), alpha="learned", window=1, weights=[table])
    np.testing.assert_allclose(made[:, 0], [2, 6, 12, 16])
    # On the full graph all further frames share the end weight:
    # 1+0.5·14, 2+2+0.5·12, 2·3+4+0.5·8, 2·7+8.
    made = plain(column(1, 2, 4, 8), alpha="learned", window=1, edges="full", weights=[table])
    np.testing.assert_allclose(made[:, 0], [8, 10, 14, 22])


def test_attention_by_hand():
    # W = W_q = a = 1: frame 0 scores leaky_relu(0 + [0, 1, -3]) = [0, 1, -0.6], so its weights go
    # as 1, 2.718282, 0.548812, and it becomes (1·2.718282 - 3·0.548812) / 4.267094 = 0.251189.
    # With frame 2 masked it is 2.718282 / 3.718282 = 0.731059.
    one = np.ones([1, 1], np.float32)
    arguments = {"alpha": "attention", "heads": 1, "edges": "full", "weights": [one, one]}
    assert plain(column(0, 1, -3), **arguments)[0, 0] == pytest.approx(0.251189, abs=1e-6)
    masked = plain(column(0, 1, -3), [True, True, False], **arguments)
    np.testing.assert_allclose(masked[[0, 2], 0], [0.731059, 0], atol=1e-6)


def test_similarity_by_hand():
    # Cosines of (2, 0), (0, 3), (1, 1): 0 between the first two, √½ with the third. Of two
    # neighbours, frame 0 keeps itself and frame 2, weighing 1 to e^(√½ - 1) = 0.746101, that is
    # 0.572705 and 0.427295. Frame 2 keeps itself and, of two alike, the earlier frame 0.
    x = np.array([[[2, 0], [0, 3], [1, 1]]], np.float32)
    made = plain(x, alpha="similarity", edges="full", neighbours=2)
    a, b = 0.572705, 0.427295
    np.testing.assert_allclose(made[0], [2 * a + b, b], atol=1e-5)
    np.testing.assert_allclose(made[2], [a + 2 * b, a], atol=1e-5)


@pytest.fixture(scope="module")
def clip():
    generator = np.random.default_rng(1)
    x = generator.normal(size=[2, 11, 6]).astype(np.float32)
    return [x, np.arange(11) < np.array([[11], [8]])]


@pytest.mark.parametrize(("alpha", "edges"), list(itertools.product(ALPHAS, KINDS)))
def test_contract(alpha, edges, clip):
    block = RelationBlock(
        8, alpha=alpha, edges=edges, window=2, dilation=3, segment=4, heads=2, neighbours=2,
        activation="tanh", use_bias=edges != "full", name="relation",
    )  # fmt: skip
    check_layer(block, clip, input_shapes=[(None, 6), (None,)])
    assert (block(clip).numpy()[1, 8:] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": 0}, "RelationBlock: units must be at least 1 channel, got 0"),
        ({"alpha": "mean"}, "alpha must be one of uniform, gcn, learned, attention, similarity"),
        ({"edges": "ring"}, "edges must be one of full"),
        ({"heads": 0}, "heads must be at least 1, got 0"),
        ({"neighbours": 0}, "neighbours must be at least 1, got 0"),
        ({"alpha": "attention", "heads": 3}, "heads must divide units, got 3 heads for 8 units"),
        ({"lowering": "fast"}, "lowering must be one of auto, sum, dense, band, graph"),
        ({"lowering": "sum"}, "'sum' is for full edges with alpha uniform or gcn"),
        ({"lowering": "band", "edges": "full"}, "'band' needs edges of limited reach"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        RelationBlock(**{"units": 8, **arguments})


def test_half_precision_sums_in_single():
    # Counting to 4096 in float16 stops at 2048: the mean of ones would be 0.5.
    block = RelationBlock(1, edges="full", activation="linear", dtype="mixed_float16")
    block(np.ones([1, 4096, 1]))
    block.set_weights([np.ones([1, 1]), np.zeros([1])])
    made = block(np.ones([1, 4096, 1]))
    assert made.dtype == tf.float16
    assert (made.numpy() == 1).all()


@pytest.mark.parametrize("alpha", ALPHAS)
def test_half_precision_is_close(alpha, clip):
    single = RelationBlock(8, alpha=alpha, window=2, heads=2)
    half = RelationBlock(8, alpha=alpha, window=2, heads=2, dtype="mixed_float16")
    half(clip), single(clip)
    half.set_weights(single.get_weights())
    np.testing.assert_allclose(half(clip), single(clip), atol=0.03)


@pytest.mark.parametrize(("alpha", "edges"), [("attention", "causal"), ("similarity", "segments")])
def test_compiled_by_xla(alpha, edges, clip):
    block = RelationBlock(8, alpha=alpha, edges=edges, window=2, segment=4, heads=2, neighbours=2)
    expected = block(clip)
    made = tf.function(block, jit_compile=True)([tf.constant(part) for part in clip])
    np.testing.assert_allclose(made, expected, atol=1e-5)


def relation_model(**arguments):
    frames, mask = (
        keras.Input([11, 6], 1, name="x"),
        keras.Input([11], 1, name="mask", dtype=tf.bool),
    )
    arguments = {"window": 2, "heads": 2, "lowering": "band", **arguments}
    hidden = RelationBlock(8, **arguments)([frames, mask])
    return keras.Model([frames, mask], RelationBlock(4, **arguments)([hidden, mask]))


def run_lite(content, clip):
    interpreter = tf.lite.Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    for detail in interpreter.get_input_details():
        interpreter.set_tensor(detail["index"], clip[detail["dtype"] == np.bool_])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


@pytest.mark.parametrize(("alpha", "edges"), [("gcn", "window"), ("attention", "causal")])
def test_tflite_with_builtin_operations_only(alpha, edges, clip):
    model, one = relation_model(alpha=alpha, edges=edges), [part[1:] for part in clip]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    np.testing.assert_allclose(run_lite(converter.convert(), one), model(one), atol=1e-5)


def test_attention_keeps_its_levels_in_int8(clip):
    # A mask of -1e9 in the scores would take all 256 levels for itself.
    model, one = relation_model(alpha="attention", edges="causal"), [part[1:] for part in clip]
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter([{"x": one[0], "mask": one[1]}])
    expected = model(one).numpy()
    error = run_lite(converter.convert(), one) - expected
    assert np.sqrt(np.mean(error**2) / np.mean(expected**2)) < 0.1
