"""The first values of vectors."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class FirstValues(keras.layers.Layer):
    """The first values of each vector: y[..., d] = x[..., d] for d below `count`.

    Args:
        count: how many; 1 or more.
    Call arguments:
        inputs: (..., D), D at least `count`.
    Output: (..., count).
    Raises:
        ValueError: `count` is below 1.
    """

    def __init__(self, count=1, **kwargs):
        super().__init__(**kwargs)
        self.count = _checks.at_least("FirstValues", "count", count, 1, "value", "1 is the least.")

    def call(self, inputs):
        """The first values; see the class."""
        return inputs[..., : self.count]

    def compute_output_shape(self, input_shape):
        """(..., D) to (..., count)."""
        return tf.TensorShape([*input_shape[:-1], self.count])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "count": self.count}
