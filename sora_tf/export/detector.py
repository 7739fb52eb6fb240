"""A detector's run as files that others run, frame by frame: each proved and with a receipt."""

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.data import Problems, read_index
from sora_tf.data.box_dataset import box_dataset
from sora_tf.data.box_files import read_boxes
from sora_tf.export import flatbuffer
from sora_tf.export.clips import ClipSet, spread
from sora_tf.export.detector_check import (
    BOUNDS,
    BOXES,
    CLASSES,
    SCORES,
    judge,
    table,
)
from sora_tf.export.errors import ExportError
from sora_tf.export.onnx import convert, distinct, onnx_operations
from sora_tf.export.publish import (
    Target,
    formats_named,
    publish,
    tflite_facts,
    version_folder,
)
from sora_tf.export.receipt import REFERENCE, digest, read_receipt, surroundings, write_receipt
from sora_tf.export.saved_model import check_saved_model, write_served
from sora_tf.export.signature import (
    LABELS,
    Endpoint,
    Steps,
    Tensors,
    facts_text,
    fitted_frames,
    step_function,
    step_spec,
)
from sora_tf.export.tflite import CALIBRATED, STEP, converted, step_samples
from sora_tf.layers.peaks import best_peaks
from sora_tf.models.detector import NAMED, SHAPES, THERE, build_detector, in_parts
from sora_tf.models.streaming import start, streaming
from sora_tf.models.video_model import FRAMES
from sora_tf.train.detector_run import DETECTOR, DetectorRun
from sora_tf.train.fake_quant import copy_weights
from sora_tf.train.fit import precision
from sora_tf.train.settings import TrainConfig
from sora_tf.video import VideoError, probe

CALIBRATION, JUDGED = 24, 40  # clips, of which one stretch each is shown
PROBED = 20  # videos whose rate is looked up
KEPT = 4  # stretches kept beside the artefacts, for `sora-tf verify`


@dataclass(frozen=True)
class DeployableDetector(Steps):
    """A trained detector with all that its users need to know.

    Args:
        model: from `build_detector`, `in_parts`.
        config: what it was built from.
        labels: class names, by whose place boxes are numbered.
        threshold: the score from which on boxes are best kept.
        frame_rate: that it was trained on, frames a second.
    """

    model: keras.Model
    config: DetectorConfig
    labels: tuple[str, ...]
    threshold: float
    frame_rate: float

    @classmethod
    def of(cls, run: DetectorRun) -> "DeployableDetector":
        """The best model of a run.

        Raises:
            RunError: there is no run of a detector, or no model in it.
        """
        config = run.read_config()
        model = run.load_model()
        if config.training.get("mixed_precision"):
            trained = model
            with precision(TrainConfig()):  # TFLite has no kernels for float16
                model = build_detector(config.model, len(config.labels))
            copy_weights(trained, model)
        threshold = float(run.read_metrics().get("threshold", 0.5))
        rate = 1 / config.model.step if config.model.step else _rate(run)
        return cls(in_parts(model), config.model, config.labels, threshold, rate)

    @cached_property
    def chunk(self) -> keras.Model:
        """The model on any number of frames at once."""
        return streaming(self.model, chunk=None)

    def facts_json(self, **more: Any) -> str:
        """See `Steps`."""
        return facts_text(
            kind=DETECTOR,
            labels=list(self.labels),
            frames=1,
            size=list(self.config.size),
            fit="stretch",
            frame_rate=round(self.frame_rate, 3),
            threshold=self.threshold,
            **more,
        )


def _rate(run: DetectorRun) -> float:
    """The usual frames a second of a run's videos; 25 where none opens."""
    found = []
    for clip in read_index(run.path / "split.csv")[:PROBED]:
        with contextlib.suppress(VideoError):
            found.append(probe(clip.path).rate)
    return float(np.median(found)) if found else 25.0


def detect_function(what: DeployableDetector) -> Callable[[Tensors], Tensors]:
    """{frames (B, 1, H, W, 3) uint8, states} to boxes and the new states.

    "boxes" (B, 1, K, 4), left, top, width and height in pixels of H × W; "box_scores" (B, 1, K), 0
    to 1, the best first; "box_classes" (B, 1, K) int32, places in the labels.
    """
    step = step_function(what)

    def detect(inputs: Tensors) -> Tensors:
        found = step(inputs)
        states = {name: found[name] for name in what.states}
        return {**_boxes(found, what.config, 1), **states}

    return detect


def served_function(what: DeployableDetector) -> Callable[[tf.Tensor], Tensors]:
    """Frames (B, n, h, w, 3) uint8 of any n, h and w to boxes, each clip by itself.

    "boxes" (B, n, K, 4) in pixels of h × w and within them, "box_scores", "box_classes", and
    "labels" (B, n, K), their names.
    """
    names = tf.constant(what.labels)
    config = what.config

    def detect(frames: tf.Tensor) -> Tensors:
        shape = tf.shape(frames)
        flat = tf.reshape(frames, tf.concat([[-1], shape[2:]], 0))
        fitted = fitted_frames(flat, config.size, "stretch")
        fitted = tf.reshape(fitted, tf.concat([shape[:2], [*config.size, 3]], 0))
        states = {
            name: tf.zeros(tf.concat([shape[:1], zeros.shape[1:]], 0), zeros.dtype)
            for name, zeros in start(what.chunk).items()
        }
        given = {FRAMES: tf.cast(fitted, tf.float32), **states}
        found = _boxes(what.chunk(given, training=False), config, shape[1])
        h, w = tf.unstack(tf.cast(shape[2:4], tf.float32))
        corner, side = tf.split(found[BOXES], 2, axis=-1)
        scale = tf.stack([w, h]) / tf.constant(config.size[::-1], tf.float32)
        limit = tf.stack([w, h])
        first = tf.clip_by_value(corner * scale, 0.0, limit)
        last = tf.clip_by_value((corner + side) * scale, 0.0, limit)
        return {
            **found,
            BOXES: tf.concat([first, last - first], axis=-1),
            LABELS: tf.gather(names, found[CLASSES]),
        }

    return detect


def _boxes(maps, config, frames):
    """What `in_parts` says of clips of n frames to their boxes."""
    parts = maps[THERE], maps[NAMED], maps[SHAPES]
    boxes, scores, classes = best_peaks(*parts, config.stride, config.most)
    most = scores.shape[1]
    return {
        BOXES: tf.reshape(boxes, [-1, frames, most, 4]),
        SCORES: tf.reshape(scores, [-1, frames, most]),
        CLASSES: tf.reshape(classes, [-1, frames, most]),
    }


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

    A TFLite file has the signature "step", an ONNX file is a step, and a SavedModel has "step" and
    "serving_default": see `detect_function` and `served_function`.

    Args:
        run, formats, out, name, version, cache, progress: as in `publish.export_run`.

    Returns:
        {"artefacts": {path in `out`: what was measured}, "failed": {path: why}}.

    Raises:
        ExportError: a format that is none, or no frames to calibrate and judge with.
        RunError: no run, or no model in it.
    """
    wanted = formats_named(formats)
    what = DeployableDetector.of(run)
    problems = Problems()
    calibration: list[tuple[np.ndarray, np.ndarray]] = []
    if any(kind in CALIBRATED for kind in wanted):
        learnt = _stretches(run, what, ("train",), CALIBRATION, cache, problems, progress)
        calibration = list(zip(learnt.frames, learnt.mask, strict=True))
    clips = _stretches(run, what, ("val", "test"), JUDGED, cache, problems, progress)
    truth = _answers(what, clips)
    receipt = read_receipt(out) | surroundings() | {"kind": DETECTOR, "labels": what.labels}
    receipt["clips"] = {"judged": len(clips), "skipped": problems.lines()}
    with tempfile.TemporaryDirectory() as folder:
        made, failed = publish(
            [_target(kind, what, out, calibration, name, version) for kind in wanted],
            lambda path, name, kind: judge(
                path, name, clips, truth, what.labels, BOUNDS[kind], Path(folder)
            ),
            out,
            digest(run.model_path),
        )
    receipt["artefacts"] |= made
    if made:
        kept = clips.first(KEPT)
        with replacing(out / REFERENCE) as beside:
            kept.save(beside, **{f"keras_{n}": v[: len(kept)] for n, v in truth.items()})
        write_receipt(out, receipt, table(receipt["artefacts"]))
    return {"artefacts": made, "failed": failed}


def _stretches(
    run: DetectorRun,
    what: DeployableDetector,
    parts: tuple[str, ...],
    most: int,
    cache: str | Path | None,
    problems: Problems,
    progress: Callable[[int, int], None] | None,
) -> ClipSet:
    """A stretch each of some clips of a run, with the boxes that are there."""
    config, shape = run.read_config(), what.config
    clips = read_index(run.path / "split.csv")
    own = [clip for clip in clips if clip.split in parts] or clips
    try:
        known, _ = read_boxes(config.boxes, clips, what.labels)
        chosen = spread([clip for clip in own if clip.path in known], most)
        rows = _read(chosen, known, shape, cache, problems, progress)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"the clips and boxes of the run in {run.path} cannot be read: {error}"
        ) from None
    frames, mask, truth = (np.concatenate(column) for column in rows)
    return ClipSet(frames, mask, truth, len(frames))


def _read(clips, known, shape, cache, problems, progress):
    batches, _ = box_dataset(
        clips,
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
    found = [(clip["frames"].numpy(), clip["mask"].numpy(), rows.numpy()) for clip, rows in batches]
    return zip(*found, strict=True)


def _answers(what: DeployableDetector, clips: ClipSet) -> dict[str, np.ndarray]:
    """What Keras itself says, (N, T, ...) each."""
    run = tf.function(what.chunk)
    parts: dict[str, list[np.ndarray]] = {}
    for frames in clips.frames:
        given = {FRAMES: tf.cast(frames[None], tf.float32), **start(what.chunk)}
        found = _boxes(run(given), what.config, len(frames))
        for name, value in found.items():
            parts.setdefault(name, []).append(value.numpy()[0])
    return {name: np.stack(values) for name, values in parts.items()}


def _target(kind, what, out, calibration, name, version):
    """The file of a format."""
    if kind == "saved_model":
        return Target(kind, version_folder(out, name, version), partial(_saved_model, what))
    if kind == "onnx":
        return Target(kind, out / "step.onnx", partial(_onnx, what))
    return Target(kind, out / f"{kind}.tflite", partial(_tflite, what, kind, calibration))


def _saved_model(what: DeployableDetector, path: Path) -> dict[str, Any]:
    pictures = tf.TensorSpec((None, None, None, None, 3), tf.uint8, FRAMES)
    found = {
        "serving_default": Endpoint(served_function(what), [pictures]),
        STEP: Endpoint(detect_function(what), [step_spec(what, None)]),
    }
    write_served(what, found, path)
    return check_saved_model(path)


def _onnx(what: DeployableDetector, path: Path) -> dict[str, Any]:
    told = {LABELS: "\n".join(what.labels), "sora_tf": what.facts_json()}
    function = distinct(detect_function(what), what.states)
    convert(function, [step_spec(what, None)], told, path)
    return {"operations": onnx_operations(path)}


def _tflite(what, kind, calibration, path: Path) -> dict[str, Any]:
    """The network in numbers of some kind, and behind it what makes boxes, in floating point.

    In 8 bits the place of a small thing in a large picture would be known to a few pixels.
    """
    step = step_function(what)
    found = {STEP: Endpoint(step, [step_spec(what, 1)])}
    samples = {STEP: partial(step_samples, step, what.step, calibration)}
    network = converted(what.model, found, kind, samples)
    maps = {
        name: tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name)
        for name, tensor in zip(what.model.output_names, what.model.outputs, strict=True)
    }
    boxes = {STEP: Endpoint(lambda given: _boxes(given, what.config, 1), [maps])}
    nothing = {STEP: lambda: iter(())}
    model = flatbuffer.chained(network, converted(what.model, boxes, "float32", nothing))
    flatbuffer.mend_zero_scales(model)
    signatures = flatbuffer.signatures(model)
    files = {
        "labels.txt": what.labels_text,
        "sora_tf.json": what.facts_json(signatures=signatures, flavour=kind),
    }
    path.write_bytes(flatbuffer.write(model) + flatbuffer.appended(files))
    return tflite_facts(path, kind)
