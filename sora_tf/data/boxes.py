"""Boxes on the frames of a video, given by people or found by a detector: one form for all."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np

NOBODY = -1  # the identity of a box that has none
NOTHING = -1.0  # the class of a row of a batch that holds no box
UNSEEN = -2.0  # the class of all rows of a frame whose boxes are not known


@dataclass(frozen=True)
class Boxes:
    """N boxes on the frames of one video, in any order.

    Args:
        frames: (N,) int64, the frame each is on; the video's first is 0.
        boxes: (N, 4) float32, left, top, width, height in pixels of the video as it is shown.
        labels: (N,) int64, class numbers.
        scores: (N,) float32, 0 to 1, or one for all: 1, as of boxes that people gave.
        identities: (N,) int64, the same for the same thing on all frames, or one for all.
    Raises:
        ValueError: the lengths differ, or a box is not of finite numbers and of some size.
    """

    frames: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray = field(default_factory=lambda: np.array(1.0))
    identities: np.ndarray = field(default_factory=lambda: np.array(NOBODY))

    def __post_init__(self) -> None:
        """Gives all five their kind and length, and checks."""
        count = len(self.frames)
        given: dict[str, np.ndarray] = {
            "frames": np.asarray(self.frames, np.int64),
            "boxes": np.asarray(self.boxes, np.float32).reshape(-1, 4),
            "labels": np.asarray(self.labels, np.int64),
            "scores": np.asarray(self.scores, np.float32),
            "identities": np.asarray(self.identities, np.int64),
        }
        for name, values in given.items():
            if values.ndim == 0:
                values = np.full(count, values)
            if len(values) != count:
                raise ValueError(
                    f"Boxes: {name} must have a row for each of the {count} frames, got "
                    f"{len(values)}. Give all five the same length."
                )
            object.__setattr__(self, name, values)
        bad = ~(np.isfinite(self.boxes).all(1) & (self.boxes[:, 2:] > 0).all(1))
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(
                f"Boxes: boxes must be finite and wider and higher than 0 pixels, got "
                f"{self.boxes[row].tolist()} on frame {self.frames[row]}. Leave it out."
            )

    def __len__(self) -> int:
        """The number of boxes."""
        return len(self.frames)

    def of(self, rows: np.ndarray | Sequence[int]) -> "Boxes":
        """Some of the boxes, by number or by a mask (N,) bool."""
        rows = np.asarray(rows)
        rows = rows if rows.dtype == bool else rows.astype(np.int64)
        return replace(self, **{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def on(self, frame: int) -> "Boxes":
        """The boxes on one frame."""
        return self.of(self.frames == frame)

    def clipped(self, width: int, height: int) -> "Boxes":
        """What of each lies in a picture of that many pixels; those wholly outside are left out."""
        low = np.clip(self.boxes[:, :2], 0, (width, height))
        high = np.clip(self.boxes[:, :2] + self.boxes[:, 2:], 0, (width, height))
        inside = (high > low).all(1)
        kept = self.of(inside)
        return replace(kept, boxes=np.concatenate([low, high - low], 1)[inside])

    def scaled(self, across: float, down: float) -> "Boxes":
        """The same boxes on pictures that many times as wide and as high."""
        return replace(self, boxes=self.boxes * np.array([across, down, across, down], np.float32))

    @classmethod
    def none(cls) -> "Boxes":
        """Not one box."""
        return cls(np.zeros(0), np.zeros((0, 4)), np.zeros(0))


@dataclass(frozen=True)
class Annotated:
    """What is known of one video.

    Args:
        boxes: all boxes.
        frames: (F,) int64, rising: the frames whose boxes are known, those without any included.
    """

    boxes: Boxes
    frames: np.ndarray


def joined(parts: Sequence[Boxes]) -> Boxes:
    """All boxes of several, in their order."""
    if not parts:
        return Boxes.none()
    return Boxes(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Boxes)}
    )


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The intersection over the union of every two boxes, (…, N, 4) and (…, M, 4) to (…, N, M)."""
    a, b = np.asarray(one, np.float64)[..., None, :], np.asarray(other, np.float64)[..., None, :, :]
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    both = np.clip(high - low, 0, None).prod(-1)
    return both / (a[..., 2:].prod(-1) + b[..., 2:].prod(-1) - both)
