"""How loud sounds are: bringing those of a clip to one level, and listening to the loud ones."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class SoundLevel(keras.layers.Layer):
    """Brings the sound of a clip to one level, and lifts silence to a floor.

    With m = exp(x) and μ its mean over the real windows of a clip, y = ln(level·m/max(μ, quiet) +
    offset): the same sound recorded nearer or farther gives the same y, but what is louder in a
    clip stays louder.

    Args:
        level: mean magnitude of a clip afterwards.
        offset: what is added to every magnitude, so that silence has a logarithm.
        quiet: smallest mean that is brought to that level; what is quieter is silence.
    Call arguments:
        inputs: [x (B, S, F, M) natural logarithms of magnitudes, mask (B, S) bool].
    Output: (B, S, F, M).
    Raises:
        ValueError: a number is not above 0.
    """

    def __init__(self, level=2.0, offset=1e-3, quiet=1e-4, **kwargs):
        super().__init__(**kwargs)
        owner = "SoundLevel"
        self.level = _checks.above(owner, "level", level, 0, "", "2 is usual.")
        self.offset = _checks.above(owner, "offset", offset, 0, "", "0.001 is usual.")
        self.quiet = _checks.above(owner, "quiet", quiet, 0, "", "1e-4 is usual.")

    def call(self, inputs):
        """Changes the levels; see the class."""
        x, mask = inputs
        magnitudes = tf.exp(x)
        real = tf.cast(mask, x.dtype)
        total = tf.reduce_sum(tf.reduce_mean(magnitudes, axis=[2, 3]) * real, axis=1)
        mean = total / tf.maximum(tf.reduce_sum(real, axis=1), 1.0)  # (B,)
        gain = self.level / tf.maximum(mean, self.quiet)
        return tf.math.log(magnitudes * gain[:, None, None, None] + self.offset)

    def compute_output_shape(self, input_shape):
        """That of x."""
        return tf.TensorShape(input_shape[0])

    def get_config(self):
        """All constructor arguments."""
        own = {"level": self.level, "offset": self.offset, "quiet": self.quiet}
        return {**super().get_config(), **own}


@keras.utils.register_keras_serializable(package="sora_tf")
class LoudnessPool(keras.layers.Layer):
    """Averages vectors of windows of sound, louder ones more than quiet ones.

    With w[b,s] the mean of exp(x[b,s]) of a real window and 0 of any other,
    y[b] = Σ_s w[b,s]·v[b,s] / Σ_s w[b,s]: what makes a noise is heard best while it is near. Of a
    clip without any sound, all real windows count alike; without real windows y is 0.

    Call arguments:
        inputs: [v (B, S, D), x (B, S, F, M) natural logarithms of magnitudes, mask (B, S) bool].
    Output: (B, D).
    """

    def call(self, inputs):
        """Pools a whole clip."""
        vectors, x, mask = inputs
        real = tf.cast(mask, tf.float32)
        loud = tf.reduce_mean(tf.exp(tf.cast(x, tf.float32)), axis=[2, 3]) * real
        loudest = tf.reduce_max(loud, axis=1, keepdims=True)
        weight = loud / tf.maximum(loudest, 1e-30)  # (B, S)
        weight /= tf.maximum(tf.reduce_sum(weight, axis=1, keepdims=True), 1e-30)
        pooled = tf.reduce_sum(weight[..., None] * tf.cast(vectors, tf.float32), axis=1)
        return tf.cast(pooled, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        """(B, S, D), (B, S, F, M), (B, S) to (B, D)."""
        batch, _, features = input_shape[0]
        return tf.TensorShape([batch, features])
