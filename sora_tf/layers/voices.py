"""Several judges of a clip, each as right by itself as it can be, and what they say together."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class VoicesThere(keras.layers.Layer):
    """Which voices a clip has: one for each set with nodes, one for all together of two or more.

    Call arguments:
        inputs: S masks (B, n) bool, one of each set; or one mask.
    Output: (B, S + 1) bool; (B, 1) of one mask.
    """

    def call(self, inputs):
        """Looks for nodes; see the class."""
        if not isinstance(inputs, list | tuple):
            return tf.reduce_any(inputs, axis=1, keepdims=True)
        there = tf.stack([tf.reduce_any(mask, axis=1) for mask in inputs], axis=1)
        several = tf.reduce_sum(tf.cast(there, tf.int32), axis=1, keepdims=True) > 1
        return tf.concat([there, several], axis=1)

    def compute_output_shape(self, input_shape):
        """(B, S + 1), or (B, 1)."""
        if isinstance(input_shape, tf.TensorShape):
            return tf.TensorShape([input_shape[0], 1])
        return tf.TensorShape([input_shape[0][0], len(input_shape) + 1])


@keras.utils.register_keras_serializable(package="sora_tf")
class VoicesJoined(keras.layers.Layer):
    """What the voices say, one after another, zeros where one is not there.

    Call arguments:
        inputs: [there (B, V) bool, V vectors (B, U)].
    Output: (B, V·U).
    """

    def call(self, inputs):
        """Joins; see the class."""
        there, *parts = inputs
        joined = tf.stack(parts, axis=1)  # (B, V, U)
        joined *= tf.cast(there, joined.dtype)[..., None]
        return tf.reshape(joined, [-1, len(parts) * joined.shape[-1]])

    def compute_output_shape(self, input_shape):
        """(B, V·U)."""
        _, *parts = input_shape
        return tf.TensorShape([parts[0][0], sum(shape[-1] for shape in parts)])


@keras.utils.register_keras_serializable(package="sora_tf")
class Voices(keras.layers.Layer):
    """Logits of several linear classifiers, each of a part of the vector.

    Together they say the sum of their logits, which is the product of their probabilities. In
    training one that is there is drawn for each clip and speaks alone: so none leans on the others,
    and what is left when some are not there is what these would have learnt without them.

    Args:
        units: C, classes.
    Call arguments:
        inputs: [vector (B, V·U), the parts of all voices one after another; there (B, V) bool].
    Output: logits (B, C); 0 where no voice is there.
    Raises:
        ValueError: `units` is below 2, or the vector has no V parts of one length.
    Reference: Hinton, "Training Products of Experts by Minimizing Contrastive Divergence", 2002,
        equation 1; each expert is trained by itself here.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = _checks.at_least("Voices", "units", units, 2, "classes", "")

    def build(self, input_shape):
        """Makes a kernel and a bias for each voice."""
        (_, length), (_, voices) = input_shape
        if length % voices:
            raise ValueError(
                f"Voices: the vector must have a part for each of {voices} voices, got {length} "
                "values. Give parts of one length."
            )
        # One matrix for each voice: as a whole, their first weights would be too small.
        self.kernels = [
            self.add_weight(name=f"kernel{voice}", shape=[length // voices, self.units])
            for voice in range(voices)
        ]
        self.bias = self.add_weight(name="bias", shape=[voices, self.units], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs, training=None):
        """Judges; see the class."""
        vector, there = inputs
        parts = tf.split(vector, len(self.kernels), axis=1)
        logits = [tf.matmul(x, kernel) for x, kernel in zip(parts, self.kernels, strict=True)]
        logits = tf.stack(logits, axis=1) + self.bias  # (B, V, C)
        heard = tf.cast(there, logits.dtype)
        if training:
            drawn = tf.argmax(heard * tf.random.uniform(tf.shape(heard), minval=0.5), axis=1)
            heard *= tf.one_hot(drawn, len(self.kernels), dtype=heard.dtype)
        return tf.reduce_sum(logits * heard[..., None], axis=1)

    def compute_output_shape(self, input_shape):
        """(B, C)."""
        return tf.TensorShape([input_shape[0][0], self.units])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "units": self.units}
