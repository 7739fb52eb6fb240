"""Frames of a film at a regular pace, one by one, in memory that does not grow."""

import math
from collections.abc import Callable, Generator

import numpy as np

from sora_tf._checks import above
from sora_tf.video.opening import open_film
from sora_tf.video.pictures import frames_between, scaler_of
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
        scaler, last = None, -1
        for time, frame in frames_between(film, start, end):
            if _place(time, step) == last:
                continue
            last = _place(time, step)
            scaler = scaler or scaler_of(film, frame, size, fit)
            picture = np.empty((*scaler.size, 3), np.uint8)
            scaler.into(frame, picture)
            yield time, picture
        if not film.shown:
            raise film.none_came()
        if film.damage and damaged:
            damaged(film.damage)
