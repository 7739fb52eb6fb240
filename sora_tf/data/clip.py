"""The one way a stretch of video becomes what a model is fed."""

from collections.abc import Sequence

import numpy as np

from sora_tf import _checks
from sora_tf.data.cache import ClipCache, clip_key
from sora_tf.video import VideoFrames, sample


def load_clip(
    path: str,
    frames: int,
    size: tuple[int, int],
    start: float | None = None,
    end: float | None = None,
    fit: str = "stretch",
    cache: ClipCache | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads a clip as a model takes it: T frames evenly spread, short clips padded.

    Args:
        path: file or URL.
        frames: frames wanted, T.
        size: height and width in pixels, (H, W).
        start: beginning of the clip in the video, s; None is the video's.
        end: end of the clip, s; None is the video's.
        fit: how a picture fills the size: "stretch", "cover" or "contain".
        cache: where decoded clips are kept, if anywhere.
    Returns:
        frames (T, H, W, 3) uint8; mask (T,) bool, False on padding; times (T,) float64, s from
        the beginning of the video, the last real one repeated on padding.
    Raises:
        VideoError: the file cannot be read, or holds no frame there.
        ValueError: fewer than 1 frame wanted.
    """
    video = decode(path, frames, size, start, end, fit, cache)
    pictures, mask = pad(video.frames, frames)
    times, _ = pad(video.times, frames)
    return pictures, mask, times


def decode(
    path: str,
    count: int,
    size: tuple[int, int],
    start: float | None = None,
    end: float | None = None,
    fit: str = "stretch",
    cache: ClipCache | None = None,
    patience: float | None = None,
) -> VideoFrames:
    """Reads up to `count` frames evenly spread, out of the cache where they are there.

    Args:
        path, size, start, end, fit, cache: as in `load_clip`.
        count: most frames wanted.
        patience: most seconds of decoding; what there is by then is given, and not kept in the
            cache, for another time there may be more.
    Returns:
        frames (n, H, W, 3) uint8, 1 <= n <= count; times (n,) s; damage, None where there is none.
    Raises:
        VideoError: the file cannot be read, or holds no frame there.
        ValueError: fewer than 1 frame wanted.
    """
    _checks.at_least("load_clip", "frames", count, 1, "frame", "16 is usual.")

    def read() -> VideoFrames:
        return sample(path, count, size=size, fit=fit, start=start, end=end, patience=patience)

    if cache is None or patience is not None:
        return read()
    try:
        key = clip_key(path, count, size, start, end, fit)
    except OSError:
        return read()  # says in one sentence what is wrong with the file
    return cache.get(key, read)


def is_cached(
    path: str,
    count: int,
    size: tuple[int, int],
    start: float | None,
    end: float | None,
    fit: str,
    cache: ClipCache,
) -> bool:
    """Whether `decode` of the same arguments would look no further than the cache."""
    try:
        return cache.has(clip_key(path, count, size, start, end, fit))
    except OSError:
        return False


def pad(values: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Repeats the last of n values until there are `length`; a mask is False on what was added.

    A model never looks at padding; real pictures in it keep the statistics of a batch sane.

    Args:
        values: (n, ...), 1 <= n <= length.
        length: T.
    Output: (T, ...) and (T,) bool.
    """
    n = len(values)
    return values[np.minimum(np.arange(length), n - 1)], np.arange(length) < n


def collate(clips: Sequence[tuple[np.ndarray, ...]]) -> dict[str, np.ndarray]:
    """Stacks what `load_clip` gives into a batch for a model.

    Args:
        clips: B tuples that begin with frames (T, H, W, 3) and mask (T,).
    Output: {"frames": (B, T, H, W, 3) uint8, "mask": (B, T) bool}.
    Raises:
        ValueError: no clips.
    """
    if not clips:
        raise ValueError("collate: clips must not be empty, got none. Give one or more.")
    return {
        "frames": np.stack([clip[0] for clip in clips]),
        "mask": np.stack([clip[1] for clip in clips]),
    }
