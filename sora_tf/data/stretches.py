"""Which frames of annotated video a detector is shown, in training and to be judged."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from sora_tf.data.boxes import Annotated
from sora_tf.data.index import Clip
from sora_tf.video import VideoError, VideoFrames, frames_of, probe


@dataclass(frozen=True)
class Stretch:
    """Some frames of one video, with what is known of them.

    Args:
        clip: where it is from.
        frames: (n,) int64, their numbers in the video, rising.
        fps: frames a second of the video.
        size: width and height of the video as it is shown, pixels.
    """

    clip: Clip
    frames: np.ndarray
    fps: float
    size: tuple[int, int]


def stretches(clip: Clip, known: Annotated, frames: int, step: float, most: int) -> list[Stretch]:
    """Stretches of a clip that end at frames whose boxes are known, evenly spread.

    Args:
        clip: the clip.
        known: what is known of its video.
        frames: frames of a stretch, T; a shorter clip gives what it has.
        step: time between them, s; 0 takes the video's own.
        most: most stretches.

    Returns:
        `most` or fewer; none where no frame's boxes are known between the clip's start and end.

    Raises:
        VideoError: the video does not open.
    """
    span = _span(clip, known, step)
    if span is None:
        return []
    reach = span.first + span.every * (frames - 1)
    ends = np.unique(np.minimum(np.maximum(span.known, reach), max(span.last, span.known[-1])))
    back = span.every * np.arange(frames)[::-1]
    return [span.stretch(end - back) for end in _evenly(ends, most)]


def walks(clip: Clip, known: Annotated, frames: int, step: float, most: int) -> list[Stretch]:
    """As `stretches`, with those that meet as one: frames that one is shown in a row.

    Where there are enough of them, the frames whose boxes are known are taken in step with one
    another, so that stretches do meet.
    """
    span = _span(clip, known, step)
    if span is None:
        return []
    alike = span.known[(span.known - span.known[0]) % span.every == 0]
    ends = alike if len(alike) >= min(most, len(span.known)) else span.known
    found: list[Stretch] = []
    for end in _evenly(ends, most):
        begin = end - span.every * (frames - 1)
        last = found[-1].frames[-1] if found else -math.inf
        if last + span.every >= begin and (end - last) % span.every == 0:
            begin = found.pop().frames[0]
        found.append(span.stretch(np.arange(end, begin - 1, -span.every)[::-1]))
    return found


class _Span(NamedTuple):
    """The part of a video that a clip is."""

    clip: Clip
    fps: float
    size: tuple[int, int]
    every: int  # frames from one that is taken to the next
    first: int
    last: float
    known: np.ndarray  # frames in it whose boxes are known, rising

    def stretch(self, frames: np.ndarray) -> Stretch:
        """Those of some frames that the clip has."""
        return Stretch(self.clip, frames[frames >= self.first], self.fps, self.size)


def _span(clip: Clip, known: Annotated, step: float) -> _Span | None:
    """None where no boxes are known in it."""
    info = probe(clip.path)
    fps = info.rate
    first = math.ceil((clip.start or 0.0) * fps - 1e-6)
    last = math.inf if clip.end is None else math.ceil(clip.end * fps - 1e-6) - 1
    if info.duration:
        last = min(last, round(info.duration * fps) - 1)
    inside = known.frames[(known.frames >= first) & (known.frames <= last)]
    size = (info.width, info.height)
    if not len(inside):
        return None
    return _Span(clip, fps, size, max(1, round(step * fps)), first, last, inside)


def _evenly(numbers: np.ndarray, most: int) -> np.ndarray:
    """At most so many of some numbers, evenly spread."""
    count = min(most, len(numbers))
    return numbers[((np.arange(count) + 0.5) * len(numbers) / count).astype(int)]


def frames_numbered(path: str, numbers: np.ndarray, size: tuple[int, int]) -> VideoFrames:
    """Reads frames by number: those that the video has, the first being 0.

    Args:
        path: file or URL.
        numbers: (n,) int64, rising.
        size: height and width in pixels.

    Raises:
        VideoError: the video does not read, or ends before the first of them.
    """
    found = list(frames_of(path, size=size, numbers=numbers.tolist()))
    if not found:
        raise VideoError(path, "no frames", f"it has no frame {numbers[0]}")
    times, pictures = zip(*found, strict=True)
    return VideoFrames(np.stack(pictures), np.array(times), None)
