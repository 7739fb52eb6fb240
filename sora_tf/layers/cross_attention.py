"""Attention from the nodes of one set to those of another."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.alpha import masked_softmax


@keras.utils.register_keras_serializable(package="sora_tf")
class CrossAttention(keras.layers.Layer):
    """Every receiver asks all senders that are there.

    y_r = W_o·[Σ_i α_ri·V·s_i]_heads, α_r = softmax over real i of (Q·x_r)·(K·s_i)/√width; zeros
    where no sender is there.

    Args:
        heads: independent attentions.
        width: channels of a head.
    Call arguments:
        inputs: [x (B, R, D), s (B, S, E), mask (B, S) bool, True where a sender is there].
    Output: (B, R, D).
    Raises:
        ValueError: `heads` or `width` is below 1.
    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2; without
        biases.
    """

    def __init__(self, heads=4, width=16, **kwargs):
        super().__init__(**kwargs)
        self.heads = _checks.at_least("CrossAttention", "heads", heads, 1, "", "4 is usual.")
        self.width = _checks.at_least("CrossAttention", "width", width, 1, "", "16 is usual.")

    def build(self, input_shape):
        """Makes the four kernels."""
        receivers, senders, _ = input_shape
        inside = self.heads * self.width
        self.query = self.add_weight(name="query", shape=[receivers[-1], inside])
        self.key = self.add_weight(name="key", shape=[senders[-1], inside])
        self.value = self.add_weight(name="value", shape=[senders[-1], inside])
        self.out = self.add_weight(name="out", shape=[inside, receivers[-1]])
        super().build(input_shape)

    def call(self, inputs):
        """Attends; see the class."""
        x, senders, mask = inputs
        query, key, value = (
            self._by_head(tf.matmul(of, kernel))
            for of, kernel in ((x, self.query), (senders, self.key), (senders, self.value))
        )
        logits = tf.matmul(query, key, transpose_b=True) / self.width**0.5  # (B, heads, R, S)
        alpha = masked_softmax(logits, mask[:, None, None])
        heard = tf.transpose(tf.matmul(alpha, value), [0, 2, 1, 3])  # (B, R, heads, width)
        flat = tf.reshape(heard, [-1, tf.shape(x)[1], self.heads * self.width])
        return tf.matmul(flat, self.out)

    def _by_head(self, x):
        parts = tf.reshape(x, [-1, tf.shape(x)[1], self.heads, self.width])
        return tf.transpose(parts, [0, 2, 1, 3])

    def compute_output_shape(self, input_shape):
        """(B, R, D) of the receivers."""
        return tf.TensorShape(input_shape[0])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "heads": self.heads, "width": self.width}
