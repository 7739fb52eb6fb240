"""The second stage of a detector: what it is shown, and what becomes of its answers."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from squares import MODEL, SIZE

from sora_tf._keras import keras
from sora_tf.layers.peaks import best_named
from sora_tf.models.detector import BOXES, build_detector, with_boxes
from sora_tf.models.refiner import (
    SAY,
    WIDE,
    FoundBoxes,
    boxes_in_windows,
    build_refiner,
    things_of_maps,
    windows_of,
)
from sora_tf.models.streaming import Stream, streaming

CONFIG = replace(MODEL, refine=32, refined=2, temperature=1.0)


def saying(classes, *said):
    """A refiner that says the same of every crop: (1 + C + 4) numbers."""
    crops = keras.Input((32, 32, 3))
    flat = keras.layers.GlobalAveragePooling2D()(crops)
    answer = keras.layers.Dense(
        5 + classes, kernel_initializer="zeros",
        bias_initializer=keras.initializers.Constant(np.float32(said)),
    )(flat)  # fmt: skip
    return keras.Model(crops, answer)


def maps(*things, classes=2):
    """Maps of 16 × 24 cells of 4 pixels, with things (row, column, how sure) of 16 pixels."""
    there = np.full((1, 16, 24, 1), -9, np.float32)
    for row, column, sure in things:
        there[0, row, column] = np.log(sure / (1 - sure))
    return there, np.zeros((1, 16, 24, classes), np.float32), np.zeros((1, 16, 24, 4), np.float32)


PICTURE = np.zeros((1, *SIZE, 3), np.float32)


def test_windows_by_hand():
    boxes = np.float32([[10, 20, 30, 10], [50, 50, 2, 4]])
    # Middles (25, 25) and (51, 52); sides of 60, and of the least there is.
    np.testing.assert_allclose(windows_of(boxes), [[-5, -5, 60], [43, 44, 16]])


def test_a_refiner_without_an_opinion_leaves_the_longest_side():
    left, top, width, height = boxes_in_windows(np.zeros((1, 4), np.float32)).numpy()[0]
    np.testing.assert_allclose([left, top], (1 - 1 / WIDE) / 2)
    np.testing.assert_allclose([width, height], 1 / WIDE)


def test_boxes_stay_finite_and_of_some_size():
    said = np.float32([[1e9, -1e9, 1e9, -1e9]])
    left, top, width, height = boxes_in_windows(said).numpy()[0]
    assert np.isfinite([left, top, width, height]).all()
    assert min(width, height) > 0


def said(*given):
    """Boxes, scores and classes, the best first."""
    return best_named(*things_of_maps(*given), CONFIG.most)


def test_both_stages_have_a_say():
    given = maps((5, 5, 0.8))
    refiner = saying(2, np.log(0.75 / 0.25), np.log(3) / SAY, 0, 0, 0, 0, 0)
    boxes, scores, classes = said(*given, PICTURE, CONFIG, refiner)
    assert scores.numpy()[0, 0] == pytest.approx(0.8 * 0.75 * 0.75, rel=1e-4)
    assert classes.numpy()[0, 0] == 0
    np.testing.assert_allclose(boxes.numpy()[0, 0], [22 - 8, 22 - 8, 16, 16], atol=1e-4)


def test_a_box_lies_half_way_between_what_both_stages_say():
    given = maps((5, 5, 0.8))  # 16 pixels around (22, 22), a window from 6 to 38
    boxes, *_ = said(*given, PICTURE, CONFIG, saying(2, 9, 0, 0, 1, -1, -2, 0))
    left, top, width, height = boxes_in_windows(np.float32([[1, -1, -2, 0]])).numpy()[0] * 32
    across, down = (6 + left + width / 2 + 22) / 2, (6 + top + height / 2 + 22) / 2
    wide, high = np.sqrt(16 * width), np.sqrt(16 * height)
    expected = [across - wide / 2, down - high / 2, wide, high]
    np.testing.assert_allclose(boxes.numpy()[0, 0], expected, rtol=1e-4)


def test_boxes_beyond_those_looked_at_stay_as_they_are():
    given = maps((2, 2, 0.9), (8, 8, 0.8), (12, 20, 0.7))
    plain, *_ = said(*given, PICTURE, CONFIG)
    boxes, scores, _ = said(*given, PICTURE, CONFIG, saying(2, -9, 0, 0, 2, 2, 0, 0))
    # The two looked at are found to be nothing; the third one is the likeliest now.
    assert scores.numpy()[0, 0] == pytest.approx(0.35, rel=1e-3)
    np.testing.assert_allclose(boxes[0, 0], [82 - 8, 50 - 8, 16, 16], atol=1e-4)
    assert not np.isclose(boxes[0, 2:], plain[0, 0]).all(axis=-1).any()


def test_it_is_built_of_the_detectors_kind_without_memory():
    refiner = build_refiner(CONFIG, 3)
    assert refiner.input_shape == (None, 32, 32, 3)
    assert refiner.output_shape == (None, 1 + 3 + 4)
    assert not any("memory" in layer.name for layer in refiner.layers)


def test_frozen_its_cnn_stays():
    refiner = build_refiner(CONFIG, 3, frozen=True)
    names = {layer.name for layer in refiner.layers if layer.trainable_weights}
    assert names
    assert not any(name.startswith(("stem", "stage")) for name in names)
    everything = build_refiner(CONFIG, 3)
    assert any(
        layer.name.startswith("stage") for layer in everything.layers if layer.trainable_weights
    )


@pytest.mark.parametrize(("wrong", "message"), [
    ({"refine": 0}, "refine must be at least 32"),
        (
            {"extractor": replace(CONFIG.extractor, channels=(8, 16), depths=(1, 1))},
            "must have maps of 8 or 16 pixels a cell, got 2",
        ),
])  # fmt: skip
def test_what_cannot_be_built(wrong, message):
    with pytest.raises(ValueError, match=message):
        build_refiner(replace(CONFIG, **wrong), 2)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"refine": 40}, "refine must be 0 or a multiple of 32 pixels, got 40"),
    ({"refine": -32}, "refine must be 0 or a multiple of 32 pixels, got -32"),
    ({"refined": 0}, "refined must be at least 1"),
])  # fmt: skip
def test_numbers_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **wrong)


def test_the_layer_comes_back_from_its_config():
    layer = FoundBoxes(CONFIG, saying(2, 1, 1, 0, 0, 0, 0, 0))
    given = [np.concatenate(maps((5, 5, 0.8)), axis=-1), PICTURE]
    twin = FoundBoxes.from_config(layer.get_config())
    expected = layer(given)
    twin(given)
    twin.set_weights(layer.get_weights())
    np.testing.assert_allclose(twin(given), expected)
    assert expected.shape == layer.compute_output_shape([given[0].shape, PICTURE.shape])


def test_frame_by_frame_it_finds_what_it_finds_at_once():
    keras.utils.set_random_seed(0)
    model, refiner = build_detector(CONFIG, 2), build_refiner(CONFIG, 2)
    whole = with_boxes(model, CONFIG, refiner)
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, *SIZE, 3)).astype(np.float32)
    at_once = whole({"frames": frames, "mask": np.ones((1, 3), bool)}).numpy()
    stream = Stream(streaming(whole))
    one_by_one = [stream.feed(frames[:, t : t + 1])[BOXES][0, 0] for t in range(3)]
    np.testing.assert_allclose(np.stack(one_by_one)[..., :5], at_once[0, ..., :5], atol=1e-3)
    assert tf.reduce_all(at_once[..., 4] <= 1)
