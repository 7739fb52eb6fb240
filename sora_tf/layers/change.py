"""FrameChange: how much of a picture changes, before where it changes is pooled away."""

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.layers.frames import length_of


@keras.utils.register_keras_serializable(package="sora_tf")
class FrameChange(keras.layers.Layer):
    """The largest change of each feature since the frame before, anywhere in the picture.

    y_t[c] = max_s |x_t[s,c] - x_{t-1}[s,c]| over the places s of the map; 0 for the first frame
    and where either frame is masked. Causal: the last map is all it remembers.

    Averages over frames lose what moved, and averages over places lose small movements; a
    difference taken per place keeps both.

    Call arguments:
        inputs: [x (B·T, H, W, C), mask (B, T) bool].
    Output: (B·T, C).
    """

    def call(self, inputs):
        """The changes of a whole clip; see the class."""
        x, mask = inputs
        # A map as one line of values: the same numbers, without a 5-D difference.
        line = tf.reshape(x, [-1, length_of(mask, 1), x.shape[1] * x.shape[2] * x.shape[3]])
        before = tf.pad(line[:, :-1], [[0, 0], [1, 0], [0, 0]])
        real = tf.cast(mask, x.dtype)
        known = tf.pad(real[:, :-1], [[0, 0], [1, 0]])
        return self._largest(x, before, real * known)

    def state_spec(self, input_shape):
        """The state between chunks: the last map, and whether there was one."""
        x, _ = input_shape
        return {
            "previous": (tuple(x[1:]), self.compute_dtype),
            "known": ((1,), "float32"),
        }

    def step(self, inputs, state):
        """The changes of the next frames.

        Args:
            inputs: [x (B·n, H, W, C), mask (B, n)], the next n frames.
            state: {"previous": (B, H, W, C), "known": (B, 1)}, zeros at the start.

        Returns:
            outputs as in `call`, and the new state.
        """
        x, mask = inputs
        real = tf.cast(mask, x.dtype)
        known = tf.cast(state["known"], x.dtype)
        if mask.shape[1] == 1:  # the same, without a line of frames to cut up
            changes = self._largest(x, state["previous"], real * known)
            return changes, {"previous": x, "known": tf.cast(mask, tf.float32)}
        line = tf.reshape(x, [-1, length_of(mask, 1), x.shape[1] * x.shape[2] * x.shape[3]])
        before = tf.reshape(state["previous"], [-1, 1, line.shape[-1]])
        line = tf.concat([before, line], axis=1)
        known = tf.concat([known, real], axis=1)
        changes = self._largest(x, line[:, :-1], real * known[:, :-1])
        last = tf.reshape(line[:, -1:], [-1, *x.shape[1:]])
        return changes, {"previous": last, "known": tf.cast(known[:, -1:], tf.float32)}

    @staticmethod
    def _largest(x, before, counts):
        apart = tf.abs(x - tf.reshape(before, [-1, *x.shape[1:]]))
        return tf.reduce_max(apart, axis=[1, 2]) * tf.reshape(counts, [-1, 1])

    def compute_output_shape(self, input_shape):
        """(B·T, H, W, C), (B, T) to (B·T, C)."""
        x, _ = input_shape
        return tf.TensorShape([x[0], x[-1]])
