"""Films to arrays: what a file is, its frames, and its frames at given times."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any

import numpy as np

from sora_tf._checks import above, at_least, one_of
from sora_tf.video.clock import DEFAULT_RATE
from sora_tf.video.geometry import FITS, Orientation, pixel_aspect, shown_size
from sora_tf.video.opening import open_film
from sora_tf.video.pictures import (
    LIMIT,
    VideoFrames,
    frames_between,
    pictures_at,
    pictures_between,
    pictures_one_by_one,
)
from sora_tf.video.scaler import film_orientation
from sora_tf.video.source import Source

MOST_RATE = 240.0  # frames per second; more is a header's mistake


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

    @property
    def rate(self) -> float:
        """Frames per second to reckon with: 25 where the header says none, or too many."""
        return self.fps if self.fps and 0 < self.fps <= MOST_RATE else DEFAULT_RATE

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


def probe(source: Source) -> VideoInfo:
    """Says what a file holds: reads its header, and its first frame for the rotation.

    Raises:
        VideoError: it cannot be opened or has no video stream.
    """
    with open_film(source) as film:
        first = next(film.frames(), None)
        facts = film.facts()
        aspect = pixel_aspect(film.aspect)
        width, height, pixel_format = facts.width, facts.height, facts.pixel_format
        orientation = Orientation()
        if first is not None:
            orientation = film_orientation(first[1])
            width, height, pixel_format = first[1].width, first[1].height, first[1].format.name
        shown = shown_size(width, height, aspect, orientation.transpose)
        return VideoInfo(
            path=film.name,
            container=facts.container,
            codec=facts.codec,
            width=shown[1],
            height=shown[0],
            coded_width=width,
            coded_height=height,
            pixel_format=pixel_format,
            rotation=orientation.rotation,
            mirrored=orientation.mirrored,
            pixel_aspect=aspect,
            fps=facts.fps,
            duration=film.duration,
            declared_frames=facts.declared_frames,
            has_audio=facts.has_audio,
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
    check_ask("read", size, fit, start, end)
    above("read", "limit", limit, 0, "bytes", "Leave it out for 2 GiB.")
    at_least("read", "snap", snap, 0, "s", "Use 0 for exact frames.")
    if at is not None and not (start is None and end is None):
        raise ValueError(
            f"read: at cannot go with start={start!r} or end={end!r}. Give the times alone."
        )
    with open_film(source, threads, patience) as film:
        if at is not None:
            return pictures_at(film, np.asarray(list(at), float), size, fit, limit, snap)
        return pictures_between(film, start, end, size, fit, limit)


def frames_of(
    source: Source,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    start: float | None = None,
    end: float | None = None,
    threads: int = 1,
    every: int = 1,
    numbers: Iterable[int] | None = None,
    damaged: Callable[[str], None] | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (time in s, frame (H, W, 3) uint8) one by one, in memory that does not grow.

    Arguments and errors as `read`; a damaged film ends where its frames do.

    Args:
        every: takes the first of every so many frames; the others are decoded and not scaled.
        numbers: takes those alone, rising, 0 being the first frame that it would take else, and
            ends after the last.
        damaged: told at the end what was wrong with the film, if anything was.
    """
    check_ask("frames_of", size, fit, start, end)
    at_least("frames_of", "every", every, 1, "frames", "Use 1 for all frames.")
    wanted = count(0, every) if numbers is None else numbers
    return _stream(source, size, fit, start, end, threads, wanted, damaged)


def _stream(
    source, size, fit, start, end, threads, numbers, damaged
) -> Iterator[tuple[float, np.ndarray]]:
    with open_film(source, threads) as film:
        frames = _numbered(frames_between(film, start, end), iter(numbers))
        yield from pictures_one_by_one(film, frames, size, fit, damaged)


def _numbered(frames, numbers):
    """Those frames whose numbers are given, rising, until there are no more of either."""
    wanted = next(numbers, None)
    for number, frame in enumerate(frames):
        if number == wanted:
            yield frame
            wanted = next(numbers, None)
        if wanted is None:
            return


def check_ask(owner: str, size, fit: str, start: float | None, end: float | None) -> None:
    """Checks the arguments that all reading functions share."""
    one_of(owner, "fit", fit, FITS)
    if size is not None and (len(size) != 2 or any(int(n) != n or n < 1 for n in size)):
        raise ValueError(
            f"{owner}: size must be two whole numbers (H, W) above 0, got {size!r}. "
            "Use (224, 224), say."
        )
    if start is not None and end is not None:
        above(owner, "end", end, start, "s (the start)", "Give an end after the start.")
