"""How well found boundaries agree with true ones."""

from collections.abc import Sequence
from typing import NamedTuple

TOLERANCE_S = 0.5


class Found(NamedTuple):
    """Counts of boundaries, that sums over films can be made of.

    Attributes:
        hits: true boundaries that were found, each by another one.
        found: boundaries found.
        true: true boundaries.
    """

    hits: int
    found: int
    true: int

    @property
    def f1(self) -> float:
        """2·hits / (found + true); 1 where there are none and none were found."""
        total = self.found + self.true
        return 2 * self.hits / total if total else 1.0


def match(found: Sequence[float], true: Sequence[float], tolerance: float = TOLERANCE_S) -> Found:
    """Matches boundaries, times in s, first to last, each to one other at most `tolerance` away."""
    waiting = sorted(found)
    hits = 0
    for time in sorted(true):
        while waiting and waiting[0] < time - tolerance - 1e-9:
            waiting.pop(0)
        if waiting and waiting[0] <= time + tolerance + 1e-9:
            waiting.pop(0)
            hits += 1
    return Found(hits, len(found), len(true))
