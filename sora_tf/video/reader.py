"""Films to arrays: what a file is, its frames, and its frames at given times."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import av
import numpy as np

from .._checks import above, at_least, one_of
from .errors import VideoError
from .film import Film
from .geometry import FITS, pixel_aspect, shown_size
from .scaler import Scaler, film_orientation
from .seeking import TOLERANCE_S, frames_at
from .source import Source

LIMIT = 2 * 2**30
CHUNK_BYTES = 8 * 2**20


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


@dataclass(frozen=True)
class VideoInfo:
    """What a file says it holds. Headers lie: nothing here is checked against the frames.

    Attributes:
        path: as given.
        container: ffmpeg's name of the format.
        codec: ffmpeg's name of the codec.
        width, height: pixels as shown, after pixel aspect and rotation.
        coded_width, coded_height: pixels as stored.
        pixel_format: ffmpeg's name, or "" where unknown.
        rotation: degrees clockwise, 0, 90, 180 or 270.
        mirrored: whether the picture is flipped left to right before it is turned.
        pixel_aspect: width of a pixel over its height.
        fps: mean frames per second, or None.
        duration: s, or None.
        declared_frames: as the header says, or None.
        has_audio: whether there is a sound stream.
    """

    path: str
    container: str
    codec: str
    width: int
    height: int
    coded_width: int
    coded_height: int
    pixel_format: str
    rotation: int
    mirrored: bool
    pixel_aspect: float
    fps: float | None
    duration: float | None
    declared_frames: int | None
    has_audio: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def probe(source: Source) -> VideoInfo:
    """Says what a file holds: reads its header, and its first frame for the rotation.

    Raises:
        VideoError: it cannot be opened or has no video stream.
    """
    with Film(source) as film:
        first = next(film.frames(), None)
        context = film.stream.codec_context
        aspect = pixel_aspect(film.stream.sample_aspect_ratio)
        width, height, pixel_format = context.width, context.height, context.pix_fmt or ""
        rotation, mirrored, turned = 0, False, False
        if first is not None:
            orientation = film_orientation(first[1])
            width, height, pixel_format = first[1].width, first[1].height, first[1].format.name
            rotation, mirrored = orientation.rotation, orientation.mirrored
            turned = orientation.transpose
        shown = shown_size(width, height, aspect, turned)
        rate = film.stream.average_rate
        return VideoInfo(
            path=film.name,
            container=film.container.format.name,
            codec=context.codec.canonical_name,
            width=shown[1],
            height=shown[0],
            coded_width=width,
            coded_height=height,
            pixel_format=pixel_format,
            rotation=rotation,
            mirrored=mirrored,
            pixel_aspect=aspect,
            fps=float(rate) if rate else None,
            duration=film.duration,
            declared_frames=film.stream.frames or None,
            has_audio=bool(film.container.streams.audio),
        )


def read(
    source: Source,
    at: Iterable[float] | None = None,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    start: float | None = None,
    end: float | None = None,
    limit: int = LIMIT,
    threads: int = 1,
    snap: float = 0.0,
    patience: float | None = None,
) -> VideoFrames:
    """Reads all frames of a film, or those on screen at given times.

    Args:
        source: a local path, a URL (through fsspec) or a binary file object.
        at: times in s since the first frame, in any order; each gives the frame on screen then
            (the first frame before the film, the last one after it). None gives every frame.
        size: (H, W) of the output; None keeps the size at which the first frame is shown.
        fit: "stretch", "cover" (cuts what hangs over) or "contain" (black bars).
        start, end: with `at` None, only frames whose time is in [start, end), in s.
        limit: most bytes of frames.
        threads: decoder threads.
        snap: with `at`, a keyframe within so many s of the time asked will do: much cheaper in
            long films. `times` says which frame it is.
        patience: most seconds to spend on decoding; what there is by then is given.
    Raises:
        VideoError: the file cannot be read, or the frames are more than `limit` bytes.
        ValueError: an argument is out of its range.
    """
    _check("read", size, fit, start, end)
    above("read", "limit", limit, 0, "bytes", "Leave it out for 2 GiB.")
    at_least("read", "snap", snap, 0, "s", "Use 0 for exact frames.")
    if at is not None and not (start is None and end is None):
        raise ValueError(
            f"read: at cannot go with start={start!r} or end={end!r}. Give the times alone."
        )
    with Film(source, threads, patience) as film:
        if at is not None:
            return read_at(film, np.asarray(list(at), float), size, fit, limit, snap)
        return _read_all(film, size, fit, start, end, limit)


def frames_of(
    source: Source,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    start: float | None = None,
    end: float | None = None,
    threads: int = 1,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (time in s, frame (H, W, 3) uint8) one by one, in memory that does not grow.

    Arguments and errors as `read`; a damaged film ends where its frames do.
    """
    _check("frames_of", size, fit, start, end)
    return _stream(source, size, fit, start, end, threads)


def _stream(source, size, fit, start, end, threads) -> Iterator[tuple[float, np.ndarray]]:
    with Film(source, threads) as film:
        scaler = None
        for time, frame in frames_between(film, start, end):
            scaler = scaler or scaler_of(film, frame, size, fit)
            picture = np.empty((*scaler.size, 3), np.uint8)
            scaler.into(frame, picture)
            yield time, picture
        if scaler is None and not film.shown:
            raise film.none_came()


def frames_between(
    film: Film, start: float | None, end: float | None
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time in s, frame) for the frames of a film just opened with time in [start, end)."""
    frames = film.frames()
    for time, frame in frames:
        if end is not None and time >= end - TOLERANCE_S:
            return
        if start is None or time >= start - TOLERANCE_S:
            yield time, frame


def scaler_of(film: Film, first: av.VideoFrame, size: tuple[int, int] | None, fit: str) -> Scaler:
    """A scaler for a film, of which `first` is a frame."""
    return Scaler(film.name, first, film.stream.sample_aspect_ratio, size, fit)


def read_at(
    film: Film,
    times: np.ndarray,
    size: tuple[int, int] | None,
    fit: str,
    limit: int,
    snap: float,
) -> VideoFrames:
    """The body of `read` for given times, on a film just opened."""
    if times.ndim != 1 or not np.isfinite(times).all():
        raise ValueError(
            "read: at must be a flat list of finite times in s, got "
            f"{times.tolist()!r:.80}. Leave out what is no time."
        )
    wanted, places = np.unique(np.maximum(times, 0.0), return_inverse=True)
    scaler: Scaler | None = None
    kept: list[np.ndarray] = []
    kept_times: list[float] = []
    which: list[int] = []
    for _, time, frame in frames_at(film, wanted.tolist() or [0.0], snap):
        if scaler is None:
            scaler = scaler_of(film, frame, size, fit)
            _within(film, len(times), scaler, limit)
        if not which or time != kept_times[-1]:
            picture = np.empty((*scaler.size, 3), np.uint8)
            scaler.into(frame, picture)
            kept.append(picture)
            kept_times.append(time)
        which.append(len(kept) - 1)
    if scaler is None:
        raise film.none_came()
    got = places < len(which)
    order = np.asarray(which)[places[got]] if len(times) else np.zeros(0, int)
    frames = np.empty((len(order), *scaler.size, 3), np.uint8)
    for row, source in enumerate(order):
        frames[row] = kept[source]
    return VideoFrames(frames, np.asarray(kept_times)[order], film.damage)


def _read_all(film: Film, size, fit: str, start, end, limit: int) -> VideoFrames:
    scaler: Scaler | None = None
    chunks: list[np.ndarray] = []
    times: list[float] = []
    per_chunk = 1
    for time, frame in frames_between(film, start, end):
        if scaler is None:
            scaler = scaler_of(film, frame, size, fit)
            per_chunk = max(1, CHUNK_BYTES // (math.prod(scaler.size) * 3))
        row = len(times) % per_chunk
        if row == 0:
            _within(film, len(times) + 1, scaler, limit)
            chunks.append(np.empty((per_chunk, *scaler.size, 3), np.uint8))
        scaler.into(frame, chunks[-1][row])
        times.append(time)
    if not film.shown:
        raise film.none_came()
    if scaler is None:
        return VideoFrames(np.zeros((0, *(size or (0, 0)), 3), np.uint8), np.zeros(0), film.damage)
    _within(film, len(times), scaler, limit)
    frames = np.empty((len(times), *scaler.size, 3), np.uint8)
    for place in range(0, len(times), per_chunk):
        part = frames[place : place + per_chunk]
        part[...] = chunks.pop(0)[: len(part)]
    return VideoFrames(frames, np.asarray(times), film.damage)


def _within(film: Film, count: int, scaler: Scaler, limit: int) -> None:
    needed = count * math.prod(scaler.size) * 3
    if needed > limit:
        raise VideoError(
            film.name,
            "over the limit",
            f"{count} frames of {scaler.size[0]} by {scaler.size[1]} or more take {needed} bytes "
            f"and the limit is {limit}",
            "Pass a smaller size, times (at=...), start and end, or limit=... in bytes.",
        )


def _check(owner: str, size, fit: str, start: float | None, end: float | None) -> None:
    one_of(owner, "fit", fit, FITS)
    if size is not None and (len(size) != 2 or any(int(n) != n or n < 1 for n in size)):
        raise ValueError(
            f"{owner}: size must be two whole numbers (H, W) above 0, got {size!r}. "
            "Use (224, 224), say."
        )
    if start is not None and end is not None:
        above(owner, "end", end, start, "s (the start)", "Give an end after the start.")
