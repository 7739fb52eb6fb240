"""Cutting time into blocks, so that a local graph is many small dense ones, or a sliding mean."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from sora_tf.layers.frames import length_of


@dataclass(frozen=True)
class Whole:
    """One block: all frames are receivers and senders. The same form as `Blocks`."""

    def positions(self, length):
        """Frame numbers of receivers (Q,) and senders (K,): numpy if `length` is a number."""
        frames = np.arange(length) if isinstance(length, int) else tf.range(length)
        return frames, frames

    def receivers(self, x):
        """(B, T, F) as it is."""
        return x

    def senders(self, x):
        """(B, T, F) as it is."""
        return x

    def merge(self, y, length):
        """(B, T, F) as it is."""
        return y


@dataclass(frozen=True)
class Blocks:
    """N blocks of Q receivers, each with the K senders that can reach them.

    Time is dealt into `step` phases, as frames of different phases never meet, and each phase is
    cut into runs of `size`; a run's senders are itself, the end of the run before and the start of
    the run after. N = B·step·runs, Q = size, K = past + size + future.

    Args:
        size: receivers in a block.
        past, future: senders before and after the block, in steps, at most `size`.
        step: frames between neighbours.
    """

    size: int
    past: int = 0
    future: int = 0
    step: int = 1

    def positions(self, length):
        """Frame numbers of receivers (Q,) and senders (K,), from the block's first receiver."""
        receivers = np.arange(self.size) * self.step
        return receivers, np.arange(-self.past, self.size + self.future) * self.step

    def receivers(self, x):
        """(B, T, F) to (N, Q, F)."""
        return tf.reshape(self._runs(x), [-1, self.size, x.shape[-1]])

    def senders(self, x):
        """(B, T, F) to (N, K, F), zeros where there is no frame."""
        runs = self._runs(x)
        before = tf.pad(runs[:, :-1, self.size - self.past :], [[0, 0], [1, 0], [0, 0], [0, 0]])
        after = tf.pad(runs[:, 1:, : self.future], [[0, 0], [0, 1], [0, 0], [0, 0]])
        parts = [before] * (self.past > 0) + [runs] + [after] * (self.future > 0)
        width = self.past + self.size + self.future
        return tf.reshape(tf.concat(parts, axis=2), [-1, width, x.shape[-1]])

    def merge(self, y, length):
        """(N, Q, F) back to (B, T, F)."""
        steps = self.size * -(-length // (self.size * self.step))
        y = tf.reshape(y, [-1, steps, y.shape[-1]])
        return gather_phases(y, self.step)[:, :length]

    def _runs(self, x):
        """(B, T, F) to (B·step, runs, size, F), with zeros after the last frame."""
        phases = deal_phases(x, self.step, self.size)
        return tf.reshape(phases, [-1, length_of(phases, 1) // self.size, self.size, x.shape[-1]])


def deal_phases(x, step, multiple=1):
    """(B, T, F) to (B·step, T', F): frames t, t + step, … in a row, T' a multiple, zeros after."""
    length, features = length_of(x, 1), x.shape[-1]
    short = -length % (step * multiple)
    if not isinstance(short, int) or short:
        x = tf.pad(x, [[0, 0], [0, short], [0, 0]])
    if step == 1:
        return x
    steps = (length + short) // step
    x = tf.transpose(tf.reshape(x, [-1, steps, step, features]), [0, 2, 1, 3])
    return tf.reshape(x, [-1, steps, features])


def gather_phases(x, step):
    """Undoes `deal_phases`, but for the zeros after."""
    if step == 1:
        return x
    steps, features = length_of(x, 1), x.shape[-1]
    x = tf.transpose(tf.reshape(x, [-1, step, steps, features]), [0, 2, 1, 3])
    return tf.reshape(x, [-1, steps * step, features])


def sliding_mean(x, past, future, step):
    """Σ_{i = -past}^{future} x[t + i·step] / (past + future + 1), (B, T, F); zeros out of the clip.

    The fastest sum over a window there is in TensorFlow on a CPU, and exact at any length, which
    a difference of running sums is not.
    """
    length = length_of(x, 1)
    line = tf.pad(deal_phases(x, step), [[0, 0], [past, future], [0, 0]])
    mean = tf.nn.avg_pool2d(line[:, :, None], (past + future + 1, 1), 1, "VALID")[:, :, 0]
    return gather_phases(mean, step)[:, :length]
