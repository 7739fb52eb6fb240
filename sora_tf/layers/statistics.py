"""What a spectrum is like over a stretch of time, without weights to learn."""

import tensorflow as tf

from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class SpectrumStatistics(keras.layers.Layer):
    """Colour, unrest and roughness of each band of a log spectrum.

    With μ[m] = mean_t x[t,m]: y = [μ[m] - mean_m μ[m], √(mean_t (x[t,m] - μ[m])² + ε),
    mean_t |x[t,m] - x[t-1,m]|]. A louder sound, which adds the same to all x, gives the same y.

    Args:
        epsilon: what is added to the variance.
    Call arguments:
        inputs: (N, F, M), F above 1.
    Output: (N, 3·M).
    """

    def __init__(self, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon

    def call(self, inputs):
        """Computes them; see the class."""
        mean = tf.reduce_mean(inputs, axis=1, keepdims=True)  # (N, 1, M)
        apart = inputs - mean
        spread = tf.sqrt(tf.reduce_mean(apart * apart, axis=1) + self.epsilon)  # (N, M)
        change = tf.reduce_mean(tf.abs(inputs[:, 1:] - inputs[:, :-1]), axis=1)  # (N, M)
        colour = mean - tf.reduce_mean(mean, axis=2, keepdims=True)
        return tf.concat([colour[:, 0], spread, change], axis=1)

    def compute_output_shape(self, input_shape):
        """(N, F, M) to (N, 3·M)."""
        return tf.TensorShape([input_shape[0], 3 * input_shape[2]])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "epsilon": self.epsilon}
