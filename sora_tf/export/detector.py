"""A detector's run as files that others run, frame by frame: each proved and with a receipt."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf.data import Problems, read_index
from sora_tf.data.box_dataset import box_dataset
from sora_tf.data.box_files import read_boxes
from sora_tf.export import flatbuffer
from sora_tf.export.clips import ClipSet, spread
from sora_tf.export.detector_check import BOUNDS, judge, table
from sora_tf.export.detector_signature import (
    DeployableDetector,
    boxes_on_frame,
    detect_function,
    encoded_function,
    served_function,
)
from sora_tf.export.errors import ExportError
from sora_tf.export.onnx import convert, distinct, onnx_operations
from sora_tf.export.publish import Target, formats_named, publish, tflite_facts, version_folder
from sora_tf.export.receipt import begun_receipt
from sora_tf.export.saved_model import check_saved_model, write_served
from sora_tf.export.signature import (
    FACTS,
    LABELS,
    Endpoint,
    facts_endpoint,
    step_function,
    step_spec,
)
from sora_tf.export.tflite import CALIBRATED, STEP, Clips, converted, step_samples, write_file
from sora_tf.models.video_model import FRAMES, MASK
from sora_tf.train.detector_run import DETECTOR, DetectorRun

CALIBRATION, JUDGED = 24, 40  # clips, of which one stretch each is shown


def export_detector(
    run: DetectorRun,
    formats: Sequence[str],
    out: Path,
    *,
    name: str = "sora",
    version: int | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Exports the run of a detector; each artefact appears proved or not at all.

    A TFLite file has the signature "step", an ONNX file is a step, and a SavedModel has "step",
    "serving_default", "jpeg" and "facts": see `detect_function`, `served_function`,
    `encoded_function` and `facts_endpoint`.

    Args:
        run, formats, out, name, version, cache, progress: as in `publish.export_run`.

    Returns:
        {"artefacts": {path in `out`: what was measured}, "failed": {path: why}}.

    Raises:
        ExportError: a format that is none, or no frames to calibrate and judge with.
        RunError: no run, or no model in it.
    """
    wanted = formats_named(formats)
    receipt = begun_receipt(out, DETECTOR)
    what = DeployableDetector.of(run)
    calibrate = any(kind in CALIBRATED for kind in wanted)
    calibration, clips, skipped = _gather(run, what, calibrate, cache, progress)
    truth = _answers(what, clips)
    receipt["labels"] = what.labels
    receipt["clips"] = {"calibration": len(calibration), "judged": len(clips), "skipped": skipped}
    return publish(
        [_target(kind, what, out, calibration, name, version) for kind in wanted],
        lambda path, name, kind, scratch: judge(
            path, name, clips, truth, what.labels, BOUNDS[kind], scratch
        ),
        run,
        out,
        receipt,
        (clips, truth),
        table,
    )


def _gather(
    run: DetectorRun,
    what: DeployableDetector,
    calibrate: bool,
    cache: str | Path | None,
    progress: Callable[[int, int], None] | None,
) -> tuple[list[tuple[np.ndarray, np.ndarray]], ClipSet, list[str]]:
    """As `clips.gather`, a stretch of each clip, with the boxes that are there for its truth."""
    clips = read_index(run.path / "split.csv")
    shape, problems = what.config, Problems()

    def read(parts: tuple[str, ...], most: int) -> ClipSet:
        own = [clip for clip in clips if clip.split in parts] or clips
        batches, _ = box_dataset(
            spread([clip for clip in own if clip.path in known], most),
            known,
            frames=shape.frames,
            step=shape.step,
            size=shape.size,
            each=1,
            most=shape.most,
            batch_size=1,
            cache=cache,
            progress=progress,
            problems=problems,
        )
        rows = [
            (clip[FRAMES].numpy(), clip[MASK].numpy(), boxes.numpy()) for clip, boxes in batches
        ]
        frames, mask, truth = (np.concatenate(column) for column in zip(*rows, strict=True))
        return ClipSet(frames, mask, truth, len(frames))

    try:
        known, _ = read_boxes(run.read_config().boxes, clips, what.labels)
        learnt = read(("train",), CALIBRATION) if calibrate else None
        judged = read(("val", "test"), JUDGED)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"the clips and boxes of the run in {run.path} cannot be read: {error}"
        ) from None
    calibration = [] if learnt is None else list(zip(learnt.frames, learnt.mask, strict=True))
    return calibration, judged, problems.lines()


def _answers(what: DeployableDetector, clips: ClipSet) -> dict[str, np.ndarray]:
    """What Keras itself says, frame by frame, (N, T, ...) each."""
    run, spec = tf.function(detect_function(what)), what.taken(1)
    parts: dict[str, list[np.ndarray]] = {}
    for frames in clips.frames:
        given = {name: tf.zeros(of.shape, of.dtype) for name, of in spec.items()}
        rows: dict[str, list[np.ndarray]] = {}
        for frame in frames:
            found = run({**given, FRAMES: tf.constant(frame[None, None])})
            given = {name: found.get(name, value) for name, value in given.items()}
            for name in found.keys() - spec.keys():
                rows.setdefault(name, []).append(found[name].numpy()[0, 0])
        for name, own in rows.items():
            parts.setdefault(name, []).append(np.stack(own))
    return {name: np.stack(values) for name, values in parts.items()}


def _target(kind, what, out, calibration, name, version):
    """The file of a format."""
    if kind == "saved_model":
        return Target(kind, version_folder(out, name, version), partial(write_saved_model, what))
    if kind == "onnx":
        return Target(kind, out / "step.onnx", partial(_onnx, what))
    return Target(kind, out / f"{kind}.tflite", partial(write_tflite, what, kind, calibration))


def write_saved_model(what: DeployableDetector, path: Path) -> dict[str, Any]:
    """Writes what a server takes; returns what `check_saved_model` found."""
    pictures = tf.TensorSpec((None, None, None, None, 3), tf.uint8, FRAMES)
    encoded = tf.TensorSpec((None, None), tf.string, FRAMES)
    found = {
        "serving_default": Endpoint(served_function(what), [pictures]),
        "jpeg": Endpoint(encoded_function(what), [encoded]),
        STEP: Endpoint(detect_function(what), [what.taken(None)]),
        FACTS: facts_endpoint(what),
    }
    write_served(what, found, path)
    return check_saved_model(path)


def _onnx(what: DeployableDetector, path: Path) -> dict[str, Any]:
    told = {LABELS: "\n".join(what.labels), "sora_tf": what.facts_json()}
    spec = what.taken(None)
    function = distinct(detect_function(what), spec.keys() - {FRAMES})
    convert(function, [spec], told, path)
    return {"operations": onnx_operations(path)}


def write_tflite(
    what: DeployableDetector, kind: str, calibration: Clips, path: Path
) -> dict[str, Any]:
    """Writes the network in numbers of some kind, and in floating point what makes boxes of it.

    In 8 bits the place of a small thing in a large picture would be known to a few pixels.

    Args:
        what: the detector.
        kind: a key of `tflite.FLAVOURS`.
        calibration: clips to find the ranges of numbers from, as in `tflite.write_tflite`.
        path: where to.

    Returns:
        What `tflite_facts` tells of it.
    """
    step = step_function(what)
    found = {STEP: Endpoint(step, [step_spec(what, 1)])}
    samples = {STEP: partial(step_samples, step, what.step, calibration)}
    network = converted([what.model], found, kind, samples)
    maps = {
        name: tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name)
        for name, tensor in zip(what.model.output_names, what.model.outputs, strict=True)
    }
    maps |= {name: what.taken(1)[name] for name in (FRAMES, *what.things)}
    boxes = {STEP: Endpoint(lambda given: boxes_on_frame(given, what), [maps])}
    nothing = {STEP: lambda: iter(())}
    behind = "float32" if kind == "float32" else "float16"
    model = flatbuffer.chained(network, converted(what.networks, boxes, behind, nothing))
    write_file(model, what, kind, path)
    return tflite_facts(path, kind)
