"""What boxes know of a video, as words: which way a thing goes, whether it grows, where it ends.

So questions about videos, with their answers, are made of boxes that are there anyway. What is
too near a border between two answers gives none, for nobody could say.
"""

import numpy as np

MOVES = 0.08  # share of the picture's side that a thing must go to be said to move
GROWS = 1.2  # times as large a side that a thing must become to be said to grow
CLEAR = 0.04  # share of the picture's width between a thing and the border of a third
SHARE = 0.15  # of a video that counts as its start, and as its end


def ends(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Centre and size of a thing at its start and at its end, (4,) each.

    Args:
        boxes: (N, 4) left, top, width, height, a row a frame in the order of time; rows of NaN
            where it is not seen.
    Returns:
        The medians of across, down, width and height over the first and the last 15 % of the
        frames in which it is seen; None where it is in none.
    """
    seen = boxes[~np.isnan(boxes).any(axis=1)]
    if not len(seen):
        return None
    centred = np.concatenate([seen[:, :2] + seen[:, 2:] / 2, seen[:, 2:]], axis=1)
    count = max(1, round(SHARE * len(seen)))
    return np.median(centred[:count], axis=0), np.median(centred[-count:], axis=0)


def goes_across(boxes: np.ndarray, size: tuple[float, float]) -> str | None:
    """ "left" or "right"; None where it goes less than 8 % of the width (size: width, height)."""
    return _way(boxes, 0, size[0], ("left", "right"))


def goes_down(boxes: np.ndarray, size: tuple[float, float]) -> str | None:
    """ "up" or "down"; None where it goes less than 8 % of the height (size: width, height)."""
    return _way(boxes, 1, size[1], ("up", "down"))


def grows(boxes: np.ndarray) -> str | None:
    """ "bigger" or "smaller"; None where its side changes by less than a fifth."""
    found = ends(boxes)
    if found is None:
        return None
    start, end = (float(np.sqrt(one[2] * one[3])) for one in found)
    if end >= GROWS * start:
        return "bigger"
    return "smaller" if start >= GROWS * end else None


def ends_at(boxes: np.ndarray, width: float) -> str | None:
    """ "left", "middle" or "right" third of the picture at the end; None near a border of them."""
    found = ends(boxes)
    if found is None:
        return None
    across = float(found[1][0]) / width
    if min(abs(across - 1 / 3), abs(across - 2 / 3)) < CLEAR:
        return None
    return ("left", "middle", "right")[int(min(max(across, 0.0), 0.999) * 3)]


def moves_more(first: np.ndarray, second: np.ndarray) -> str | None:
    """Which of two things goes the longer way, as it lies at the start: "left" or "right".

    Args:
        first, second: boxes of each, as in `ends`.
    Returns:
        None where the ways differ by less than a fifth, or one is not seen.
    """
    starts = ends(first), ends(second)
    if starts[0] is None or starts[1] is None:
        return None
    ways = _length(first), _length(second)
    if max(ways) < GROWS * min(ways) or not max(ways):
        return None
    left = 0 if starts[0][0][0] < starts[1][0][0] else 1
    return "left" if ways[left] > ways[1 - left] else "right"


def comes_nearer(first: np.ndarray, second: np.ndarray) -> str | None:
    """Whether two things are "nearer" or "farther" at the end; None where it is within a fifth."""
    found = ends(first), ends(second)
    if found[0] is None or found[1] is None:
        return None
    start, end = (float(np.hypot(*(found[0][when][:2] - found[1][when][:2]))) for when in (0, 1))
    if start >= GROWS * end:
        return "nearer"
    return "farther" if end >= GROWS * start else None


def _way(boxes, axis, side, words):
    found = ends(boxes)
    if found is None:
        return None
    way = float(found[1][axis] - found[0][axis]) / side
    return None if abs(way) < MOVES else words[int(way > 0)]


def _length(boxes: np.ndarray) -> float:
    """How far a thing goes in all, in the unit of the boxes; where it is not seen it stays."""
    seen = boxes[~np.isnan(boxes).any(axis=1)]
    centres = seen[:, :2] + seen[:, 2:] / 2
    return float(np.hypot(*np.diff(centres, axis=0).T).sum()) if len(seen) > 1 else 0.0
