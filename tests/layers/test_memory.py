import numpy as np
import pytest
from contract import check_layer

from sora_tf._keras import keras
from sora_tf.layers import AllFrames, FoldFrames, FrameMemory, UnfoldFrames
from sora_tf.layers.frames import start_of

MASK = np.array([[True, True, False], [True, False, True]])


def frames_of(*values):
    """(T, 1, 1, C) frames of one clip from rows of channels."""
    return np.array(values, "float32")[:, None, None, :]


def test_each_frame_is_beside_the_one_before():
    x = frames_of([1, 2], [3, 4], [5, 6])
    y = FrameMemory(0.5)([x, np.ones((1, 3), bool)]).numpy()[:, 0, 0]
    # [x_t, x_{t-1}], and nothing before the first.
    assert y.tolist() == [[1, 2, 0, 0], [3, 4, 1, 2], [5, 6, 3, 4]]


def test_replacing_keeps_the_width():
    x = frames_of([1, 2, 3, 4], [5, 6, 7, 8])
    y = FrameMemory(0.25, replace=True)([x, np.ones((1, 2), bool)]).numpy()[:, 0, 0]
    # A quarter of four channels is one: it makes room for that of the frame before.
    assert y.tolist() == [[0, 2, 3, 4], [1, 6, 7, 8]]


def test_clips_do_not_see_each_other():
    x = frames_of([1], [2], [3], [4])  # two clips of two frames
    y = FrameMemory(0.5)([x, np.ones((2, 2), bool)]).numpy()[:, 0, 0]
    assert y.tolist() == [[1, 0], [2, 1], [3, 0], [4, 3]]


def test_a_masked_frame_is_forgotten():
    x = frames_of([1], [2], [3])
    y = FrameMemory(0.5)([x, np.array([[True, False, True]])]).numpy()[:, 0, 0]
    assert y[2].tolist() == [3, 0]


@pytest.mark.parametrize("chunk", [1, 2, 4, 7])
@pytest.mark.parametrize("replace", [False, True])
def test_chunks_equal_the_clip(chunk, replace):
    x = np.random.default_rng(0).normal(size=(2, 9, 3, 5, 6)).astype("float32")
    mask = np.ones((2, 9), bool)
    layer = FrameMemory(0.5, replace=replace)
    whole = layer([x.reshape(-1, 3, 5, 6), mask]).numpy().reshape(2, 9, 3, 5, -1)
    parts, state = [], None
    for first in range(0, 9, chunk):
        part = x[:, first : first + chunk]
        inputs = [part.reshape(-1, 3, 5, 6), mask[:, first : first + chunk]]
        state = state or start_of(layer, inputs)
        y, state = layer.step(inputs, state)
        parts.append(y.numpy().reshape(2, part.shape[1], 3, 5, -1))
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("layer", [FrameMemory(0.5), FrameMemory(0.25, replace=True)])
def test_contract(layer):
    x = np.random.default_rng(0).normal(size=(6, 4, 4, 8)).astype("float32")
    check_layer(layer, [x, MASK], input_shapes=[(4, 4, 8), (3,)])


def test_contract_of_folding():
    x = np.random.default_rng(0).normal(size=(2, 3, 4)).astype("float32")
    check_layer(FoldFrames(), x)
    check_layer(AllFrames(), x)
    check_layer(UnfoldFrames(), [x.reshape(6, 4), MASK])


def test_fold_and_unfold_undo_each_other():
    x = np.arange(2 * 3 * 4, dtype="float32").reshape(2, 3, 4)
    folded = FoldFrames()(x)
    assert folded.shape == (6, 4)
    np.testing.assert_array_equal(UnfoldFrames()([folded, np.ones((2, 3), bool)]), x)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"ratio": 0}, "ratio must be above 0"),
        ({"ratio": 0.6}, "ratio must be from 0.0 to 0.5"),
        ({"ratio": 1.5, "replace": True}, "ratio must be from 0.0 to 1.0"),
    ],
)
def test_bad_ratios(arguments, words):
    with pytest.raises(ValueError, match=words):
        FrameMemory(**arguments)


def test_a_memory_of_nothing_is_refused():
    with pytest.raises(ValueError, match="remembers none"):
        FrameMemory(0.05)([frames_of([1, 2]), np.ones((1, 1), bool)])


def test_half_precision():
    layer = FrameMemory(0.5, dtype=keras.mixed_precision.Policy("mixed_float16"))
    assert layer([frames_of([1, 2], [3, 4]), np.ones((1, 2), bool)]).dtype == "float16"
