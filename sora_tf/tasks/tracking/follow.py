"""The frames of a video with boxes and their identities, one after another."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sora_tf import _checks
from sora_tf.data.boxes import Boxes
from sora_tf.tasks.detector import Detector, chunks, found_on
from sora_tf.tasks.tracking.marks import Marks
from sora_tf.tasks.tracking.tracker import Tracker, TrackerSettings


@dataclass(frozen=True)
class Tracking:
    """How videos are tracked.

    Args:
        every: looks at the first of every so many frames; None leaves it to the detector.
        marks: lines and zones.
        linking: how boxes are linked.
        drawn: whether an annotated film is written.
    Raises:
        ValueError: `every` is below 1.
    """

    every: int | None = None
    marks: Marks = field(default_factory=Marks)
    linking: TrackerSettings = field(default_factory=TrackerSettings)
    drawn: bool = True

    def __post_init__(self) -> None:
        """Checks."""
        if self.every is not None:
            _checks.at_least("Tracking", "every", self.every, 1, "frames", "Use 1 for all.")


class Source(NamedTuple):
    """Where boxes come from: a detector, or boxes that are there already.

    Attributes:
        boxes: the detector, or boxes on the frames of the video.
        labels: names by class number.
        key: names it, with all that its boxes depend on.
    """

    boxes: Detector | Boxes
    labels: Sequence[str]
    key: str


class Seen(NamedTuple):
    """A frame that was looked at: its number from 0, time in s, (H, W, 3) uint8, its boxes."""

    frame: int
    time: float
    picture: np.ndarray
    boxes: Boxes


def follow(
    path: str,
    source: Source,
    settings: Tracking,
    every: int = 1,
    damaged: Callable[[str], None] | None = None,
) -> Iterator[Seen]:
    """Gives the boxes of a video identities, a frame at a time.

    Args:
        path: a file or URL.
        source: what finds the boxes.
        settings: how boxes are linked.
        every: looks at the first of every so many frames.
        damaged: told at the end what is wrong with the film or the boxes given, if anything is.

    Raises:
        VideoError: the file does not read.
        ValueError: boxes were given for frames that the video has not.
    """
    tracker = Tracker(settings.linking)
    given = source.boxes if isinstance(source.boxes, Boxes) else Boxes.none()
    last, outside = -1, 0
    for chunk in chunks(path, every, damaged=damaged):
        if isinstance(source.boxes, Boxes):
            found = given.of(np.isin(given.frames, chunk.numbers))
        else:
            found = found_on(source.boxes, chunk)
        height, width = chunk.pictures[0].shape[:2]
        inside = found.clipped(width, height)
        outside += len(found) - len(inside)
        for number, time, picture in zip(*chunk, strict=True):
            yield Seen(number, time, picture, tracker.update(number, inside.on(number)))
        last = chunk.numbers[-1] + every - 1
    if len(given) and given.frames.max() > last:
        raise ValueError(
            f"{path}: boxes must be on frames of the video, got one on frame "
            f"{given.frames.max() + 1} of {last + 1}. Give the boxes of this video."
        )
    if outside and damaged:
        damaged(f"{outside} boxes lie outside the picture of {width} by {height} pixels")
