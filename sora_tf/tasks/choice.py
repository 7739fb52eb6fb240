"""What of a film is shown: pieces, what each counts, and those that fit under a length."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from sora_tf import _checks
from sora_tf.tasks.importance import WIDTH, added, likeness, spread
from sora_tf.tasks.knapsack import knapsack
from sora_tf.tasks.scorer import Scorer
from sora_tf.tasks.segments import pieces

SHARE = 0.15
MOST_PIECES = 4000  # of a film: their likenesses take 64 MB
SHORTEST_S, LONGEST_S = 1.0, 2.0  # of a piece
OF_SEGMENT = 0.75  # of a piece's vector that its segment gives, so that one piece stands for it


@dataclass(frozen=True)
class Length:
    """How long a summary may be.

    Args:
        seconds: s; None takes the share.
        share: of the film's length.
    Raises:
        ValueError: `seconds` is not above 0, or `share` not above 0 and below 1.
    """

    seconds: float | None = None
    share: float = SHARE

    def __post_init__(self) -> None:
        """Checks both."""
        if self.seconds is not None:
            _checks.above("Length", "seconds", self.seconds, 0.0, "s", "Leave it out for a share.")
        if not 0 < self.share < 1:
            raise ValueError(
                f"Length: share must be above 0 and below 1, got {self.share!r}. 0.15 is usual."
            )

    def frames(self, frames: int, rate: float) -> int:
        """The frames, 1 or more, that a summary of a film of so many frames may have."""
        most = self.share * frames if self.seconds is None else self.seconds * rate
        return max(1, math.floor(most + 1e-6))


@dataclass(frozen=True)
class Choice:
    """Pieces of a film.

    Args:
        starts: (P,) int, their first frames.
        lengths: (P,) int, frames.
        segments: (P,) int, the segment that each lies in.
        importance: (P,) from 0 to 1.
        chosen: (P,) bool.
        keys: (P,) int, the frame of each that is most like it; -1 where it is not chosen.
    """

    starts: np.ndarray
    lengths: np.ndarray
    segments: np.ndarray
    importance: np.ndarray
    chosen: np.ndarray
    keys: np.ndarray


def choose(
    features: Callable[[], Iterable[np.ndarray]],
    starts: np.ndarray,
    frames: int,
    rate: float,
    length: Length,
    scorer: Scorer | None = None,
    width: float = WIDTH,
) -> Choice:
    """Chooses what a summary shows.

    Args:
        features: gives the film's features from its start, (n, F) of length 1 a stretch; called
            twice, so that memory need not hold them.
        starts: (S,) int, first frames of the segments, from 0.
        frames: frames of the film.
        rate: frames a second.
        length: of the summary.
        scorer: says what counts; None counts what a piece adds.
        width: see `likeness`.
    """
    most = length.frames(frames, rate)
    longest = np.clip(most / len(starts), min(SHORTEST_S * rate, most), LONGEST_S * rate)
    first = pieces(starts, frames, max(1, int(longest)), MOST_PIECES)
    lengths = np.diff(np.append(first, frames))
    segments = np.searchsorted(starts, first, side="right") - 1
    sums, scores = _sums(features(), first, frames, scorer)
    vectors = _vectors(sums, lengths, segments)
    if scorer is None:
        alike = likeness(vectors, width)
        values = added(alike, lengths)
        importance = spread(alike, values / lengths)
    else:
        values = scores - min(0.0, scores.min()) + 1e-9 * lengths
        importance = values / lengths
    chosen = knapsack(values, lengths, most)
    importance /= max(float(importance.max()), 1e-12)
    keys = _keys(features(), first, frames, vectors, chosen)
    return Choice(first, lengths, segments, importance, chosen, keys)


def _numbers(first: np.ndarray, frames: int) -> np.ndarray:
    """The piece of each frame, (T,)."""
    return np.repeat(np.arange(len(first)), np.diff(np.append(first, frames)))


def _sums(stretches, first, frames, scorer) -> tuple[np.ndarray, np.ndarray]:
    """The sum of features (P, F) and of scores (P,) of each piece."""
    numbers, begin = _numbers(first, frames), 0
    sums, scores = np.zeros((len(first), 0), np.float32), np.zeros(len(first))
    for rows in stretches:
        here = numbers[begin : begin + len(rows)]
        begin += len(rows)
        if not sums.shape[1]:
            sums = np.zeros((len(first), rows.shape[1]), np.float32)
        np.add.at(sums, here, rows.astype(np.float32))
        if scorer is not None:
            np.add.at(scores, here, scorer.score(rows))
    return sums, scores


def _vectors(sums: np.ndarray, lengths: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """(P, F): what a piece shows, mixed with what its segment shows."""
    count = segments.max() + 1
    whole, frames = np.zeros((count, sums.shape[1]), np.float32), np.zeros(count)
    np.add.at(whole, segments, sums)
    np.add.at(frames, segments, lengths)
    means = whole / np.maximum(frames, 1)[:, None]
    return OF_SEGMENT * means[segments] + (1 - OF_SEGMENT) * sums / lengths[:, None]


def _keys(stretches, first, frames, vectors, chosen) -> np.ndarray:
    """The frame of each chosen piece whose features lie nearest to the piece's vector, (P,)."""
    numbers, begin = _numbers(first, frames), 0
    keys, nearest = np.full(len(first), -1), np.full(len(first), -np.inf)
    for rows in stretches:
        for row, piece in enumerate(numbers[begin : begin + len(rows)]):
            if chosen[piece]:
                near = float(rows[row].astype(np.float32) @ vectors[piece])
                if near > nearest[piece]:
                    keys[piece], nearest[piece] = begin + row, near
        begin += len(rows)
    return keys
