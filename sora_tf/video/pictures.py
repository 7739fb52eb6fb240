"""Decoded frames gathered into arrays, in memory bounded by what was asked for."""

import math
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import NamedTuple

import av
import numpy as np

from sora_tf.video.errors import VideoError
from sora_tf.video.film import Reel
from sora_tf.video.scaler import Scaler
from sora_tf.video.seeking import TOLERANCE_S, frames_at, frames_from

LIMIT = 2 * 2**30
BUFFER_BYTES = 128 * 2**20


class VideoFrames(NamedTuple):
    """Frames of a film.

    Attributes:
        frames: (T, H, W, 3) uint8, RGB.
        times: (T,) float64, s since the first frame of the film.
        damage: what is wrong with the film, as far as it was read; None if nothing is.
    """

    frames: np.ndarray
    times: np.ndarray
    damage: str | None


def frames_between(
    film: Reel, start: float | None, end: float | None
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time in s, frame) for the frames of a film just opened with time in [start, end)."""
    for time, frame in film.frames() if start is None else frames_from(film, start):
        if end is not None and time >= end - TOLERANCE_S:
            return
        if start is None or time >= start - TOLERANCE_S:
            yield time, frame


def scaler_of(film: Reel, first: av.VideoFrame, size: tuple[int, int] | None, fit: str) -> Scaler:
    """A scaler for a film, of which `first` is a frame."""
    return Scaler(film.name, first, film.aspect, size, fit)


def pictures_at(
    film: Reel,
    times: np.ndarray,
    size: tuple[int, int] | None,
    fit: str,
    limit: int,
    snap: float,
) -> VideoFrames:
    """The frames on screen at `times` (N,) in s, in that order, on a film just opened."""
    if times.ndim != 1 or not np.isfinite(times).all():
        raise ValueError(
            "at must be a flat list of finite times in s, got "
            f"{times.tolist()!r:.80}. Leave out what is no time."
        )
    wanted, places, counts = np.unique(
        np.maximum(times, 0.0), return_inverse=True, return_counts=True
    )
    rows_of = np.split(np.argsort(places, kind="stable"), np.cumsum(counts)[:-1])
    frames = np.empty(0, np.uint8)
    shown_at = np.full(len(times), np.nan)
    scaler: Scaler | None = None
    last = (math.nan, 0)  # time and row of the frame scaled last
    for place, time, frame in frames_at(film, wanted.tolist() or [0.0], snap):
        if scaler is None:
            scaler = scaler_of(film, frame, size, fit)
            _within(film, len(times), scaler, limit)
            frames = np.empty((len(times), *scaler.size, 3), np.uint8)
        for row in rows_of[place].tolist():
            if time == last[0]:
                frames[row] = frames[last[1]]
            else:
                scaler.into(frame, frames[row])
            shown_at[row], last = time, (time, row)
    if scaler is None:
        raise film.none_came()
    got = ~np.isnan(shown_at)
    if not got.all():
        frames, shown_at = frames[got], shown_at[got]
    return VideoFrames(frames, shown_at, film.damage)


def pictures_one_by_one(
    film: Reel,
    frames: Iterable[tuple[float, av.VideoFrame]],
    size: tuple[int, int] | None,
    fit: str,
    damaged: Callable[[str], None] | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Frames of a film as (time in s, picture (H, W, 3) uint8), scaled one after another.

    Args:
        film: just opened.
        frames: those of it that are wanted.
        size, fit: as in `read`.
        damaged: told at the end what was wrong with the film, if anything was.
    Raises:
        VideoError: nothing of the film can be shown.
    """
    scaler = None
    for time, frame in frames:
        scaler = scaler or scaler_of(film, frame, size, fit)
        picture = np.empty((*scaler.size, 3), np.uint8)
        scaler.into(frame, picture)
        yield time, picture
    if not film.shown:
        raise film.none_came()
    if damaged and film.damage:
        damaged(film.damage)


def pictures_between(
    film: Reel,
    start: float | None,
    end: float | None,
    size: tuple[int, int] | None,
    fit: str,
    limit: int,
) -> VideoFrames:
    """All frames of a film just opened with time in [start, end); there may be none."""
    stop = min(x for x in (end, film.duration, math.inf) if x is not None)
    likely = (stop - (start or 0.0)) / film.step + 1
    found = _gather(film, frames_between(film, start, end), likely, size, fit, limit)
    if not film.shown:
        raise film.none_came()
    return found


def pictures_by_place(
    film: Reel,
    places: Collection[int],
    start: float | None,
    end: float | None,
    size: tuple[int, int] | None,
    fit: str,
    limit: int,
) -> VideoFrames:
    """Those frames of `pictures_between` whose place among them, from 0, is in `places`."""
    frames = frames_between(film, start, end)
    chosen = (shown for place, shown in enumerate(frames) if place in places)
    return _gather(film, chosen, len(places), size, fit, limit)


def _gather(
    film: Reel,
    shown: Iterator[tuple[float, av.VideoFrame]],
    likely: float,
    size: tuple[int, int] | None,
    fit: str,
    limit: int,
) -> VideoFrames:
    scaler: Scaler | None = None
    buffers: list[np.ndarray] = []
    times: list[float] = []
    row = 0
    for time, frame in shown:
        if scaler is None:
            scaler = scaler_of(film, frame, size, fit)
        if not buffers or row == len(buffers[-1]):
            _within(film, len(times) + 1, scaler, limit)
            buffers.append(_buffer(likely if not buffers else len(times), scaler))
            row = 0
        scaler.into(frame, buffers[-1][row])
        times.append(time)
        row += 1
    if scaler is None:
        return VideoFrames(np.zeros((0, *(size or (0, 0)), 3), np.uint8), np.zeros(0), film.damage)
    _within(film, len(times), scaler, limit)
    buffers[-1].resize((row, *scaler.size, 3), refcheck=False)  # gives back, copies nothing
    frames = buffers[0] if len(buffers) == 1 else np.concatenate(buffers)
    return VideoFrames(frames, np.asarray(times), film.damage)


def _buffer(likely: float, scaler: Scaler) -> np.ndarray:
    """Room for a likely number of frames, which may be a lie: memory is taken as it is filled."""
    most = max(1, BUFFER_BYTES // (math.prod(scaler.size) * 3))
    return np.empty((int(min(most, max(16, likely))), *scaler.size, 3), np.uint8)


def _within(film: Reel, count: int, scaler: Scaler, limit: int) -> None:
    needed = count * math.prod(scaler.size) * 3
    if needed > limit:
        raise VideoError(
            film.name,
            "over the limit",
            f"{count} frames of {scaler.size[0]} by {scaler.size[1]} or more take {needed} bytes "
            f"and the limit is {limit}",
            "Pass a smaller size, times (at=...), start and end, or limit=... in bytes.",
        )
