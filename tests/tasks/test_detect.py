"""A run's detector on videos: what it says is what its model says, in the video's pixels."""

from dataclasses import replace

import numpy as np
import pytest

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig, ExtractorConfig
from sora_tf.data.boxes import joined
from sora_tf.models.detector import FAINT, build_detector, with_boxes
from sora_tf.tasks.detect import StreamingDetector
from sora_tf.tasks.detector import every_of
from sora_tf.tasks.thing_memory import ThingMemory
from sora_tf.tasks.tracking.things import things

CONFIG = DetectorConfig(
    frames=6,
    step=0.2,
    size=(64, 96),
    extractor=ExtractorConfig(channels=(8, 8, 16, 24), depths=(1, 1, 1, 1), memory=0.25),
    stride=4,
    channels=16,
    blocks=1,
    remember=0.0,
    most=3,
)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    made = build_detector(CONFIG, 2)
    kernel, bias = made.get_layer("there").get_weights()
    rng = np.random.default_rng(0)
    made.get_layer("there").set_weights([rng.normal(size=kernel.shape), bias])
    return made


@pytest.fixture(scope="module")
def frames():
    return np.random.default_rng(1).integers(0, 256, (6, 64, 96, 3), dtype=np.uint8)


def detector(model, threshold=0.002):
    return StreamingDetector(model, CONFIG, ("cat", "dog"), threshold)


def test_chunks_are_one_stream(model, frames):
    whole = with_boxes(model, CONFIG)(frames[None].astype(np.float32)).numpy()[0]
    found = detector(model, 0.0)
    parts = [found.detect(frames[:2], 0), found.detect(frames[2:5], 2), found.detect(frames[5:], 5)]
    for part in parts:
        assert len(part)
    for number, answer in enumerate(whole):
        (part,) = [p for p in parts if number in p.frames]
        own = part.on(number)
        kept = answer[answer[:, 4] >= FAINT]
        np.testing.assert_allclose(own.scores, kept[:, 4], atol=1e-4)
        np.testing.assert_array_equal(own.labels, kept[:, 5])
        low = np.clip(kept[:, :2], 0, (96, 64))
        np.testing.assert_allclose(own.boxes[:, :2], low, atol=0.05)


def test_it_remembers_things_across_chunks(model, frames):
    """What it says is what `ThingMemory` makes of all that its model says."""
    config = replace(CONFIG, remember=0.7)
    still = frames[:1].repeat(4, axis=0)
    found = StreamingDetector(model, config, ("cat", "dog"), 0.0)
    parts = joined([found.detect(still[:3], 0), found.detect(still[3:], 3)])
    plain = detector(model, 0.0).detect(still, 0)
    known = ThingMemory(0.7, 2).known(plain, range(4)).clipped(96, 64)
    np.testing.assert_allclose(parts.scores, known.scores, atol=1e-5)
    np.testing.assert_allclose(parts.boxes, known.boxes, atol=0.01)
    again = found.detect(still[3:], 0)
    np.testing.assert_allclose(again.scores, plain.on(0).scores, atol=1e-5)


def test_another_video_begins_anew(model, frames):
    found = detector(model)
    first = found.detect(frames[:2], 0)
    found.detect(frames[2:4], 2)
    again = found.detect(frames[:2], 0)
    np.testing.assert_allclose(again.scores, first.scores, atol=1e-6)


def test_frames_of_another_size_get_boxes_in_their_pixels(model, frames):
    large = detector(model).detect(frames[:1].repeat(2, axis=1).repeat(3, axis=2), 0)
    # Sides are 16 pixels of the detector's where nothing is learnt: 48 × 32 of these.
    assert len(large)
    np.testing.assert_allclose(large.boxes[:, 2:].max(axis=0), [48, 32], atol=0.5)
    assert (large.boxes[:, :2] + large.boxes[:, 2:] <= (288.01, 128.01)).all()


def test_the_threshold_is_kept_to(model, frames):
    assert len(detector(model, 1.0).detect(frames, 0)) == 0


def test_a_thing_of_two_names_is_put_to_the_threshold_as_one(model, frames):
    everything = detector(model, 0.0).detect(frames[:1], 0)
    best = things(everything)
    # Between the likeliest thing's own likelihood and that of its likeliest name.
    named = everything.scores.max()
    assert best.scores[0] > 1.2 * named
    found = detector(model, (best.scores[0] + named) / 2).detect(frames[:1], 0)
    assert sorted(found.labels) == [0, 1]
    assert found.scores.sum() == pytest.approx(best.scores[0], rel=1e-4)


def test_how_many_frames_it_is_best_shown(model):
    found = detector(model)
    assert [every_of(found, fps) for fps in (30.0, 10.0, 2.0, None)] == [6, 2, 1, 5]
