"""A detector with a second stage as files: one step does both stages, as Keras does them."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from squares import MODEL, SIZE

from sora_tf._keras import keras
from sora_tf.export.detector import write_saved_model, write_tflite
from sora_tf.export.detector_signature import DeployableDetector, detect_function
from sora_tf.export.onnx import convert, distinct
from sora_tf.export.runtimes import open_runtime
from sora_tf.models.detector import build_detector, in_parts
from sora_tf.models.refiner import build_refiner

CONFIG = replace(MODEL, refine=32, refined=2)


@pytest.fixture(scope="module")
def what():
    """Of random weights, whose centres are told apart by more than rounding."""
    keras.utils.set_random_seed(1)
    model = build_detector(CONFIG, 2)
    there = model.get_layer("there")
    there.set_weights([there.get_weights()[0] * 1e4, np.zeros(1)])
    refiner = build_refiner(CONFIG, 2)
    return DeployableDetector(in_parts(model), CONFIG, ("a", "b"), 0.3, 10.0, refiner)


@pytest.fixture(scope="module")
def frames():
    """(3, 1, 1, H, W, 3) uint8: squares on a gradient."""
    made = np.tile(np.arange(SIZE[1], dtype=np.uint8)[:, None], (3, 1, 1, SIZE[0], 1, 3))
    for number in range(3):
        made[number, 0, 0, 20:36, 10 + 8 * number : 30 + 8 * number] = (220, 60, 60)
    return made


def states(what):
    return {
        name: np.zeros(spec.shape, spec.dtype.as_numpy_dtype)
        for name, spec in what.taken(1).items()
        if name != "frames"
    }


@pytest.fixture(scope="module")
def expected(what, frames):
    return answers(what, frames)


def answers(what, frames):
    detect, memory, found = detect_function(what), states(what), []
    for frame in frames:
        answer = {k: v.numpy() for k, v in detect({"frames": tf.constant(frame), **memory}).items()}
        memory = {name: answer[name] for name in memory}
        found.append(answer)
    return found


def check(runtime, what, frames, expected, atol):
    memory = states(what)
    for frame, wanted in zip(frames, expected, strict=True):
        found = runtime.step({"frames": frame, **memory})
        memory = {name: found[name] for name in memory}
        np.testing.assert_allclose(found["box_scores"], wanted["box_scores"], atol=atol)
        best = wanted["box_scores"][0, 0, 0] - wanted["box_scores"][0, 0, 1]
        if best > 4 * atol:  # else which is first is left to rounding
            np.testing.assert_allclose(found["boxes"][0, 0, 0], wanted["boxes"][0, 0, 0], atol=1.0)


def test_both_stages_are_seen_in_the_answer(what, frames, expected):
    alone = DeployableDetector(what.model, replace(CONFIG, refine=0), what.labels, 0.3, 10.0)
    first = detect_function(alone)({"frames": tf.constant(frames[0]), **states(what)})
    assert first["box_scores"].numpy().max() > 1.5 * expected[0]["box_scores"].max() > 0.05


def test_onnx(what, frames, expected, tmp_path):
    function = distinct(detect_function(what), states(what))
    convert(function, [what.taken(None)], {}, tmp_path / "step.onnx")
    check(open_runtime(tmp_path / "step.onnx"), what, frames, expected, 1e-4)


@pytest.mark.parametrize(("kind", "atol"), [("float32", 1e-4), ("float16", 5e-3), ("int8", 0.3)])
def test_tflite(what, frames, expected, tmp_path, kind, atol):
    calibration = [(frames[:, 0, 0], np.ones(3, bool))]
    path = tmp_path / f"{kind}.tflite"
    facts = write_tflite(what, kind, calibration, path)
    assert facts
    check(open_runtime(path), what, frames, expected, atol)


def test_saved_model(what, frames, tmp_path):
    expected = answers(replace(what, config=replace(CONFIG, remember=0.0)), frames)
    write_saved_model(what, tmp_path / "1")
    served = tf.saved_model.load(str(tmp_path / "1"))
    clip = tf.constant(frames[:, 0].transpose(1, 0, 2, 3, 4))
    found = served.signatures["serving_default"](frames=clip)
    wanted = np.concatenate([answer["box_scores"] for answer in expected], axis=1)
    np.testing.assert_allclose(found["box_scores"], wanted, atol=1e-4)
