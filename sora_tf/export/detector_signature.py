"""What an exported detector answers: functions of raw frames that give boxes."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.data import read_index
from sora_tf.export.signature import (
    LABELS,
    Steps,
    Tensors,
    decoded_frames,
    facts_text,
    fitted_frames,
    in_float32,
    of_batch,
    step_function,
    step_spec,
)
from sora_tf.layers.frames import length_of
from sora_tf.layers.peaks import best_named
from sora_tf.layers.remembered import remembered, width_of_things
from sora_tf.models.detector import (
    NAMED,
    SHAPES,
    THERE,
    build_detector,
    frames_back,
    in_parts,
)
from sora_tf.models.refiner import things_of_maps
from sora_tf.models.streaming import start, streaming
from sora_tf.models.video_model import FRAMES
from sora_tf.train.detector_run import DETECTOR, DetectorRun
from sora_tf.video import VideoError, probe

BOXES, SCORES, CLASSES = "boxes", "box_scores", "box_classes"
THINGS = "state_things"
PROBED = 20  # videos whose rate is looked up


@dataclass(frozen=True)
class DeployableDetector(Steps):
    """A trained detector with all that its users need to know.

    Args:
        model: from `build_detector`, `in_parts`.
        config: what it was built from.
        labels: class names, by whose place boxes are numbered.
        threshold: the score from which on boxes are best kept.
        frame_rate: that it was trained on, frames a second.
        refiner: its second stage, from `build_refiner`, where it has one.
    """

    model: keras.Model
    config: DetectorConfig
    labels: tuple[str, ...]
    threshold: float
    frame_rate: float
    refiner: keras.Model | None = None

    @classmethod
    def of(cls, run: DetectorRun) -> "DeployableDetector":
        """The best model of a run.

        Raises:
            RunError: there is no run of a detector, or no model in it.
        """
        config = run.read_config()
        model = in_float32(run, lambda: build_detector(config.model, len(config.labels)))
        threshold = float(run.read_metrics().get("threshold", 0.5))
        rate = 1 / config.model.step if config.model.step else _rate(run)
        refiner = run.load_refiner()
        return cls(in_parts(model), config.model, config.labels, threshold, rate, refiner)

    @property
    def networks(self) -> list[keras.Model]:
        """See `Steps`."""
        return [self.model] if self.refiner is None else [self.model, self.refiner]

    @cached_property
    def chunk(self) -> keras.Model:
        """The model on any number of frames at once."""
        return streaming(self.model, chunk=None)

    @property
    def things(self) -> dict[str, tf.TensorSpec]:
        """What a step is given of things: `THINGS` (None, K, 7 + C); nothing without memory."""
        if not self.config.remember:
            return {}
        _, h, w, classes = self.model.get_layer(NAMED).output.shape
        shape = (None, min(self.config.most, h * w), width_of_things(classes))
        return {THINGS: tf.TensorSpec(shape, tf.float32, THINGS)}

    def taken(self, batch: int | None) -> dict[str, tf.TensorSpec]:
        """See `Steps`: what the network takes, and the things on the last frame."""
        return {**step_spec(self, batch), **of_batch(self.things, batch)}

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
            past=frames_back(self.model),
            remember=self.config.remember,
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
        found = step({name: inputs[name] for name in (FRAMES, *what.states)})
        states = {name: found[name] for name in what.states}
        return {**boxes_on_frame({**found, **inputs}, what), **states}

    return detect


def served_function(what: DeployableDetector) -> Callable[[tf.Tensor], Tensors]:
    """Frames (B, n, h, w, 3) uint8 of any n, h and w to boxes, each clip by itself.

    "boxes" (B, n, K, 4) in pixels of h × w and within them, "box_scores", "box_classes", and
    "labels" (B, n, K), their names.
    """
    size = what.config.size

    def detect(frames: tf.Tensor) -> Tensors:
        shape = tf.shape(frames)
        flat = tf.reshape(frames, tf.concat([[-1], shape[2:]], 0))
        shown = tf.broadcast_to(tf.cast(shape[2:4], tf.float32), [shape[0], shape[1], 2])
        return _named_boxes(what, fitted_frames(flat, size, "stretch"), shown)

    return detect


def encoded_function(what: DeployableDetector) -> Callable[[tf.Tensor], Tensors]:
    """Frames (B, n) of JPEG or PNG bytes to what `served_function` gives of them."""

    def detect(frames: tf.Tensor) -> Tensors:
        fitted, shown = decoded_frames(tf.reshape(frames, [-1]), what.config.size, "stretch")
        return _named_boxes(what, fitted, tf.reshape(shown, tf.concat([tf.shape(frames), [2]], 0)))

    return detect


def _named_boxes(what, fitted, shown):
    """Boxes on frames (B·n, H, W, 3), in pixels of what they were, (B, n, 2) high and wide."""
    batch, count, _ = tf.unstack(tf.shape(shown))
    states = {
        name: tf.zeros(tf.concat([[batch], zeros.shape[1:]], 0), zeros.dtype)
        for name, zeros in start(what.chunk).items()
    }
    frames = tf.reshape(tf.cast(fitted, tf.float32), [batch, count, *fitted.shape[1:]])
    maps = what.chunk({FRAMES: frames, **states}, training=False)
    found = boxes_found(maps, frames, what)
    corner, side = tf.split(found[BOXES], 2, axis=-1)
    limit = shown[:, :, None, ::-1]  # (B, n, 1, 2) across and down
    scale = limit / tf.constant(what.config.size[::-1], tf.float32)
    first = tf.clip_by_value(corner * scale, 0.0, limit)
    last = tf.clip_by_value((corner + side) * scale, 0.0, limit)
    return {
        **found,
        BOXES: tf.concat([first, last - first], axis=-1),
        LABELS: tf.gather(tf.constant(what.labels), found[CLASSES]),
    }


def boxes_found(maps: Tensors, frames: tf.Tensor, what: DeployableDetector) -> Tensors:
    """What `in_parts` says of clips (B, n, H, W, 3), with the second stage, as boxes."""
    boxes, scores = _things(maps, frames, what)
    return _by_frame(boxes, scores, length_of(frames, 1), what)


def boxes_on_frame(given: Tensors, what: DeployableDetector) -> Tensors:
    """The boxes on a frame by what `in_parts` says of it, with the things on the last frame.

    Args:
        given: the maps, the frame (B, 1, H, W, 3) and `THINGS`, where it has them.
        what: the detector.

    Returns:
        What `detect_function` says of boxes, and the new `THINGS`.
    """
    boxes, scores = _things(given, given[FRAMES], what)
    if not what.things:
        return _by_frame(boxes, scores, 1, what)
    limit = tf.constant(what.config.size[::-1], tf.float32)
    first = tf.clip_by_value(boxes[..., :2], 0.0, limit)
    last = tf.clip_by_value(boxes[..., :2] + boxes[..., 2:], 0.0, limit)
    boxes = tf.concat([first, last - first], axis=-1)
    boxes, scores, things = remembered(boxes, scores, given[THINGS], what.config.remember)
    return {**_by_frame(boxes, scores, 1, what), THINGS: things}


def _things(maps, frames, what):
    """Boxes (B·n, K, 4) and scores (B·n, K, C) on clips (B, n, H, W, 3)."""
    parts = maps[THERE], maps[NAMED], maps[SHAPES]
    pictures = tf.reshape(frames, [-1, *frames.shape[2:]])
    return things_of_maps(*parts, pictures, what.config, what.refiner)


def _by_frame(boxes, scores, count, what):
    """The likeliest boxes and names, (B, n, M, ...) each."""
    boxes, scores, classes = best_named(boxes, scores, what.config.most)
    most = scores.shape[1]
    return {
        BOXES: tf.reshape(boxes, [-1, count, most, 4]),
        SCORES: tf.reshape(scores, [-1, count, most]),
        CLASSES: tf.reshape(classes, [-1, count, most]),
    }
