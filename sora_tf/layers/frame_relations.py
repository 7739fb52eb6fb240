"""FrameRelations: how alike the frames of a clip are, for a student to learn from a teacher."""

import tensorflow as tf

from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class FrameRelations(keras.layers.Layer):
    """How alike every two frames of a clip are.

    r[b,t,u] = cos(x[b,t], x[b,u]), 0 where either frame is padding.

    Call arguments:
        inputs: [x (B, T, D), mask (B, T) bool].
    Output: (B, T, T).
    """

    def call(self, inputs):
        """Compares; see the class."""
        x, mask = inputs
        x = tf.math.l2_normalize(x, axis=-1) * tf.cast(mask, x.dtype)[..., None]  # (B, T, D)
        return tf.matmul(x, x, transpose_b=True)  # (B, T, T)

    def compute_output_shape(self, input_shape):
        """(B, T, D), (B, T) to (B, T, T)."""
        batch, frames = input_shape[1]
        return tf.TensorShape([batch, frames, frames])
