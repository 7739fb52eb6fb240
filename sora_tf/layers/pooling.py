"""From a vector per frame, or per region of a frame, to one global vector."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.frames import length_of, start_of


@keras.utils.register_keras_serializable(package="sora_tf")
class MaskedMeanPool(keras.layers.Layer):
    """Averages frame vectors over the frames that exist.

    y[b] = Σ_t m[b,t]·x[b,t] / max(Σ_t m[b,t], floor)

    Args:
        floor: smallest divisor, in frames; above 0.
    Call arguments:
        inputs: [x (B, T, D), mask (B, T) bool, True where the frame is real].
    Output: (B, D).
    Raises:
        ValueError: `floor` is not above 0.
    """

    def __init__(self, floor=1.0, **kwargs):
        super().__init__(**kwargs)
        remedy = "Use 1.0 for an ordinary mean."
        self.floor = _checks.above("MaskedMeanPool", "floor", floor, 0, "frames", remedy)

    def call(self, inputs):
        """Pools a whole clip."""
        return self.step(inputs, start_of(self, inputs))[0]

    def state_spec(self, input_shape):
        """The state between chunks: the sum so far and the number of frames in it."""
        return {"total": ((input_shape[0][-1],), "float32"), "count": ((1,), "float32")}

    def step(self, inputs, state):
        """The mean of all frames so far.

        Args:
            inputs: [x (B, n, D), mask (B, n)], the next n frames.
            state: {"total": (B, D), "count": (B, 1)} float32, zeros at the start.

        Returns:
            outputs (B, D) and the new state.
        """
        x, mask = inputs
        weight = tf.cast(mask, tf.float32)[..., None]  # (B, n, 1)
        # A sum without bound must not become an int8 number: add_n stays in floating point when
        # a model is quantised, and whole numbers stay whole. TFLite's int16 sum is wrong, its
        # matrix product is not.
        new = tf.matmul(weight, tf.cast(x, tf.float32), transpose_a=True)[:, 0]  # (B, D)
        total = tf.add_n([state["total"], new])
        new = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1, keepdims=True)
        count = tf.cast(tf.cast(state["count"], tf.int32) + new, tf.float32)
        mean = total / tf.maximum(count, self.floor)
        return tf.cast(mean, self.compute_dtype), {"total": total, "count": count}

    def compute_output_shape(self, input_shape):
        """(B, T, D), (B, T) to (B, D)."""
        batch, _, features = input_shape[0]
        return tf.TensorShape([batch, features])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "floor": self.floor}


@keras.utils.register_keras_serializable(package="sora_tf")
class RecentMeanPool(keras.layers.Layer):
    """Averages the last frame vectors of a stream, as `MaskedMeanPool` does those of a clip.

    y[b] = Σ_t m[b,t]·x[b,t] / max(Σ_t m[b,t], 1) over the last `frames` frames t. What came
    before them is forgotten, so the answer after a million frames is that of the last few alone.

    Args:
        frames: frames averaged over.
    Call arguments:
        inputs: [x (B, T, D), mask (B, T) bool, True where the frame is real].
    Output: (B, D).
    Raises:
        ValueError: `frames` is below 1.
    """

    def __init__(self, frames, **kwargs):
        super().__init__(**kwargs)
        remedy = "The clip length of the model is usual."
        self.frames = _checks.at_least("RecentMeanPool", "frames", frames, 1, "frame", remedy)

    def call(self, inputs):
        """The mean of a clip's last frames."""
        return self.step(inputs, start_of(self, inputs))[0]

    def state_spec(self, input_shape):
        """The state between chunks: the last frames and which of them are real."""
        return {
            "vectors": ((self.frames, input_shape[0][-1]), self.compute_dtype),
            "real": ((self.frames,), "float32"),
        }

    def step(self, inputs, state):
        """The mean of the last frames.

        Args:
            inputs: [x (B, n, D), mask (B, n)], the next n frames.
            state: {"vectors": (B, frames, D), "real": (B, frames)}, zeros at the start.

        Returns:
            outputs (B, D) and the new state.
        """
        x, mask = inputs
        weight = tf.cast(mask, tf.float32)
        kept = x * tf.cast(weight, x.dtype)[..., None]
        line = tf.concat([tf.cast(state["vectors"], x.dtype), kept], axis=1)[:, -self.frames :]
        real = tf.concat([state["real"], weight], axis=1)[:, -self.frames :]
        share = tf.maximum(tf.reduce_mean(real, axis=1, keepdims=True), 1.0 / self.frames)  # (B, 1)
        mean = tf.reduce_mean(tf.cast(line, tf.float32), axis=1) / share
        return tf.cast(mean, self.compute_dtype), {"vectors": line, "real": real}

    def compute_output_shape(self, input_shape):
        """(B, T, D), (B, T) to (B, D)."""
        batch, _, features = input_shape[0]
        return tf.TensorShape([batch, features])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "frames": self.frames}


@keras.utils.register_keras_serializable(package="sora_tf")
class SpaceTimeAttentionPool(keras.layers.Layer):
    """Averages the regions of all frames, weighted by attention over space and time at once.

    e[t,s] = v·tanh(W·x[t,s] + b), a = softmax over every t and s of real frames,
    y = Σ_{t,s} a[t,s]·x[t,s], for each head on its own share of the channels.

    Args:
        heads: independent attentions; must divide the channels.
        units: size of the hidden layer that scores a region.
    Call arguments:
        inputs: [x (B, T, S, D) regions, or (B, T, D) frames; mask (B, T) bool].
        return_weights: give the attention as well.
    Output: (B, D), and with `return_weights` the weights (B, T, S, heads), which sum to 1
        over T and S; zeros where a clip has no real frame.
    Raises:
        ValueError: heads does not divide the channels.
    Reference: Ilse, Tomczak and Welling, "Attention-based Deep Multiple Instance Learning",
        ICML 2018, equations 7 and 8, per head.
    """

    def __init__(self, heads=4, units=64, **kwargs):
        super().__init__(**kwargs)
        remedy = "4 heads of 64 units are usual."
        self.heads = _checks.at_least("SpaceTimeAttentionPool", "heads", heads, 1, "", remedy)
        self.units = _checks.at_least("SpaceTimeAttentionPool", "units", units, 1, "", remedy)
        self.hidden = keras.layers.Dense(units, activation="tanh", name="hidden")
        self.score = keras.layers.Dense(heads, use_bias=False, name="score")

    def build(self, input_shape):
        """Makes the scoring weights."""
        channels = input_shape[0][-1]
        if channels % self.heads:
            raise ValueError(
                f"SpaceTimeAttentionPool: heads must divide the channels, got {self.heads} heads "
                f"for {channels} channels. Choose a divisor."
            )
        self.hidden.build([None, channels])
        self.score.build([None, self.units])
        super().build(input_shape)

    def call(self, inputs, return_weights=False):
        """Pools a whole clip."""
        pooled, end = self.step(inputs, start_of(self, inputs))
        if not return_weights:
            return pooled
        x, mask = inputs
        exp, _ = self._exp(inputs, end["peak"])
        weights = exp / tf.maximum(end["weight"], 1e-30)[:, None]  # (B, T·S, heads)
        regions = x.shape[2] if x.shape.rank == 4 else 1
        return pooled, tf.reshape(weights, [-1, length_of(mask, 1), regions, self.heads])

    def state_spec(self, input_shape):
        """The state between chunks: an online softmax (Milakov and Gimelshein, 2018)."""
        return {
            "peak": ((self.heads,), "float32"),
            "weight": ((self.heads,), "float32"),
            "total": ((input_shape[0][-1],), "float32"),
        }

    def step(self, inputs, state):
        """The pooled vector of all frames so far.

        Args:
            inputs: [x (B, n, S, D) or (B, n, D), mask (B, n)], the next n frames.
            state: {"peak": (B, heads), "weight": (B, heads), "total": (B, D)} float32; zeros at
                the start.

        Returns:
            outputs (B, D) and the new state.
        """
        tokens, _ = self._tokens(inputs)
        # At the start the weight is 0, so that a peak of 0 is no peak yet.
        floor = tf.where(state["weight"] > 0, state["peak"], tokens.dtype.min / 2)
        exp, peak = self._exp(inputs, floor)
        fade = tf.exp(floor - peak)  # (B, heads)
        weight = state["weight"] * fade + tf.reduce_sum(exp, axis=1)
        parts = self._by_head(tokens)  # (B, N, heads, D/heads)
        new = tf.reduce_sum(exp[..., None] * parts, axis=1)  # (B, heads, D/heads)
        old = self._by_head(state["total"][:, None])[:, 0]
        total = tf.reshape(old * fade[..., None] + new, tf.shape(state["total"]))
        scale = tf.repeat(tf.maximum(weight, 1e-30), tokens.shape[-1] // self.heads, axis=-1)
        return tf.cast(total / scale, self.compute_dtype), {
            "peak": tf.where(weight > 0, peak, 0.0),
            "weight": weight,
            "total": total,
        }

    def _tokens(self, inputs):
        x, mask = inputs
        regions = x.shape[2] if x.shape.rank == 4 else 1
        tokens = tf.reshape(tf.cast(x, tf.float32), [tf.shape(x)[0], -1, x.shape[-1]])
        real = tf.repeat(mask, regions, axis=1)  # (B, N)
        return tokens, real

    def _exp(self, inputs, floor):
        tokens, real = self._tokens(inputs)
        scores = tf.cast(self.score(self.hidden(tokens)), tf.float32)  # (B, N, heads)
        real = real[..., None]
        scores = tf.where(real, scores, scores.dtype.min / 2)
        peak = tf.maximum(floor, tf.reduce_max(scores, axis=1))  # (B, heads)
        return tf.where(real, tf.exp(scores - peak[:, None]), 0.0), peak

    def _by_head(self, tokens):
        width = tokens.shape[-1] // self.heads
        return tf.reshape(tokens, [tf.shape(tokens)[0], -1, self.heads, width])

    def compute_output_shape(self, input_shape):
        """(B, T, S, D), (B, T) to (B, D)."""
        x, _ = input_shape
        return tf.TensorShape([x[0], x[-1]])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "heads": self.heads, "units": self.units}
