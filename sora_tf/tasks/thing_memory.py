"""What a detector remembers of things: the same thing on the next frame is known better."""

from collections.abc import Sequence

import numpy as np

from sora_tf.data.boxes import Boxes, joined
from sora_tf.layers.remembered import LIKELY, REACH
from sora_tf.models.detector import FAINT
from sora_tf.tasks.tracking.things import things, wider


class ThingMemory:
    """The things on the last frame of a video, with means over time of what was said of them.

    A box goes on with the thing on the frame before whose middle is nearest to its own, where that
    thing has no box nearer to it. Scores by class, and the logarithms of width and height, are
    means in which a frame counts `keep` times as much as the next; so a name does not flicker, nor
    does a size, and what was seen once scores less than what was seen all along. A box stays where
    it is found.

    Args:
        keep: share of what was known that stays from frame to frame, below 1; 0 is none.
        classes: how many classes C of things there are.
        threshold: from how likely on a thing counts, all its names together: one that is a bird or
            a plane is there, though neither name may be likely.
    """

    def __init__(self, keep: float, classes: int, threshold: float = FAINT):
        self._keep = keep
        self._classes = classes
        self._threshold = threshold
        self.forget()

    def forget(self) -> None:
        """Begins another video."""
        self._boxes = np.zeros((0, 4))
        self._means = np.zeros((0, 2 + self._classes))  # log width and height, scores
        self._weights = np.zeros(0)

    def known(self, boxes: Boxes, frames: Sequence[int]) -> Boxes:
        """What is known of the things on the next frames.

        Args:
            boxes: found on them; boxes of one place with different names are one thing.
            frames: the numbers of all that were looked at, in their order.

        Returns:
            A box of every thing that counts and each of its names with a score of 0.001 or more,
            frame by frame, the best first.
        """
        return joined([self._on(boxes.on(number), number) for number in frames])

    def _on(self, boxes: Boxes, number: int) -> Boxes:
        """The same for one frame, by whose things it goes on."""
        found = things(boxes)
        places = boxes.boxes[found.rows].astype(np.float64)
        scores = wider(found.beliefs, self._classes)
        likely = found.scores >= LIKELY
        means = np.concatenate([np.log(places[:, 2:]), scores], axis=1)
        before = self._before(places, likely)
        goes_on = before >= 0
        weights = np.ones(len(places))
        old = self._keep * self._weights[before[goes_on]]
        weights[goes_on] += old
        change = self._means[before[goes_on]] - means[goes_on]
        means[goes_on] += (old / weights[goes_on])[:, None] * change
        self._boxes, self._means, self._weights = places[likely], means[likely], weights[likely]
        counts = means[:, 2:].sum(axis=1) >= self._threshold
        return _said(places[counts], means[counts], number)

    def _before(self, places: np.ndarray, likely: np.ndarray) -> np.ndarray:
        """The number of the thing on the frame before that each box is of; -1 where of none."""
        none = np.full(len(places), -1)
        if not len(self._boxes) or not likely.any():
            return none
        middles, sides = places[:, :2] + places[:, 2:] / 2, places[:, 2:].max(axis=1)
        last, last_sides = self._boxes[:, :2] + self._boxes[:, 2:] / 2, self._boxes[:, 2:].max(1)
        away = np.linalg.norm(middles[:, None] - last[None], axis=-1)
        away /= np.maximum(sides[:, None], last_sides[None])  # (boxes, things)
        away[~likely] = np.inf
        nearest, back = away.argmin(axis=1), away.argmin(axis=0)
        rows = np.arange(len(places))
        return np.where((away[rows, nearest] < REACH) & (back[nearest] == rows), nearest, none)


def _said(places: np.ndarray, means: np.ndarray, number: int) -> Boxes:
    """Boxes around the same middles, of the mean size, for each name with a score."""
    sides, scores = np.exp(means[:, :2]), means[:, 2:]
    boxes = np.concatenate([places[:, :2] + (places[:, 2:] - sides) / 2, sides], axis=1)
    rows, labels = np.nonzero(scores >= FAINT)
    order = np.argsort(-scores[rows, labels], kind="stable")
    rows, labels = rows[order], labels[order]
    return Boxes(np.full(len(order), number), boxes[rows], labels, scores[rows, labels])
