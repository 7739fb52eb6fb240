"""Layer normalisation in operations that every number format of TFLite has."""

import tensorflow as tf

from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class FrameNorm(keras.layers.LayerNormalization):
    """Keras's layer normalisation over the last axis, spelled out.

    y = γ·(x - μ) / √(σ² + ε) + β, with mean μ and variance σ² over the channels of a frame.

    Keras runs it as a batch normalisation, which TFLite turns into a squared difference: a
    difference of large numbers, and one that has no int16 kernel.

    Args:
        Those of `keras.layers.LayerNormalization`, but for `axis`, which is the last.
    Call arguments:
        inputs: (..., D).
    Output: (..., D).
    """

    def call(self, inputs):
        """Normalises; see the class."""
        x = tf.cast(inputs, tf.float32)
        apart = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        variance = tf.reduce_mean(apart * apart, axis=-1, keepdims=True)
        y = apart * tf.math.rsqrt(variance + self.epsilon) * self.gamma + self.beta
        return tf.cast(y, self.compute_dtype)
