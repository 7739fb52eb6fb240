"""Where things are in videos: a run's detector, frame by frame."""

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.data.boxes import Boxes, joined
from sora_tf.models.detector import BOXES, boxes_of, with_boxes
from sora_tf.models.streaming import Stream, streaming


class StreamingDetector:
    """A trained detector that is shown the frames of a video in order and remembers the last.

    Args:
        model: from `build_detector`.
        config: what it was built from.
        labels: its class names.
        threshold: smallest score of a box.
    Attributes:
        labels, threshold: as given.
        size: (H, W) of frames that it need not scale.
    """

    def __init__(
        self,
        model: keras.Model,
        config: DetectorConfig,
        labels: tuple[str, ...],
        threshold: float,
    ):
        self.labels = labels
        self.threshold = threshold
        self.size = config.size
        self._step = streaming(with_boxes(model, config), chunk=None)
        self._stream = Stream(self._step)

    def detect(self, frames: np.ndarray, first: int = 0) -> Boxes:
        """The boxes on the next frames of a video.

        Args:
            frames: (T, H, W, 3) uint8, of any size.
            first: the number of the first in its video; 0 begins another video.

        Returns:
            Boxes in pixels of the frames given, whose frames are numbered from 0.
        """
        if first == 0:
            self._stream = Stream(self._step)
        height, width = frames.shape[1:3]
        h, w = self.size
        pictures = tf.cast(frames, tf.float32)
        if (height, width) != (h, w):
            pictures = tf.image.resize(pictures, (h, w), antialias=True)
        answers = self._stream.feed(pictures[None])[BOXES][0]
        found = [boxes_of(answer, place) for place, answer in enumerate(answers)]
        boxes = joined(found)
        boxes = boxes.of(boxes.scores >= self.threshold).scaled(width / w, height / h)
        return boxes.clipped(width, height)
