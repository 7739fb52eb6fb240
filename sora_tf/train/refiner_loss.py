"""What a detector's second stage is taught of each crop."""

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.data.boxes import UNSEEN
from sora_tf.models.refiner import boxes_in_windows
from sora_tf.train.centre_loss import generalised_iou


@keras.utils.register_keras_serializable(package="sora_tf")
class RefinerLoss(keras.losses.Loss):
    """Cross-entropy of there being a thing and of its class, generalised IoU of its box.

    Args:
        shape: weight of the boxes.
        smoothing: share of the class that is spread over all classes.
    Call arguments:
        y_true: (N, 5), left, top, width and height in sides of the window, and class; the class is
            `NOTHING` where there is none, and `UNSEEN` where the crop does not count.
        y_pred: (N, 1 + C + 4), as `build_refiner` gives it.
    Output: (N,), reduced as in Keras.
    """

    def __init__(self, shape=2.0, smoothing=0.1, name="refiner_loss", **kwargs):
        super().__init__(name=name, **kwargs)
        self.shape = shape
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """The loss; see the class."""
        classes = y_pred.shape[-1] - 5
        sure, named, shapes = tf.split(y_pred, [1, classes, 4], axis=-1)
        label = tf.cast(y_true[:, 4], tf.int32)
        thing = tf.cast(label >= 0, tf.float32)
        counts = tf.cast(y_true[:, 4] != UNSEEN, tf.float32)
        total = counts * tf.nn.sigmoid_cross_entropy_with_logits(thing, sure[:, 0])
        wanted = tf.one_hot(label, classes) * (1 - self.smoothing) + self.smoothing / classes
        total += thing * tf.nn.softmax_cross_entropy_with_logits(wanted, named)
        apart = 1.0 - generalised_iou(boxes_in_windows(shapes), y_true[:, :4])
        return total + self.shape * thing * apart

    def get_config(self):
        """The constructor's arguments."""
        return {**super().get_config(), "shape": self.shape, "smoothing": self.smoothing}
