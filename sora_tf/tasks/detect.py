"""A run's detector on videos: shown the frames in order, it remembers the last."""

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.data.boxes import Boxes, joined
from sora_tf.models.detector import BOXES, boxes_of, with_boxes
from sora_tf.models.streaming import Stream, start, streaming
from sora_tf.tasks.thing_memory import ThingMemory


class StreamingDetector:
    """A trained detector as those who use one want it (`tasks.detector.Detector`).

    Args:
        model: from `build_detector`.
        config: what it was built from.
        labels: its class names.
        threshold: from how likely on a thing counts, all its names together.
        refiner: its second stage, from `build_refiner`, where it has one.
    Attributes:
        labels, threshold: as given.
        size: (H, W) of frames that it need not scale.
        step: time between frames that it was trained on, s; 0 is every frame.
    """

    def __init__(
        self,
        model: keras.Model,
        config: DetectorConfig,
        labels: tuple[str, ...],
        threshold: float,
        refiner: keras.Model | None = None,
    ):
        self.labels = labels
        self.threshold = threshold
        self.size = config.size
        self.step = config.step
        self._model = streaming(with_boxes(model, config, refiner), chunk=None)
        self._stream = Stream(self._model)
        self._things = ThingMemory(config.remember, len(labels), threshold)

    def detect(self, frames: np.ndarray, first: int = 0) -> Boxes:
        """The boxes on the next frames of a video.

        Args:
            frames: (T, H, W, 3) uint8, of any size.
            first: the number of the first; 0 begins another video.

        Returns:
            Boxes in pixels of the frames given, one for every name of a thing.
        """
        if first == 0:
            self._stream.states = start(self._model)
            self._things.forget()
        height, width = frames.shape[1:3]
        h, w = self.size
        pictures = tf.cast(frames, tf.float32)
        if (height, width) != (h, w):
            pictures = tf.image.resize(pictures, (h, w), antialias=True)
        answers = self._stream.feed(pictures[None])[BOXES][0]
        numbers = range(first, first + len(frames))
        found = [boxes_of(answer, number) for number, answer in zip(numbers, answers, strict=True)]
        boxes = joined(found).scaled(width / w, height / h).clipped(width, height)
        return self._things.known(boxes, numbers).clipped(width, height)
