"""FrameMemory: what lets a CNN on single frames see the frame before."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.frames import length_of


@keras.utils.register_keras_serializable(package="sora_tf")
class FrameMemory(keras.layers.Layer):
    """Puts features of the previous frame beside those of this one, ahead of a convolution.

    y_t = [x_t, x_{t-1}[:m]], with x_{-1} = 0; the convolution that follows makes it
    h_t^(l) = σ(W^(l)·[v_t, h_{t-1}^(l-1)]).

    With `replace`, the first m channels of x_t make room for those of x_{t-1}, so that the
    width stays and pretrained kernels still fit (a causal temporal shift; Lin, Gan and Han,
    "TSM", ICCV 2019).

    Args:
        ratio: share of the output channels that comes from the previous frame; above 0, at
            most 0.5 when added (half is all of the previous frame), at most 1 when replacing.
        replace: replace channels instead of adding them.
    Call arguments:
        inputs: [x (B·T, H, W, C), mask (B, T) bool]; a masked frame is remembered as zeros.
    Output: (B·T, H, W, C + m), or (B·T, H, W, C) with `replace`.
    Raises:
        ValueError: `ratio` is out of range, or so small that no channel is remembered.
    """

    def __init__(self, ratio=0.5, replace=False, **kwargs):
        super().__init__(**kwargs)
        _checks.above("FrameMemory", "ratio", ratio, 0.0, "", "Leave the layer out for no memory.")
        most = 1.0 if replace else 0.5
        _checks.between("FrameMemory", "ratio", ratio, 0.0, most, "0.25 is a good start.")
        self.ratio = ratio
        self.replace = replace

    def build(self, input_shape):
        """Finds the number of remembered channels."""
        channels = input_shape[0][-1]
        self.remembered = self._remembered(channels)
        if self.remembered < 1:
            raise ValueError(
                f"FrameMemory: ratio {self.ratio} of {channels} channels remembers none. "
                "Raise the ratio, or leave the layer out."
            )
        super().build(input_shape)

    def _remembered(self, channels):
        share = self.ratio if self.replace else self.ratio / (1.0 - self.ratio)
        return round(channels * share)

    def call(self, inputs):
        """Adds the previous frame; the first frame sees zeros."""
        x, mask = inputs
        now = self._flat(x, mask)
        return self._beside(x, tf.pad(now[:, :-1], [[0, 0], [1, 0], [0, 0]]))

    def state_spec(self, input_shape):
        """The state between chunks: the last frame's remembered channels."""
        x, _ = input_shape
        return {"previous": ((*x[1:-1], self._remembered(x[-1])), self.compute_dtype)}

    def step(self, inputs, state):
        """The same for a chunk, given what came before.

        Args:
            inputs: [x (B·n, H, W, C), mask (B, n)], the next n frames.
            state: {"previous": (B, H, W, m)}, zeros at the start.

        Returns:
            outputs as in `call`, and the new state.
        """
        x, mask = inputs
        if mask.shape[1] == 1:  # the same, without a line of frames to cut up
            now = self._parts(x)[0] * tf.cast(mask, x.dtype)[..., None, None]
            return self._beside(x, state["previous"]), {"previous": now}
        now = self._flat(x, mask)
        line = tf.concat([tf.reshape(state["previous"], [-1, 1, now.shape[-1]]), now], axis=1)
        last = tf.reshape(line[:, -1:], [-1, *x.shape[1:-1], self.remembered])
        return self._beside(x, line[:, :-1]), {"previous": last}

    def _flat(self, x, mask):
        """What is remembered of each frame, (B, n, H·W·m); zeros of a masked one."""
        values = x.shape[1] * x.shape[2] * self.remembered
        kept = tf.reshape(self._parts(x)[0], [-1, length_of(mask, 1), values])
        return kept * tf.cast(mask, x.dtype)[..., None]

    def _beside(self, x, past):
        """x with what is remembered, given in any shape of the same values."""
        past = tf.reshape(past, [-1, *x.shape[1:-1], self.remembered])
        parts = [past, self._parts(x)[1]] if self.replace else [x, past]
        return tf.concat(parts, axis=-1)

    def _parts(self, x):
        """What is remembered of x, and its other channels.

        Split, not sliced: TensorFlow's gradient of a slice took a fifth of a training step.
        """
        return tf.split(x, [self.remembered, x.shape[-1] - self.remembered], axis=-1)

    def compute_output_shape(self, input_shape):
        """C + m channels, or C with `replace`."""
        *rest, channels = input_shape[0]
        added = 0 if self.replace else self._remembered(channels)
        return tf.TensorShape([*rest, channels + added])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "ratio": self.ratio, "replace": self.replace}
