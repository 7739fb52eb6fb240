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
    across, down = np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5)
    cells = tf.constant(np.stack([across, down], -1)[None], shape.dtype)  # (1, h, w, 2)
    centre = (cells + shape[..., :2]) * stride
    side = tf.exp(tf.clip_by_value(shape[..., 2:], -LARGEST, LARGEST)) * (SIZES * stride)
    return tf.concat([centre - side / 2, side], axis=-1)


@keras.utils.register_keras_serializable(package="sora_tf")
class Peaks(keras.layers.Layer):
    """The boxes at the highest peaks of a map of centres.

    A cell is a peak where none of its eight neighbours is more likely to be a centre; so a thing
    gives one box, and boxes need not be compared with one another. score = σ(centre)·softmax(class)

    Args:
        stride: pixels of a cell.
        most: boxes a picture, K.
    Call arguments:
        inputs: (N, h, w, 1 + C + 4): the logit of a centre, the logits of the classes, and what
            `boxes_at_cells` takes.
    Output: (N, K, 6): left, top, width, height in pixels, score from 0 to 1 and class number, the
        best first.
    Reference: Zhou, Wang and Krähenbühl, "Objects as Points", 2019, sections 3 and 4.
    """

    def __init__(self, stride=8, most=50, **kwargs):
        super().__init__(**kwargs)
        _checks.at_least("Peaks", "stride", stride, 1, "pixel", "8 is usual.")
        _checks.at_least("Peaks", "most", most, 1, "box", "50 is a good start.")
        self.stride = stride
        self.most = most

    def call(self, inputs):
        """Finds the peaks; see the class."""
        h, w, channels = inputs.shape[1:]
        classes = channels - 5
        centre = tf.sigmoid(inputs[..., :1])
        around = tf.nn.max_pool2d(centre, 3, 1, "SAME")
        centre *= tf.cast(centre >= around, centre.dtype)  # (N, h, w, 1), 0 beside the peaks
        score = centre * tf.nn.softmax(inputs[..., 1 : 1 + classes])  # (N, h, w, C)
        flat = tf.reshape(score, [-1, h * w * classes])
        best, places = tf.math.top_k(flat, min(self.most, h * w * classes))  # (N, K)
        boxes = tf.reshape(boxes_at_cells(inputs[..., 1 + classes :], self.stride), [-1, h * w, 4])
        boxes = tf.gather(boxes, places // classes, batch_dims=1)
        label = tf.cast(places % classes, boxes.dtype)
        return tf.concat([boxes, best[..., None], label[..., None]], axis=-1)

    def compute_output_shape(self, input_shape):
        """(N, h, w, 1 + C + 4) to (N, K, 6)."""
        batch, h, w, channels = input_shape
        return tf.TensorShape([batch, min(self.most, h * w * (channels - 5)), 6])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "stride": self.stride, "most": self.most}
