"""A number of frames spread over a film, whatever its header says."""

import numpy as np

from sora_tf._checks import above, at_least
from sora_tf.video.errors import VideoError
from sora_tf.video.film import Reel
from sora_tf.video.opening import open_film
from sora_tf.video.pictures import (
    LIMIT,
    VideoFrames,
    frames_between,
    pictures_at,
    pictures_by_place,
)
from sora_tf.video.reader import check_ask
from sora_tf.video.sampling import random_in_segments, uniform
from sora_tf.video.source import Source

LONG_SEGMENT_S = 4.0
SNAP_SHARE = 0.25


def sample(
    source: Source,
    count: int,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    start: float | None = None,
    end: float | None = None,
    rng: np.random.Generator | None = None,
    snap: float | None = None,
    limit: int = LIMIT,
    threads: int = 1,
    patience: float | None = None,
) -> VideoFrames:
    """Reads `count` different frames spread evenly over a film, in their order.

    The header's duration is only a first guess: where it is missing the packets are counted
    undecoded, and where the frames turn out to end sooner the spread is made anew. A film, or
    part, with fewer than `count` frames gives all of them; a part in which no frame begins, the
    one on screen.

    Args:
        source, size, fit, limit, threads, patience: as in `read`.
        count: frames wanted, 1 or more.
        start, end: the part of the film to look at, in s; None means all.
        rng: with it, one frame at a random time in each of `count` equal segments; without it,
            the frame in the middle of each.
        snap: a keyframe this many s away will do. None means a quarter of a segment where
            segments last above 4 s (long films, where exactness is dear), else 0.
    Raises:
        VideoError, ValueError: as `read`.
    """
    check_ask("sample", size, fit, start, end)
    at_least("sample", "count", count, 1, "frames", "Ask for one frame or more.")
    above("sample", "limit", limit, 0, "bytes", "Leave it out for 2 GiB.")
    begin = start or 0.0
    with open_film(source, threads, patience) as film:
        length = film.measure()
        near = snap
        shown = None  # what is on screen in a part in which no frame begins
        for _ in range(3):
            stop = length if end is None else min(end, length)
            if stop <= begin:
                shown = None
                break
            step = (stop - begin) / count
            if near is None:
                near = SNAP_SHARE * step if step > LONG_SEGMENT_S else 0.0
            times = begin + _spread(stop - begin, count, rng)
            found = shown = _distinct(pictures_at(film, times, size, fit, limit, near))
            if len(found.times) == count or film.expired:
                return found
            last = film.last
            film.restart()
            if last is not None and last <= stop - step:  # it ends sooner than the header says
                length = last + film.step
            elif near > 0:  # several times fell on one keyframe
                near = 0.0
            else:
                break
        return _by_count(film, count, start, end, size, fit, limit, rng, shown)


def _spread(length: float, count: int, rng: np.random.Generator | None) -> np.ndarray:
    return uniform(length, count) if rng is None else random_in_segments(length, count, rng)


def _distinct(found: VideoFrames) -> VideoFrames:
    fresh = np.ones(len(found.times), bool)
    fresh[1:] = np.diff(found.times) > 0
    return VideoFrames(found.frames[fresh], found.times[fresh], found.damage)


def _by_count(film: Reel, count: int, start, end, size, fit, limit, rng, shown) -> VideoFrames:
    """Decodes twice: to count the frames there are, then to take some by their place."""
    there = sum(1 for _ in frames_between(film, start, end))
    if not there:
        if shown is not None and len(shown.times):
            return shown
        if film.shown:
            raise VideoError(film.name, "no frames", f"none between {start} s and {end} s")
        raise film.none_came()
    places = np.arange(there)
    if there > count:
        places = _spread(there, count, rng).astype(int)
    film.restart()
    return pictures_by_place(film, set(places.tolist()), start, end, size, fit, limit)
