"""Cutting time into blocks, so that a local graph is many small dense ones."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from sora_tf.layers.frames import length_of


@dataclass(frozen=True)
class Blocks:
    """N blocks of Q receivers, each with the K senders that can reach them.

    Time is dealt into `step` phases, as frames of different phases never meet, and each phase is
    cut into runs of `size`; a run's senders are itself, the end of the run before and the start of
    the run after. N = B·step·runs, Q = size, K = past + size + future.

    Args:
        size: receivers in a block; None for one block of the whole clip.
        past, future: senders before and after the block, in steps, at most `size`.
        step: frames between neighbours.
    """

    size: int | None = None
    past: int = 0
    future: int = 0
    step: int = 1

    def positions(self, length):
        """Frame numbers of receivers (Q,) and senders (K,), from the block's first receiver."""
        if self.size is None:
            every = _numbers(0, length)
            return every, every
        receivers = _numbers(0, self.size) * self.step
        return receivers, _numbers(-self.past, self.size + self.future) * self.step

    def receivers(self, x):
        """(B, T, F) to (N, Q, F)."""
        if self.size is None:
            return x
        return tf.reshape(self._cut(x), [-1, self.size, x.shape[-1]])

    def senders(self, x):
        """(B, T, F) to (N, K, F), zeros where there is no frame."""
        if self.size is None:
            return x
        runs = self._cut(x)  # (B·step, runs, size, F)
        before = tf.pad(runs[:, :-1, self.size - self.past :], [[0, 0], [1, 0], [0, 0], [0, 0]])
        after = tf.pad(runs[:, 1:, : self.future], [[0, 0], [0, 1], [0, 0], [0, 0]])
        parts = [before] * (self.past > 0) + [runs] + [after] * (self.future > 0)
        return tf.reshape(
            tf.concat(parts, axis=2), [-1, self.past + self.size + self.future, x.shape[-1]]
        )

    def merge(self, y, length):
        """(N, Q, F) back to (B, T, F)."""
        if self.size is None:
            return y
        features = y.shape[-1]
        runs = -(-length // (self.size * self.step))
        if self.step > 1:
            y = tf.reshape(y, [-1, self.step, runs * self.size, features])
            y = tf.transpose(y, [0, 2, 1, 3])
        return tf.reshape(y, [-1, runs * self.size * self.step, features])[:, :length]

    def _cut(self, x):
        length, features = length_of(x, 1), x.shape[-1]
        runs = -(-length // (self.size * self.step))
        short = runs * self.size * self.step - length
        if not (isinstance(short, int) and short == 0):
            x = tf.pad(x, [[0, 0], [0, short], [0, 0]])
        if self.step > 1:
            x = tf.reshape(x, [-1, runs * self.size, self.step, features])
            x = tf.transpose(x, [0, 2, 1, 3])
        return tf.reshape(x, [-1, runs, self.size, features])


def _numbers(start, stop):
    """start, start + 1, … below stop: numpy where both are known, else a tensor."""
    known = isinstance(start, int) and isinstance(stop, int)
    return (np.arange if known else tf.range)(start, stop)
