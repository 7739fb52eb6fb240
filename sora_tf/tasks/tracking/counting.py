"""Who crosses a line, who is in a zone, and who stays there too long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sora_tf.data.boxes import Boxes
from sora_tf.tasks.tracking.marks import Line, Marks, Zone

MARGIN = 0.1  # a thing is beyond a line once its point is so far off, in its sizes
GRACE_S = 1.0  # a thing that is not seen inside for longer has left


class LineCount:
    """Counts crossings of a line, once a thing is clearly beyond it.

    Attributes:
        entered: how many times things went in, from the line's left to its right.
        left: how many times they went out.
    """

    def __init__(self, line: Line):
        """Begins at 0."""
        self.line = line
        self.entered = self.left = 0
        self._last: dict[int, tuple[np.ndarray, bool]] = {}  # where each was clear of the line

    def update(self, identities: np.ndarray, points: np.ndarray, sizes: np.ndarray) -> None:
        """Takes in the things of one frame: numbers (N,), places (N, 2) and sizes (N,), pixels."""
        start, end = np.array(self.line.start), np.array(self.line.end)
        offsets = _turn(start, end, points) / np.hypot(*(end - start))
        for identity, point, offset, size in zip(identities, points, offsets, sizes, strict=True):
            if abs(offset) < MARGIN * size:
                continue
            inside = bool(offset > 0)
            before = self._last.get(identity)
            self._last[identity] = point, inside
            if before and before[1] != inside and _between(before[0], point, start, end):
                self.entered += inside
                self.left += not inside


@dataclass
class Visit:
    """A thing's stay in a zone, from when to when it was seen there, s."""

    identity: int
    label: int
    since: float
    until: float


class ZoneCount:
    """Counts what is in a zone.

    Attributes:
        entered: how many came, or appeared there.
        left: how many went, or were no longer seen.
        here: the stays that go on.
        past: those that are over, where they were long enough for an alert.
    """

    def __init__(self, zone: Zone):
        """Begins at 0."""
        self.zone = zone
        self.entered = self.left = 0
        self.here: dict[int, Visit] = {}
        self.past: list[Visit] = []

    def update(
        self, time: float, identities: np.ndarray, points: np.ndarray, labels: np.ndarray
    ) -> None:
        """Takes in the things of one frame: numbers (N,), places (N, 2) and classes (N,)."""
        for row in np.nonzero(_within(points, np.array(self.zone.corners)))[0]:
            identity = int(identities[row])
            if identity not in self.here:
                self.here[identity] = Visit(identity, int(labels[row]), time, time)
                self.entered += 1
            self.here[identity].until = time
        for visit in [v for v in self.here.values() if time - v.until > GRACE_S]:
            del self.here[visit.identity]
            self.left += 1
            self.past += [visit] * self.too_long(visit)

    def too_long(self, visit: Visit) -> bool:
        """Whether a stay is an alert."""
        most = self.zone.alert_seconds
        return most is not None and visit.until - visit.since > most

    def alerts(self) -> list[Visit]:
        """All stays that were too long, those that go on included."""
        return self.past + [visit for visit in self.here.values() if self.too_long(visit)]


class Counts:
    """All lines and zones of a picture.

    Args:
        marks: in pixels.
        labels: names by class number.
    """

    def __init__(self, marks: Marks, labels: Sequence[str]):
        """Begins at 0."""
        self.point = marks.point
        self.labels = labels
        self.lines = [LineCount(line) for line in marks.lines]
        self.zones = [ZoneCount(zone) for zone in marks.zones]

    def update(self, time: float, boxes: Boxes) -> None:
        """Takes in one frame's boxes with identities, at its time in s."""
        boxes = boxes.of(boxes.identities >= 0)
        down = 1.0 if self.point == "foot" else 0.5
        points = boxes.boxes[:, :2] + boxes.boxes[:, 2:] * np.array([0.5, down], np.float32)
        sizes = np.sqrt(boxes.boxes[:, 2:].prod(1))
        for count in self.lines:
            rows = self._rows(count.line.labels, boxes)
            count.update(boxes.identities[rows], points[rows], sizes[rows])
        for zone in self.zones:
            rows = self._rows(zone.zone.labels, boxes)
            zone.update(time, boxes.identities[rows], points[rows], boxes.labels[rows])

    def to_dict(self) -> dict[str, Any]:
        """The numbers by name, ready for JSON."""
        return {
            "lines": {c.line.name: {"in": c.entered, "out": c.left} for c in self.lines},
            "zones": {
                c.zone.name: {"inside": len(c.here), "entered": c.entered, "left": c.left}
                for c in self.zones
            },
        }

    def alerts(self) -> list[dict[str, Any]]:
        """Every stay that was too long: zone, identity, class, since and until in s."""
        return [
            {
                "zone": count.zone.name,
                "identity": visit.identity,
                "class": self.labels[visit.label],
                "since": round(visit.since, 3),
                "until": round(visit.until, 3),
            }
            for count in self.zones
            for visit in count.alerts()
        ]

    def _rows(self, labels: tuple[str, ...], boxes: Boxes) -> np.ndarray:
        wanted = [n for n, label in enumerate(self.labels) if not labels or label in labels]
        return np.isin(boxes.labels, wanted)


def _turn(start: np.ndarray, end: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Above 0 where points (…, 2) lie to the right of the way from start to end, y going down."""
    way, there = end - start, points - start
    return way[..., 0] * there[..., 1] - way[..., 1] * there[..., 0]


def _between(a: np.ndarray, b: np.ndarray, start: np.ndarray, end: np.ndarray) -> bool:
    """Whether the way from a to b, on two sides of a line, passes between its ends."""
    return bool(_turn(a, b, start) * _turn(a, b, end) <= 0)


def _within(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """(N,) whether each point (N, 2) lies in a polygon: a ray from it crosses sides oddly often."""
    inside = np.zeros(len(points), bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, 0), strict=True):
        if y1 == y2:
            continue
        spans = (y1 > points[:, 1]) != (y2 > points[:, 1])
        inside ^= spans & (points[:, 0] < x1 + (points[:, 1] - y1) / (y2 - y1) * (x2 - x1))
    return inside
