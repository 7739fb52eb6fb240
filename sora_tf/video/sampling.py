"""Which moments of a film to look at. Pure functions on times in seconds."""

import math

import numpy as np

from sora_tf._checks import above, at_least


def uniform(duration: float, count: int) -> np.ndarray:
    """The centres of `count` equal segments of [0, duration): (count,) float64, in s.

    t_i = (i + ½)·duration / count

    Raises:
        ValueError: `duration` or `count` is not above 0.
    """
    _check("uniform", duration, count)
    return (np.arange(count) + 0.5) * (duration / count)


def random_in_segments(duration: float, count: int, rng: np.random.Generator) -> np.ndarray:
    """One random time in each of `count` equal segments: (count,) float64, in s, increasing.

    t_i = (i + u_i)·duration / count, u_i uniform in [0, 1)

    Raises:
        ValueError: `duration` or `count` is not above 0.
    Reference: Wang et al., Temporal Segment Networks, ECCV 2016, section 3.1.
    """
    _check("random_in_segments", duration, count)
    return (np.arange(count) + rng.random(count)) * (duration / count)


def stride(duration: float, fps: float, offset: float = 0.0) -> np.ndarray:
    """Every 1/fps seconds from `offset` on, below `duration`: (N,) float64, in s.

    Raises:
        ValueError: `duration` or `fps` is not above 0, or `offset` is below 0.
    """
    above("stride", "duration", duration, 0, "s", "Give the film's length.")
    above("stride", "fps", fps, 0, "frames/s", "Give how many frames to take in a second.")
    at_least("stride", "offset", offset, 0, "s", "Give 0 to begin with the first frame.")
    count = max(0, math.ceil((duration - offset) * fps - 1e-9))
    return offset + np.arange(count) / fps


def windows(duration: float, length: float, step: float) -> list[tuple[float, float]]:
    """Windows (start, end) of `length` s, one each `step` s, that cover [0, duration].

    The last one is moved back to end with the film. A film no longer than `length` gives the
    one window (0, duration).

    Raises:
        ValueError: an argument is not above 0, or `step` is above `length`, which leaves gaps.
    """
    above("windows", "duration", duration, 0, "s", "Give the film's length.")
    above("windows", "length", length, 0, "s", "Give the length of a window.")
    above("windows", "step", step, 0, "s", "Give the time from one window to the next.")
    at_least("windows", "length", length, step, "s (the step)", "Take a smaller step.")
    last = duration - length
    count = math.ceil(last / step - 1e-9)  # windows before the last one
    if count < 1:
        return [(0.0, float(duration))]
    starts = [i * step for i in range(count)]
    return [(start, start + length) for start in [*starts, last]]


def _check(owner: str, duration: float, count: int) -> None:
    above(owner, "duration", duration, 0, "s", "Give the film's length.")
    at_least(owner, "count", count, 1, "frames", "Ask for one frame or more.")
