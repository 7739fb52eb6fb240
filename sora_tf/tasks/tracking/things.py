"""Boxes of one frame that are one thing under several names."""

from typing import NamedTuple

import numpy as np

from sora_tf.data.boxes import Boxes, overlaps

SAME = 0.9  # overlap from which two boxes with different names are one thing
LEAST = 1e-6  # a name that is given counts, though it be given with a score of 0


class Things(NamedTuple):
    """What is on a frame.

    Attributes:
        rows: (K,) int, the number of each thing's box: that with its likeliest name.
        beliefs: (K, C), how likely each has each of the class numbers below C.
        scores: (K,), how likely there is something: all names together, at most 1.
    """

    rows: np.ndarray
    beliefs: np.ndarray
    scores: np.ndarray


def things(boxes: Boxes) -> Things:
    """The things on one frame, the likeliest box first.

    A detector that doubts between a bird and a plane says so in two boxes of one place.

    Args:
        boxes: of one frame.
    """
    order = np.argsort(-boxes.scores, kind="stable")
    classes = int(boxes.labels.max(initial=-1)) + 1
    same = overlaps(boxes.boxes, boxes.boxes) >= SAME  # (N, N)
    rows: list[int] = []
    beliefs: list[np.ndarray] = []
    for row in order:
        label, score = boxes.labels[row], max(float(boxes.scores[row]), LEAST)
        for first, belief in zip(rows, beliefs, strict=True):
            if same[first, row] and not belief[label]:
                belief[label] = score
                break
        else:
            rows.append(int(row))
            beliefs.append(np.zeros(classes))
            beliefs[-1][label] = score
    found = np.stack(beliefs) if beliefs else np.zeros((0, classes))
    return Things(np.array(rows, np.int64), found, np.minimum(found.sum(axis=1), 1.0))


def agreement(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far beliefs (N, C) and (M, D) of two sets of things agree: (N, M), from 0 to 1."""
    classes = max(one.shape[1], other.shape[1])
    a, b = (_shares(wider(beliefs, classes)) for beliefs in (one, other))
    return np.minimum(a[:, None], b[None]).sum(axis=-1)


def wider(beliefs: np.ndarray, classes: int) -> np.ndarray:
    """Beliefs (N, C) for more classes, or as they are."""
    return np.pad(beliefs, ((0, 0), (0, max(0, classes - beliefs.shape[1]))))


def _shares(beliefs):
    return beliefs / np.maximum(beliefs.sum(axis=1, keepdims=True), 1e-12)
