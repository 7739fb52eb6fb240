"""Identities for the boxes of a video, frame by frame.

Likely boxes are linked first and unlikely ones with what is left, as in ByteTrack; two boxes are
compared by their overlap after both were made larger, as in C-BIoU, so that small things which
jump beyond themselves are still linked. What a thing is called is pooled over its track, so that
one that looks like a bird here and like a plane there is followed as one, and named once.
Reference: Zhang et al., "ByteTrack: multi-object tracking by associating every detection box",
ECCV 2022; Yang et al., "Hard to track objects with irregular motions and similar appearances? Make
it easier by buffering the matching space", WACV 2023.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from sora_tf import _checks
from sora_tf.data.boxes import NOBODY, Boxes, overlaps
from sora_tf.tasks.tracking.motion import Motion
from sora_tf.tasks.tracking.things import Things, agreement, things, wider

DOUBTS = 6.0  # a box may be so many times as far off as is likely


@dataclass(frozen=True)
class TrackerSettings:
    """How boxes are linked.

    Args:
        sure: score from which a box is linked first and may begin a track, 0 to 1.
        near: what is added to each side of both boxes before they are compared, in widths and
            heights; 0 compares them as they are.
        far: the most that is added in a last round, to what may be far from where it was last.
        least: smallest overlap of two boxes made so much larger, above 0 to 1.
        confirm: frames on which a thing must be found before it gets an identity; what is there
            on the first frame has it at once.
        patience: frames for which a lost thing is remembered.
    Raises:
        ValueError: one is out of its range.
    """

    sure: float = 0.5
    near: float = 0.2
    far: float = 1.5
    least: float = 0.05
    confirm: int = 2
    patience: int = 30

    def __post_init__(self) -> None:
        """Checks."""
        owner = "TrackerSettings"
        _checks.between(owner, "sure", self.sure, 0, 1, "Use 0.5.")
        _checks.at_least(owner, "near", self.near, 0, "box sizes", "Use 0.2.")
        _checks.at_least(owner, "far", self.far, self.near, "box sizes (near)", "Use 1.5.")
        _checks.between(owner, "least", self.least, 1e-6, 1, "Use 0.05.")
        _checks.at_least(owner, "confirm", self.confirm, 1, "frames", "Use 2.")
        _checks.at_least(owner, "patience", self.patience, 1, "frames", "Use 30.")


class Tracker:
    """Gives boxes identities, one frame after another.

    Args:
        settings: how boxes are linked.
    """

    def __init__(self, settings: TrackerSettings | None = None):
        """Begins with nothing known."""
        self.settings = settings or TrackerSettings()
        self._motion = Motion.begun(np.zeros((0, 4)))
        self._beliefs = np.zeros((0, 1))
        self._names = np.zeros(0, np.int64)
        self._hits = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)
        self._first: int | None = None
        self._frame: int | None = None
        self._next = 1

    def update(self, frame: int, boxes: Boxes) -> Boxes:
        """The same boxes with identities.

        Args:
            frame: its number, above that of the last; numbers may be left out.
            boxes: what was found on it. Boxes of one place with different names are one thing,
                as likely as all its names together.

        Returns:
            The boxes in their order. Identities count from 1; `NOBODY` has a box that is not sure
            and belongs to nothing known, that was not yet found often enough, or that is a less
            likely name of a thing. A box with an identity has the name that suits its thing best
            so far, and its score.

        Raises:
            ValueError: the frame is not a later one, or a box is on another.
        """
        self._check(frame, boxes)
        if self._frame is None:
            self._first = self._frame = frame
        steps, self._frame = frame - self._frame, frame
        self._motion = self._motion.ahead(steps)
        found = things(boxes)
        places = boxes.boxes[found.rows]
        track = self._linked(places, found)
        self._note(frame, places, found, track)
        track = self._begin(frame, places, found, track)
        names, labels = np.full(len(boxes), NOBODY), boxes.labels.copy()
        scores = boxes.scores.copy()
        known = track >= 0
        rows = found.rows[known]
        names[rows] = self._names[track[known]]
        labels[rows] = self._beliefs[track[known]].argmax(axis=1)
        scores[rows] = found.scores[known]
        self._forget(frame)
        return replace(boxes, identities=names, labels=labels, scores=scores)

    def _check(self, frame: int, boxes: Boxes) -> None:
        if self._frame is not None and frame <= self._frame:
            raise ValueError(
                f"Tracker: frame must be above the last, {self._frame}, got {frame}. Give frames "
                "in their order, and a new video to a new Tracker."
            )
        if (boxes.frames != frame).any():
            raise ValueError(
                f"Tracker: boxes must be of frame {frame}, got one of {boxes.frames.max()}. Give "
                "those of one frame at a time."
            )

    def _linked(self, places: np.ndarray, found: Things) -> np.ndarray:
        """(N,) the track of each thing, or -1."""
        s = self.settings
        track = np.full(len(places), -1)
        sure = found.scores >= s.sure
        near = np.full(len(self._motion), s.near)
        far = np.clip(DOUBTS * self._motion.doubts(), s.near, s.far)
        named = agreement(self._beliefs, found.beliefs)
        for those, reach in ((sure, near), (~sure, near), (sure, far)):
            rows = np.setdiff1d(np.arange(len(self._motion)), track)
            columns = np.nonzero(those & (track < 0))[0]
            grown = reach[rows, None, None]  # (K, 1, 1)
            worth = overlaps(
                _larger(self._motion.boxes()[rows, None], grown),
                _larger(places[None, columns], grown),
            )[:, 0]  # (K, M)
            worth *= named[rows][:, columns]
            worth[worth < s.least] = 0
            i, j = linear_sum_assignment(-worth)
            real = worth[i, j] > 0
            track[columns[j[real]]] = rows[i[real]]
        return track

    def _note(self, frame: int, places: np.ndarray, found: Things, track: np.ndarray) -> None:
        """Takes in what was found of the tracks."""
        seen = np.nonzero(track >= 0)[0]
        rows = track[seen]
        moved = self._motion.of(rows).seen(places[seen])
        rest = np.setdiff1d(np.arange(len(self._motion)), rows)
        order = np.argsort(np.concatenate([rest, rows]))
        self._motion = self._motion.of(rest).and_(moved).of(order)
        classes = found.beliefs.shape[1]
        self._beliefs = wider(self._beliefs, classes)
        self._beliefs[rows, :classes] += found.beliefs[seen]
        self._hits[rows] += 1
        self._seen[rows] = frame
        for row in rows[(self._hits[rows] >= self.settings.confirm) & (self._names[rows] < 0)]:
            self._name(row)

    def _begin(
        self, frame: int, places: np.ndarray, found: Things, track: np.ndarray
    ) -> np.ndarray:
        """Begins a track with each sure thing that has none."""
        new = np.nonzero((track < 0) & (found.scores >= self.settings.sure))[0]
        there = len(self._motion)
        track = track.copy()
        track[new] = there + np.arange(len(new))
        self._motion = self._motion.and_(Motion.begun(places[new]))
        beliefs = wider(found.beliefs[new], self._beliefs.shape[1])
        self._beliefs = np.concatenate([self._beliefs, beliefs])
        self._names = np.concatenate([self._names, np.full(len(new), NOBODY)])
        self._hits = np.concatenate([self._hits, np.ones(len(new), np.int64)])
        self._seen = np.concatenate([self._seen, np.full(len(new), frame)])
        if self.settings.confirm == 1 or self._first == frame:
            for row in range(there, len(self._motion)):
                self._name(row)
        return track

    def _name(self, row: int) -> None:
        self._names[row] = self._next
        self._next += 1

    def _forget(self, frame: int) -> None:
        """Lets go of what was lost long ago, and of what was there but for a moment."""
        lost = frame - self._seen
        kept = np.where(self._names >= 0, lost <= self.settings.patience, lost == 0)
        self._motion = self._motion.of(kept)
        for name in ("_beliefs", "_names", "_hits", "_seen"):
            setattr(self, name, getattr(self, name)[kept])


def _larger(boxes: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """Boxes (…, 4) with so many times their width and height added on each side."""
    boxes = np.asarray(boxes, np.float64)
    sides = boxes[..., 2:]
    return np.concatenate([boxes[..., :2] - reach * sides, (1 + 2 * reach) * sides], -1)
