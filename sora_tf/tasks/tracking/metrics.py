"""How well identities were kept: HOTA, MOTA and IDF1, from the boxes given and those found.

Reference: Luiten et al., "HOTA: a higher order metric for evaluating multi-object tracking", IJCV
2021; Bernardin and Stiefelhagen, "Evaluating multiple object tracking performance", EURASIP 2008
(MOTA); Ristani et al., "Performance measures and a data set for multi-target, multi-camera
tracking", ECCV workshops 2016 (IDF1).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from sora_tf.data.boxes import Boxes, overlaps

LEAST = 0.5  # overlap of a match, in MOTA and IDF1
ALPHAS = np.arange(1, 20) / 20  # and in HOTA, which is a mean over these
FIRST = 1000.0  # what a match of the last frame is worth beside an overlap: it comes first
TINY = np.finfo(float).eps


def tracking_metrics(given: Boxes, found: Boxes) -> dict[str, float]:
    """Compares boxes with identities; only those of one frame and one class can match.

    Boxes without an identity are left out. Frames on which none is given count: what is found
    there is false. Take such frames out of `found` where they were not looked at.

    Args:
        given: by people.
        found: by a tracker.

    Returns:
        hota, deta, assa (its parts: finding, keeping), mota, idf1, from 0 (mota: from below) to 1;
        numbers of switches, missed, false, of boxes given and found, and of tracks given and found.

    Raises:
        ValueError: no box with an identity is given.
    """
    given, found = (boxes.of(boxes.identities >= 0) for boxes in (given, found))
    if not len(given):
        raise ValueError(
            "tracking_metrics: given must hold boxes with identities, got none. Give some."
        )
    film = _aligned(given, found)
    return {
        **_hota(film),
        **_clear(film),
        "idf1": _idf1(film),
        "boxes_given": len(given),
        "boxes_found": len(found),
        "tracks_given": film.given,
        "tracks_found": film.found,
    }


@dataclass(frozen=True)
class _Film:
    """Both sides' identities, numbered from 0, and their overlaps on each frame."""

    given: int
    found: int
    frames: list[tuple[np.ndarray, np.ndarray, np.ndarray]]  # (G,), (F,), (G, F)


def _aligned(given: Boxes, found: Boxes) -> _Film:
    names, theirs = np.unique(given.identities, return_inverse=True)
    others, ours = np.unique(found.identities, return_inverse=True)
    frames = []
    for frame in np.union1d(given.frames, found.frames):
        a, b = given.frames == frame, found.frames == frame
        alike = given.labels[a][:, None] == found.labels[b][None]
        frames.append((theirs[a], ours[b], overlaps(given.boxes[a], found.boxes[b]) * alike))
    return _Film(len(names), len(others), frames)


def _hota(film: _Film) -> dict[str, float]:
    together = np.zeros((film.given, film.found))
    count_given, count_found = np.zeros(film.given), np.zeros(film.found)
    for theirs, ours, near in film.frames:
        around = near.sum(0, keepdims=True) + near.sum(1, keepdims=True) - near
        together[np.ix_(theirs, ours)] += near / np.maximum(around, TINY)
        count_given[theirs] += 1
        count_found[ours] += 1
    # How well two tracks fit over the whole film decides who is matched on each frame.
    fit = together / np.maximum(count_given[:, None] + count_found[None] - together, TINY)
    matches = np.zeros((len(ALPHAS), film.given, film.found))
    for theirs, ours, near in film.frames:
        rows, columns = linear_sum_assignment(-fit[np.ix_(theirs, ours)] * near)
        for alpha, counted in zip(ALPHAS, matches, strict=True):
            enough = near[rows, columns] >= alpha - TINY
            counted[theirs[rows[enough]], ours[columns[enough]]] += 1
    true = matches.sum((1, 2))
    everything = count_given.sum() + count_found.sum() - true
    either = count_given[:, None] + count_found[None] - matches
    kept = (matches * matches / np.maximum(either, 1)).sum((1, 2)) / np.maximum(true, 1)
    detected = true / np.maximum(everything, 1)
    return {
        "hota": float(np.sqrt(detected * kept).mean()),
        "deta": float(detected.mean()),
        "assa": float(kept.mean()),
    }


def _clear(film: _Film) -> dict[str, float]:
    last = np.full(film.given, -1)  # whom each was matched with when it was matched last
    before = np.full(film.given, -1)  # the same on the last frame alone
    true = false = missed = switches = 0
    for theirs, ours, near in film.frames:
        worth = (FIRST * (before[theirs][:, None] == ours[None]) + near) * (near >= LEAST - TINY)
        rows, columns = linear_sum_assignment(-worth)
        real = worth[rows, columns] > 0
        who, whom = theirs[rows[real]], ours[columns[real]]
        switches += int(((last[who] >= 0) & (last[who] != whom)).sum())
        before[:] = -1
        last[who] = before[who] = whom
        true += len(who)
        false += len(ours) - len(who)
        missed += len(theirs) - len(who)
    mota = 1 - (missed + false + switches) / (true + missed)
    return {"mota": mota, "switches": switches, "missed": missed, "false": false}


def _idf1(film: _Film) -> float:
    """Twice the boxes that the best pairing of whole tracks has in common, over all boxes."""
    common = np.zeros((film.given, film.found))
    boxes = 0
    for theirs, ours, near in film.frames:
        rows, columns = np.nonzero(near >= LEAST - TINY)
        common[theirs[rows], ours[columns]] += 1
        boxes += len(theirs) + len(ours)
    rows, columns = linear_sum_assignment(-common)
    return float(2 * common[rows, columns].sum() / boxes)
