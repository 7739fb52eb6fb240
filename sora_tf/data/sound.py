"""Sound as log-mel windows of about a second: what a model hears, and when."""

import math
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf.video.audio import LIMIT_S, Sound, read_sound


@dataclass(frozen=True)
class MelConfig:
    """How sound becomes log-mel windows.

    Args:
        rate: samples per s.
        frame: length of what one spectrum is made of, s.
        step: from one spectrum to the next, s.
        mels: bands of the mel scale, M.
        low, high: lowest and highest frequency heard, Hz; at most half of the rate.
        window: length of a window, s; with `hop` it is rounded to whole steps.
        hop: from one window to the next, s; less than `window` makes windows overlap.
        floor: smallest magnitude of a band that is told from silence; full scale is about
            rate·frame/4.
    Raises:
        ValueError: a number out of its range.
    """

    rate: int = 16_000
    frame: float = 0.025
    step: float = 0.010
    mels: int = 64
    low: float = 50.0
    high: float = 7_800.0
    window: float = 1.0
    hop: float = 0.5
    floor: float = 1e-4

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "MelConfig"
        _checks.between(owner, "rate", self.rate, 1_000, 192_000, "16000 is usual.")
        _checks.above(owner, "step", self.step * self.rate, 1, "sample", "0.01 s is usual.")
        _checks.at_least(owner, "frame", self.frame, self.step, "s", "0.025 s is usual.")
        _checks.at_least(owner, "mels", self.mels, 1, "band", "64 is usual.")
        _checks.at_least(owner, "low", self.low, 0.0, "Hz", "50 is a good start.")
        _checks.between(owner, "high", self.high, self.low + 1, self.rate / 2, "Half of the rate.")
        _checks.at_least(owner, "window", self.window, self.frame, "s", "1 s is usual.")
        _checks.between(owner, "hop", self.hop, self.step, self.window, "Half of window is usual.")
        _checks.above(owner, "floor", self.floor, 0.0, "", "1e-4 is usual.")

    @property
    def stride(self) -> int:
        """Samples from one spectrum to the next."""
        return round(self.step * self.rate)

    @property
    def frames(self) -> int:
        """Spectra of a window, F."""
        return max(1, round(self.window * self.rate / self.stride))

    @property
    def hop_frames(self) -> int:
        """Spectra from the start of one window to that of the next."""
        return max(1, round(self.hop * self.rate / self.stride))

    def windows(self, seconds: float) -> int:
        """How many windows cover so much sound, S; at least 1."""
        frames = math.ceil(round(seconds * self.rate) / self.stride)
        return 1 + max(0, math.ceil((frames - self.frames) / self.hop_frames))


@dataclass(frozen=True)
class SoundWindows:
    """The windows of a stretch of sound, which may overlap.

    Attributes:
        mels: (S, F, M) float32, natural logarithms of magnitudes.
        mask: (S,) bool, True where at least half of the window, or as much as there is of a
            shorter sound, is real.
        times: (S, 2) float64, start and end in s on the film's clock.
        damage: what was wrong with the track, None where nothing was.
    """

    mels: np.ndarray
    mask: np.ndarray
    times: np.ndarray
    damage: str | None = None


def load_sound(
    path: str,
    config: MelConfig | None = None,
    start: float | None = None,
    end: float | None = None,
    count: int | None = None,
    limit: float = LIMIT_S,
) -> SoundWindows:
    """The windows of a clip of a film or of a sound file.

    A film without sound gives windows whose mask is all False.

    Args:
        path: file or URL.
        config: how sound becomes windows; None is `MelConfig()`.
        start, end: the clip in the file, s; None are its beginning and end.
        count: windows of the answer, S; None is as many as cover the clip.
        limit: most seconds of sound.
    Raises:
        VideoError: see `read_sound`.
        ValueError: `count` is below 1.
    """
    config = config or MelConfig()
    sound = read_sound(path, rate=config.rate, start=start, end=end, limit=limit)
    return sound_windows(sound, config, count)


def sound_windows(sound: Sound, config: MelConfig, count: int | None = None) -> SoundWindows:
    """Cuts sound into windows; the last one is filled with silence.

    Args:
        sound: at `config.rate`.
        config: how sound becomes windows.
        count: windows of the answer, S: where more cover the sound, so many evenly spread are
            taken; where fewer do, windows go on after its end. None is as many as cover it.
    Raises:
        ValueError: `count` is below 1, or the sound has another rate.
    """
    if sound.rate != config.rate:
        raise ValueError(
            f"sound_windows: the sound must have {config.rate} samples per s, got {sound.rate}. "
            "Read it at that rate."
        )
    covering = config.windows(len(sound.samples) / config.rate)
    wanted = covering if count is None else count
    _checks.at_least("sound_windows", "count", wanted, 1, "window", "None covers the sound.")
    made = max(covering, wanted)
    short = _samples(made, config) - len(sound.samples)
    mels, mask = windows_of(
        np.pad(sound.samples, (0, short)), np.pad(sound.real, (0, short)), config
    )
    chosen = np.round(np.linspace(0, made - 1, wanted)).astype(int)
    starts = sound.start + chosen * config.hop_frames * config.stride / config.rate
    times = np.stack([starts, starts + config.frames * config.stride / config.rate], axis=1)
    return SoundWindows(mels.numpy()[chosen], mask.numpy()[chosen], times, sound.damage)


def windows_of(samples: tf.Tensor, real: tf.Tensor, config: MelConfig) -> tuple:
    """All windows of samples whose number is known; works inside a graph.

    Args:
        samples: (N,) float32.
        real: (N,) bool, False where there is no sound.
        config: how sound becomes windows.
    Output: mels (S, F, M) float32 and mask (S,) bool, S = `config.windows(N/rate)`.
    """
    count = config.windows(samples.shape[0] / config.rate)
    short = _samples(count, config) - samples.shape[0]
    spectra = log_mel(tf.pad(samples, [[0, short]]), config)  # (T, M)
    mels = tf.signal.frame(spectra, config.frames, config.hop_frames, axis=0)  # (S, F, M)
    size, hop = (n * config.stride for n in (config.frames, config.hop_frames))
    shares = tf.signal.frame(tf.cast(tf.pad(real, [[0, short]]), tf.float32), size, hop)
    share = tf.reduce_mean(shares, axis=1)  # (S,)
    least = tf.minimum(0.5, tf.reduce_max(share))  # of a sound shorter than that, what there is
    return mels, tf.logical_and(share > 0, share >= least)


def log_mel(samples: tf.Tensor, config: MelConfig) -> tf.Tensor:
    """The log-mel spectrum of a sound.

    y[t,m] = ln max(Σ_k |X[t,k]|·w[k,m], floor), X the Fourier transform of the samples from
    t·stride on under a Hann window, w triangles evenly spread on the mel scale (HTK's: 2595·
    log10(1 + f/700)).

    Args:
        samples: (N,) float32.
        config: how long, how often, which bands.
    Output: (ceil(N/stride), M) float32.
    """
    import tensorflow_io as tfio  # heavy, and only those who listen need it

    width = round(config.frame * config.rate)
    size = 1 << (width - 1).bit_length()
    magnitude = tfio.audio.spectrogram(samples, nfft=size, window=width, stride=config.stride)
    mels = tfio.audio.melscale(
        magnitude, rate=config.rate, mels=config.mels, fmin=config.low, fmax=config.high
    )
    mels = tf.ensure_shape(mels, [-(-samples.shape[0] // config.stride), config.mels])
    return tf.math.log(tf.maximum(mels, config.floor))


def _samples(count: int, config: MelConfig) -> int:
    """Samples that so many windows cover."""
    return ((count - 1) * config.hop_frames + config.frames) * config.stride
