"""Random changes to training sounds: level, noise, and holes in time and in pitch."""

from dataclasses import dataclass

import tensorflow as tf

from sora_tf import _checks


@dataclass(frozen=True)
class SoundAugment:
    """How strongly training sounds are varied; that they begin at random places is not said here.

    Of few recordings, where quiet details tell one class from another, noise and holes can take
    more than they give: look at a validation part with and without.

    Args:
        gain: largest change of the level, dB, up or down; 0 to 60.
        noise: loudest noise that is mixed in, as a share of the sound's own level (root mean
            square); 0 to 1. Its spectrum is drawn between white and brown.
        time_mask: largest share of a window's time that is silenced at one place; 0 to 1.
        band_mask: largest share of the bands that is silenced, the same in all windows; 0 to 1.
        mixup: alpha of Beta(alpha, alpha), from which the blend of two sounds and of their labels
            is drawn; 0 blends nothing, 0.2 is usual, 10 at most.
    Raises:
        ValueError: a number out of its range.
    Reference: holes in time and pitch: Park et al., "SpecAugment", Interspeech 2019; mixup: Zhang,
        Cisse, Dauphin, Lopez-Paz 2018.
    """

    gain: float = 6.0
    noise: float = 0.05
    time_mask: float = 0.1
    band_mask: float = 0.1
    mixup: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        highest = {"gain": 60.0, "mixup": 10.0}
        for name in ("gain", "noise", "time_mask", "band_mask", "mixup"):
            high = highest.get(name, 1.0)
            _checks.between("SoundAugment", name, getattr(self, name), 0.0, high, "0 turns it off.")

    @classmethod
    def none(cls) -> "SoundAugment":
        """Leaves sounds and labels as they are."""
        return cls(0.0, 0.0, 0.0, 0.0, 0.0)

    def change_samples(self, samples: tf.Tensor, real: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Mixes noise in and changes the level.

        Args:
            samples: (N,) float32.
            real: (N,) bool; where it is False, the sound stays silent.
            seed: (2,) int32; the same seed makes the same change.
        Output: (N,) float32.
        """
        u = tf.random.stateless_uniform([3], seed)
        if self.noise:
            own = tf.sqrt(tf.reduce_mean(samples * samples))
            samples = samples + self.noise * u[0] * own * _noise(samples.shape[0], u[1], seed)
        gain = 10.0 ** (self.gain * (2.0 * u[2] - 1.0) / 20.0)
        return samples * gain * tf.cast(real, tf.float32)

    def change_mels(self, mels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Silences a stretch of each window, and some neighbouring bands of all of them.

        Silence is the mean of all values.

        Args:
            mels: (S, F, M) float32.
            seed: (2,) int32.
        Output: (S, F, M) float32.
        """
        count, frames, bands = mels.shape
        u = tf.random.stateless_uniform([2, count + 1], tf.bitwise.invert(seed))
        in_time = _hole(frames, self.time_mask, u[:, :count, None])[..., None]  # (S, F, 1)
        in_pitch = _hole(bands, self.band_mask, u[:, count:])  # (M,)
        return tf.where(in_time | in_pitch, tf.reduce_mean(mels), mels)


def _noise(count: int, slope: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Noise (count,) of root mean square 1 whose magnitude falls with frequency^slope."""
    white = tf.random.stateless_normal([count], seed)
    spectrum = tf.signal.rfft(white)
    place = tf.maximum(tf.range(count // 2 + 1, dtype=tf.float32), 1.0)
    coloured = tf.signal.irfft(spectrum * tf.cast(place**-slope, tf.complex64), [count])
    level = tf.sqrt(tf.reduce_mean(coloured * coloured))
    return coloured / tf.maximum(level, 1e-12)


def _hole(length: int, largest: float, u: tf.Tensor) -> tf.Tensor:
    """Which of `length` places lie in a hole of random size and place; u[0] and u[1] draw them."""
    size = tf.round(largest * u[0] * length)
    low = tf.round(u[1] * (length - size))
    line = tf.range(length, dtype=tf.float32)
    return (line >= low) & (line < low + size)
