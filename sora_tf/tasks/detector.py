"""What a detector is to those who use one, and how it is shown the frames of a video."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

import numpy as np

from sora_tf.data.boxes import Boxes
from sora_tf.video import frames_of
from sora_tf.video.clock import DEFAULT_RATE

CHUNK = 8  # frames shown at once
CHUNK_BYTES = 64 * 2**20


class Detector(Protocol):
    """Finds things on frames."""

    @property
    def labels(self) -> Sequence[str]:
        """Names by class number."""

    @property
    def threshold(self) -> float:
        """From how likely on a thing is given: all its names together, for it may have several."""

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of frames that it need not scale."""

    def detect(self, frames: np.ndarray, first: int = 0) -> Boxes:
        """Boxes on frames (T, H, W, 3) uint8 of any size, in their pixels.

        `first` is the number of the first of them, by which the frames of boxes are counted. 0
        begins another video; until then one that remembers goes on from the frames before.
        """

    @property
    def step(self) -> float:
        """Time between the frames it is best shown, s; 0 is every frame."""


class Chunk(NamedTuple):
    """Some frames of a video: their numbers from 0, times in s, and (H, W, 3) uint8 each."""

    numbers: list[int]
    times: list[float]
    pictures: list[np.ndarray]


def chunks(
    path: str,
    every: int = 1,
    size: tuple[int, int] | None = None,
    damaged: Callable[[str], None] | None = None,
) -> Iterator[Chunk]:
    """The first of every so many frames of a video, as many at a time as memory allows.

    Arguments and errors as `frames_of`.
    """
    chunk = Chunk([], [], [])
    frames = frames_of(path, size=size, every=every, damaged=damaged)
    for number, (time, picture) in enumerate(frames):
        chunk.numbers.append(number * every)
        chunk.times.append(time)
        chunk.pictures.append(picture)
        if len(chunk.numbers) >= min(CHUNK, CHUNK_BYTES // picture.nbytes):
            yield chunk
            chunk = Chunk([], [], [])
    if chunk.numbers:
        yield chunk


def found_on(detector: Detector, chunk: Chunk) -> Boxes:
    """What a detector finds, on frames numbered as in the video."""
    first = chunk.numbers[0]
    found = detector.detect(np.stack(chunk.pictures), first)
    return replace(found, frames=np.array(chunk.numbers)[found.frames - first])


def every_of(detector: Detector, fps: float | None) -> int:
    """Of how many frames of a video a detector is best shown one."""
    return max(1, round(detector.step * (fps or DEFAULT_RATE)))
