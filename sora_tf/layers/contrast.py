"""FrameContrast: messages between frames that carry how far apart the frames are."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.frames import length_of, start_of


@keras.utils.register_keras_serializable(package="sora_tf")
class FrameContrast(keras.layers.Layer):
    """A round of messages that carry differences: how far a frame is from those before it.

    y_t = Σ_{i in N(t)} α_it·|x_t - x_i|, N(t) the real frames among the last `window`,
    α_it = 1/|N(t)|; zeros where N(t) is empty and at masked frames.

    Over a whole clip it is half of Gini's mean difference, a spread over time as a variance is,
    but told frame by frame and causal. It has no weights, so nothing overfits.

    Args:
        window: frames looked back; 1 or more.
    Call arguments:
        inputs: [x (B, T, D), mask (B, T) bool, True where the frame is real].
    Output: (B, T, D).
    Raises:
        ValueError: `window` is below 1.
    """

    def __init__(self, window=16, **kwargs):
        super().__init__(**kwargs)
        remedy = "16 is usual."
        self.window = _checks.at_least("FrameContrast", "window", window, 1, "frame", remedy)

    def call(self, inputs):
        """The contrasts of a whole clip; see the class."""
        return self.step(inputs, start_of(self, inputs))[0]

    def state_spec(self, input_shape):
        """The state between chunks: the last frames, and which of them are real."""
        return {
            "vectors": ((self.window, input_shape[0][-1]), self.compute_dtype),
            "real": ((self.window,), "float32"),
        }

    def step(self, inputs, state):
        """The contrasts of the next frames.

        Args:
            inputs: [x (B, n, D), mask (B, n)], the next n frames.
            state: {"vectors": (B, window, D), "real": (B, window)}, zeros at the start.

        Returns:
            outputs as in `call`, and the new state.
        """
        x, mask = inputs
        length = length_of(mask, 1)
        own = tf.cast(mask, tf.float32)
        line = tf.concat([tf.cast(state["vectors"], x.dtype), x], axis=1)  # (B, window + n, D)
        real = tf.concat([state["real"], own], axis=1)
        if mask.shape[1] == 1:  # all differences at once, and a matrix product to weigh them
            count = tf.reduce_mean(state["real"], axis=1, keepdims=True) * self.window
            alpha = state["real"] * own / tf.maximum(count, 1.0)  # (B, window)
            apart = tf.abs(line[:, :-1] - x)
            total = tf.matmul(tf.cast(alpha, x.dtype)[:, None], apart)
        else:
            total, count = tf.zeros_like(x), tf.zeros_like(own)
            for back in range(1, self.window + 1):
                at = slice(self.window - back, self.window - back + length)
                counts = real[:, at] * own
                total += tf.abs(x - line[:, at]) * tf.cast(counts, x.dtype)[..., None]
                count += counts
            total /= tf.cast(tf.maximum(count, 1.0), x.dtype)[..., None]
        return total, {"vectors": line[:, -self.window :], "real": real[:, -self.window :]}

    def compute_output_shape(self, input_shape):
        """(B, T, D), (B, T) to (B, T, D)."""
        return tf.TensorShape(input_shape[0])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "window": self.window}
