"""What a detector's maps of centres are taught: where centres are, and how large things are."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.data.boxes import UNSEEN
from sora_tf.layers.peaks import boxes_at_cells

SPREAD = 0.09  # of a box's side: the standard deviation of the bell at its centre
LEAST_SPREAD = 0.35  # cells
NEAR = 0.3  # cells where the bell is higher learn the box
RARE = 4.0  # how fast cells near a centre stop counting as wrong
EASY = 2.0  # how fast cells that are right already stop counting


@keras.utils.register_keras_serializable(package="sora_tf")
class CentreLoss(keras.losses.Loss):
    """Focal loss of the centres, cross-entropy of the classes, generalised IoU of the boxes.

    Each box draws a bell on the map. Its centre's cell is to be 1; other cells are to be 0, the
    less so the higher the bell. The cells near a centre learn box and class, weighed by the bell.
    A frame nobody looked at teaches nothing.

    Args:
        stride: pixels of a cell.
        shape: weight of the boxes against the centres.
        naming: weight of the classes.
    Call arguments:
        y_true: (B, T, M, 5), left, top, width, height in pixels and class; the class is `NOTHING`
            where a row holds no box, and `UNSEEN` in all rows of a frame that does not count.
        y_pred: (B, T, h, w, 1 + C + 4), as `best_cells` takes it, side by side.
    Output: (B,), reduced as in Keras; a mean over the boxes of the batch, the same for each clip.
    Reference: Zhou, Wang and Krähenbühl, "Objects as Points", 2019, equation 1; Liu et al.,
        "Training-Time-Friendly Network", 2020, for the bells that learn boxes; Rezatofighi et
        al., "Generalized Intersection over Union", 2019.
    """

    def __init__(self, stride=8, shape=2.0, naming=1.0, name="centre_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        _checks.at_least("CentreLoss", "stride", stride, 1, "pixel", "8 is usual.")
        _checks.at_least("CentreLoss", "shape", shape, 0.0, "", "2 is a good start.")
        _checks.at_least("CentreLoss", "naming", naming, 0.0, "", "1 is a good start.")
        self.stride = stride
        self.shape = shape
        self.naming = naming

    def call(self, y_true, y_pred):
        """The loss; see the class."""
        h, w, channels = y_pred.shape[2:]
        clips = tf.shape(y_pred)[0]
        rows = tf.reshape(y_true, [-1, *y_true.shape[2:]])  # (N, M, 5)
        maps = tf.reshape(tf.cast(y_pred, tf.float32), [-1, h, w, channels])
        centre, names, shapes = tf.split(maps, [1, channels - 5, 4], axis=-1)
        bell = self._bells(rows, h, w)  # (N, M, h, w)
        highest = tf.reduce_max(bell, axis=1)  # (N, h, w)
        near = tf.where(highest > NEAR, highest, 0.0)
        own = tf.gather(rows, tf.argmax(bell, axis=1), batch_dims=1)  # (N, h, w, 5)
        seen = tf.cast(rows[:, 0, 4] != UNSEEN, tf.float32)  # (N,)
        total = _centres(centre[..., 0], highest, seen)
        apart = 1.0 - generalised_iou(boxes_at_cells(shapes, self.stride), own[..., :4])
        total += self.shape * _mean(apart, near)
        label = tf.maximum(tf.cast(own[..., 4], tf.int32), 0)
        wrong = tf.nn.sparse_softmax_cross_entropy_with_logits(label, names)
        total += self.naming * _mean(wrong, near)
        return tf.fill([clips], total)

    def _bells(self, rows, h, w):
        """Each row's bell, 1 at its centre's cell; 0 everywhere where it holds no box."""
        box = rows[..., :4] / self.stride  # in cells
        centre = tf.floor(box[..., :2] + box[..., 2:] / 2) + 0.5
        spread = tf.maximum(box[..., 2:] * SPREAD, LEAST_SPREAD)

        def along(axis, length):
            cells = tf.range(length, dtype=tf.float32) + 0.5
            away = (cells - centre[..., axis, None]) / spread[..., axis, None]
            return tf.exp(-(away**2) / 2)  # (N, M, length)

        real = tf.cast(rows[..., 4] >= 0, tf.float32)[..., None, None]
        return real * along(1, h)[..., :, None] * along(0, w)[..., None, :]

    def get_config(self):
        """The constructor's arguments."""
        own = {"stride": self.stride, "shape": self.shape, "naming": self.naming}
        return {**super().get_config(), **own}


def _centres(logits, bell, seen):
    """The focal loss of all cells, a box."""
    centre = tf.cast(bell > 0.999, tf.float32)
    p = tf.sigmoid(logits)
    right = centre * (1 - p) ** EASY * tf.math.log_sigmoid(logits)
    wrong = (1 - centre) * (1 - bell) ** RARE * p**EASY * tf.math.log_sigmoid(-logits)
    total = -tf.reduce_sum((right + wrong) * seen[:, None, None])
    return total / tf.maximum(tf.reduce_sum(centre), 1.0)


def _mean(values, weight):
    return tf.reduce_sum(weight * values) / tf.maximum(tf.reduce_sum(weight), 1.0)


def generalised_iou(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Intersection over union, less the share of the hull that is in neither, from -1 to 1.

    Args:
        one, other: (..., 4), left, top, width, height.
    Output: (...).
    """
    a, b = one[..., :2], other[..., :2]
    a_end, b_end = a + one[..., 2:], b + other[..., 2:]
    both, either = _both_and_either(one, other)
    hull = tf.reduce_prod(tf.maximum(a_end, b_end) - tf.minimum(a, b), -1)
    tiny = keras.backend.epsilon()
    return both / tf.maximum(either, tiny) - (hull - either) / tf.maximum(hull, tiny)


def iou(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Intersection over union, from 0 to 1.

    Args:
        one, other: (..., 4), left, top, width, height.
    Output: (...).
    """
    both, either = _both_and_either(one, other)
    return both / tf.maximum(either, keras.backend.epsilon())


def _both_and_either(one, other):
    """The areas of the intersection and of the union of boxes."""
    a, b = one[..., :2], other[..., :2]
    ends = tf.minimum(a + one[..., 2:], b + other[..., 2:])
    both = tf.reduce_prod(tf.maximum(ends - tf.maximum(a, b), 0.0), -1)
    return both, tf.reduce_prod(one[..., 2:], -1) + tf.reduce_prod(other[..., 2:], -1) - both
