"""Vectors no longer than a limit."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class ClippedNorm(keras.layers.Layer):
    """Shortens vectors that are longer than a limit, and leaves others.

    y = x·limit / max(limit, √(‖x‖² + 1e-12))

    Args:
        limit: above 0.
    Call arguments:
        inputs: (..., D).
    Output: (..., D).
    Raises:
        ValueError: `limit` is not above 0.
    """

    def __init__(self, limit=1.0, **kwargs):
        super().__init__(**kwargs)
        self.limit = _checks.above("ClippedNorm", "limit", limit, 0, "", "1 is usual.")

    def call(self, inputs):
        """Shortens; see the class."""
        length = tf.sqrt(tf.reduce_sum(inputs * inputs, axis=-1, keepdims=True) + 1e-12)
        return inputs * (self.limit / tf.maximum(self.limit, length))

    def compute_output_shape(self, input_shape):
        """As the inputs."""
        return tf.TensorShape(input_shape)

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "limit": self.limit}
