"""SSDLite on MobileNetV2, trained on COCO: a detector of 80 everyday things, to teach others.

Reference: Sandler et al., "MobileNetV2: inverted residuals and linear bottlenecks", CVPR 2018;
Liu et al., "SSD: single shot multibox detector", ECCV 2016.
"""

import os

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf.data.boxes import Boxes, joined
from sora_tf.models.coco_classes import COCO_CLASSES, COCO_NUMBERS
from sora_tf.models.tfjs_file import read_graph, runnable

# Its own resizing is a loop over single frames; what it feeds is fed by us.
FRAMES = "Preprocessor/map/TensorArrayStack/TensorArrayGatherV3"
SCORES, BOXES = "Postprocessor/Slice", "Postprocessor/ExpandDims_1"
SIDE = 300
BATCH = 8  # frames at a time
OVERLAP = 0.6  # as the authors trained it
MOST = 100  # boxes a frame


class CocoDetector:
    """Finds COCO's things on frames.

    Args:
        path: the npm package with the model, or its folder, as for `read_graph`.
        threshold: smallest score of a box, from 0 to 1.
    Attributes:
        labels: names by class number.
        size: (H, W) of frames it need not scale.
        step: 0, for it sees single frames.
    Raises:
        OSError, ValueError: the file does not open, or is not this model.
    """

    labels = COCO_CLASSES
    size = (SIDE, SIDE)
    step = 0.0

    def __init__(self, path: str | os.PathLike[str], threshold: float = 0.3):
        """Reads the weights."""
        remedy = "Use 0.3 to see what is likely."
        _checks.between("CocoDetector", "threshold", threshold, 0, 1, remedy)
        self.threshold = threshold
        pictures = tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)
        try:
            self.raw = runnable(read_graph(path), {FRAMES: pictures}, (SCORES, BOXES))
        except ValueError as error:
            raise ValueError(f"CocoDetector: {error}") from None
        self._columns = tf.constant([number - 1 for number in COCO_NUMBERS])

    def detect(self, frames: np.ndarray, first: int = 0) -> Boxes:
        """Finds things on frames.

        Args:
            frames: (T, H, W, 3) uint8.
            first: number of the first frame.

        Returns:
            Boxes in pixels of these frames, the likeliest of each frame first.
        """
        parts = []
        for start in range(0, len(frames), BATCH):
            batch = frames[start : start + BATCH]
            found = self._found(tf.constant(batch), tf.constant(self.threshold, tf.float32))
            corners, scores, classes, counts = (part.numpy() for part in found)
            there = np.arange(MOST) < counts[:, None]  # (T, 100)
            low, high = corners[there][:, 1::-1], corners[there][:, :1:-1]
            sides = high - low
            parts.append(
                _of_some_size(
                    np.nonzero(there)[0] + first + start,
                    np.concatenate([low, sides], 1) * np.tile(batch.shape[2:0:-1], 2),
                    classes[there],
                    scores[there],
                )
            )
        return joined(parts)

    @tf.function(
        input_signature=[
            tf.TensorSpec((None, None, None, 3), tf.uint8),
            tf.TensorSpec((), tf.float32),
        ]
    )
    def _found(self, frames, threshold):
        pictures = tf.cast(frames, tf.float32)  # (T, H, W, 3)
        pictures = tf.image.resize(pictures, self.size, antialias=True)  # (T, 300, 300, 3)
        scores, boxes = self.raw(pictures)  # (T, 1917, 90), (T, 1917, 1, 4)
        return tf.image.combined_non_max_suppression(
            boxes,
            tf.gather(scores, self._columns, axis=2),
            max_output_size_per_class=MOST,
            max_total_size=MOST,
            iou_threshold=OVERLAP,
            score_threshold=threshold,
        )


def _of_some_size(frames, boxes, labels, scores) -> Boxes:
    """All but those of which nothing lies inside the picture."""
    kept = (boxes[:, 2:] > 0).all(1)
    return Boxes(frames[kept], boxes[kept], labels[kept], scores[kept])
