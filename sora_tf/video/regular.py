"""Frames of a film at a regular pace, one by one, in memory that does not grow."""

import math
from collections.abc import Callable, Generator

import numpy as np

from sora_tf._checks import above
from sora_tf.video.opening import open_film
from sora_tf.video.pictures import frames_between, pictures_one_by_one
from sora_tf.video.reader import check_ask
from sora_tf.video.seeking import TOLERANCE_S
from sora_tf.video.source import Source


def frames_every(
    source: Source,
    step: float,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    start: float | None = None,
    end: float | None = None,
    threads: int = 1,
    damaged: Callable[[str], None] | None = None,
) -> Generator[tuple[float, np.ndarray], None, None]:
    """Yields (time in s, frame (H, W, 3) uint8): the first of each `step` s of a film.

    Time is cut at 0, step, 2·step, ...; a stretch that holds no frame gives none. Only what is
    given is scaled. A reading that starts at `next_cut` of a time goes on after it.

    Args:
        source, size, fit, start, end, threads: as in `read`.
        step: s, above 0.
        damaged: called at the end with what is wrong with the film, if anything is.
    Raises:
        VideoError, ValueError: as `read`; a damaged film ends where its frames do.
    """
    check_ask("frames_every", size, fit, start, end)
    above("frames_every", "step", step, 0, "s", "Use 0.2 for five frames a second.")
    return _stream(source, step, size, fit, start, end, threads, damaged)


def next_cut(time: float, step: float) -> float:
    """The end, in s, of the stretch of `step` s that a time in s lies in."""
    return (_place(time, step) + 1) * step


def _place(time: float, step: float) -> int:
    return math.floor((time + TOLERANCE_S) / step)


def _stream(source, step, size, fit, start, end, threads, damaged):
    with open_film(source, threads) as film:
        frames = _firsts(frames_between(film, start, end), step)
        yield from pictures_one_by_one(film, frames, size, fit, damaged)


def _firsts(frames, step):
    """The first frame of each stretch of `step` s."""
    last = -1
    for time, frame in frames:
        if _place(time, step) != last:
            last = _place(time, step)
            yield time, frame
