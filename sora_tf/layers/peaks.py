"""From maps of centres to boxes, without non-maximum suppression."""

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras

SIZES = 4.0  # cells; the side of a box whose size is 0 on the map
LARGEST = 5.0  # e to its power is the most that a side can be of `SIZES`


def boxes_at_cells(shape: tf.Tensor, stride: int) -> tf.Tensor:
    """The box that each cell of a map speaks of.

    centre = (cell + ½ + offset)·stride, side = exp(size)·`SIZES`·stride.

    Args:
        shape: (N, h, w, 4), offsets across and down in cells, then sizes across and down.
        stride: pixels of a cell.
    Output: (N, h, w, 4), left, top, width, height in pixels.
    """
    h, w = shape.shape[1:3]
    across, down = np.meshgrid(np.arange(w), np.arange(h))
    cells = tf.constant(np.stack([across, down], -1)[None], shape.dtype)  # (1, h, w, 2)
    return _boxes(cells, shape, stride)


def _boxes(cells, shape, stride):
    """Boxes (..., 4) that cells (..., 2), numbered across and down, speak of by `shape`."""
    centre = (cells + 0.5 + shape[..., :2]) * stride
    side = tf.exp(tf.clip_by_value(shape[..., 2:], -LARGEST, LARGEST)) * (SIZES * stride)
    return tf.concat([centre - side / 2, side], axis=-1)


def best_peaks(
    there: tf.Tensor, named: tf.Tensor, shapes: tf.Tensor, stride: int, most: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The boxes at the highest peaks of a map of centres.

    A cell is a peak where none of its eight neighbours is more likely to be a centre; so a thing
    gives one box, and boxes need not be compared with one another. score = σ(centre)·softmax(class)

    Args:
        there: (N, h, w, 1), logits of a centre.
        named: (N, h, w, C), logits of the classes.
        shapes: (N, h, w, 4), as `boxes_at_cells` takes them.
        stride: pixels of a cell.
        most: boxes a picture, K.

    Returns:
        Left, top, width and height in pixels (N, K, 4), scores from 0 to 1 (N, K) and numbers of
        classes (N, K) int32, the best first.
    Reference: Zhou, Wang and Krähenbühl, "Objects as Points", 2019, sections 3 and 4.
    """
    h, w, classes = named.shape[1:]
    centre = tf.sigmoid(there)
    around = tf.nn.max_pool2d(centre, 3, 1, "SAME")
    centre *= tf.cast(centre >= around, centre.dtype)  # (N, h, w, 1), 0 beside the peaks
    score = centre * tf.nn.softmax(named)  # (N, h, w, C)
    flat = tf.reshape(score, [-1, h * w * classes])
    best, places = tf.math.top_k(flat, min(most, h * w * classes))  # (N, K)
    cell = places // classes
    shapes = tf.gather(tf.reshape(shapes, [-1, h * w, 4]), cell, batch_dims=1)  # (N, K, 4)
    cells = tf.cast(tf.stack([cell % w, cell // w], axis=-1), shapes.dtype)
    return _boxes(cells, shapes, stride), best, places % classes


@keras.utils.register_keras_serializable(package="sora_tf")
class Peaks(keras.layers.Layer):
    """`best_peaks` as a layer of one output.

    Args:
        stride, most: as in `best_peaks`.
    Call arguments:
        inputs: (N, h, w, 1 + C + 4), what `best_peaks` takes, side by side.
    Output: (N, K, 6): left, top, width, height in pixels, score and number of the class.
    """

    def __init__(self, stride=8, most=50, **kwargs):
        super().__init__(**kwargs)
        _checks.at_least("Peaks", "stride", stride, 1, "pixel", "8 is usual.")
        _checks.at_least("Peaks", "most", most, 1, "box", "50 is a good start.")
        self.stride = stride
        self.most = most

    def call(self, inputs):
        """Finds the peaks; see the class."""
        there, named, shapes = tf.split(inputs, [1, inputs.shape[-1] - 5, 4], axis=-1)
        boxes, scores, classes = best_peaks(there, named, shapes, self.stride, self.most)
        classes = tf.cast(classes, boxes.dtype)
        return tf.concat([boxes, scores[..., None], classes[..., None]], axis=-1)

    def compute_output_shape(self, input_shape):
        """(N, h, w, 1 + C + 4) to (N, K, 6)."""
        batch, h, w, channels = input_shape
        return tf.TensorShape([batch, min(self.most, h * w * (channels - 5)), 6])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "stride": self.stride, "most": self.most}
