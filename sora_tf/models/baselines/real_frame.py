"""One frame out of a clip, counted among the real ones."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class RealFrame(keras.layers.Layer):
    """Takes real frame number ⌈place·n⌉ of the n a clip has, counted from 1.

    Args:
        place: 0.5 for the middle one (of an even number the earlier of the two), 1 for the last;
            above 0.
    Call arguments:
        inputs: [x (B, T, ...), mask (B, T) bool, True where the frame is real].
    Output: (B, 1, ...), zeros where a clip has no real frame.
    Raises:
        ValueError: `place` is not above 0, or above 1.
    """

    def __init__(self, place=0.5, **kwargs):
        super().__init__(**kwargs)
        _checks.above("RealFrame", "place", place, 0, "", "Use 0.5 for the middle.")
        self.place = _checks.between("RealFrame", "place", place, 0, 1, "Use 1 for the last.")

    def call(self, inputs):
        """Takes the frame; see the class."""
        x, mask = inputs
        number = tf.cumsum(tf.cast(mask, tf.float32), axis=1)  # (B, T), 1 at the first real frame
        wanted = tf.math.ceil(self.place * number[:, -1:])  # (B, 1)
        index = tf.argmax(number >= wanted, axis=1)[:, None]  # (B, 1)
        real = tf.gather(mask, index, batch_dims=1)
        real = tf.reshape(real, [-1, 1, *[1] * (x.shape.rank - 2)])
        return tf.gather(x, index, batch_dims=1) * tf.cast(real, x.dtype)

    def compute_output_shape(self, input_shape):
        """(B, T, ...), (B, T) to (B, 1, ...)."""
        batch, _, *rest = input_shape[0]
        return tf.TensorShape([batch, 1, *rest])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "place": self.place}
