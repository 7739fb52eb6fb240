"""Layers of a head that answers questions: what of a frame is asked about, and where it goes."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class QueryPool(keras.layers.Layer):
    """The mean of some vectors of each frame, weighted by what is asked.

    y[b,t] = Σ_k α_tk·x[b,t,k], α_t = softmax_k(v·tanh(W·x[b,t,k] + U·q[b]))

    Args:
        units: length of what a vector and a query are compared in; 1 or more.
    Call arguments:
        inputs: [x (B, T, K, D), q (B, Q)].
    Output: (B, T, D).
    Raises:
        ValueError: `units` is below 1.
    Reference: Bahdanau, Cho and Bengio, "Neural machine translation by jointly learning to align
        and translate", ICLR 2015, A.1.2 (additive attention).
    """

    def __init__(self, units=32, **kwargs):
        super().__init__(**kwargs)
        self.units = _checks.at_least("QueryPool", "units", units, 1, "unit", "32 is usual.")
        self.of_vector = keras.layers.Dense(units, name="of_vector")
        self.of_query = keras.layers.Dense(units, use_bias=False, name="of_query")
        self.likeness = keras.layers.Dense(1, use_bias=False, name="likeness")

    def build(self, input_shape):
        """Makes the weights."""
        x, query = input_shape
        self.of_vector.build(x)
        self.of_query.build(query)
        self.likeness.build((None, self.units))
        super().build(input_shape)

    def call(self, inputs):
        """The weighted means; see the class."""
        x, query = inputs
        asked = self.of_query(query)[:, None, None]  # (B, 1, 1, units)
        alpha = tf.nn.softmax(self.likeness(tf.tanh(self.of_vector(x) + asked)), axis=2)
        return tf.reduce_sum(alpha * x, axis=2)

    def compute_output_shape(self, input_shape):
        """(B, T, K, D), (B, Q) to (B, T, D)."""
        batch, frames, _, width = input_shape[0]
        return tf.TensorShape([batch, frames, width])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "units": self.units}


@keras.utils.register_keras_serializable(package="sora_tf")
class Trend(keras.layers.Layer):
    """How values stand and go over the time of a clip, told frame by frame.

    y_t = [x_t - x̄, (x_t - x̄)·(s_t - s̄) / variance(s)], x̄, s̄ and the variance over the real frames

    The mean of the second half over the frames is the slope of the least-squares line through the
    values; so any mean over frames that an attention takes is of where the values go.

    Call arguments:
        inputs: [x (B, T, D), times s (B, T), mask (B, T) bool, True where the frame is real].
    Output: (B, T, 2·D); zeros at masked frames.
    """

    def call(self, inputs):
        """Deviations and slopes; see the class."""
        x, times, mask = inputs
        real = tf.cast(mask, x.dtype)[..., None]  # (B, T, 1)
        count = tf.maximum(tf.reduce_sum(real, axis=1, keepdims=True), 1.0)
        apart = (x - tf.reduce_sum(x * real, axis=1, keepdims=True) / count) * real
        times = times[..., None]
        late = (times - tf.reduce_sum(times * real, axis=1, keepdims=True) / count) * real
        spread = tf.reduce_sum(late * late, axis=1, keepdims=True) / count
        slope = apart * tf.math.divide_no_nan(late, spread)
        return tf.concat([apart, slope], axis=-1)

    def compute_output_shape(self, input_shape):
        """(B, T, D), (B, T), (B, T) to (B, T, 2·D)."""
        batch, frames, width = input_shape[0]
        return tf.TensorShape([batch, frames, 2 * width])
