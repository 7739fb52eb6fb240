"""What a teacher said of clips, and what is left of its frame vectors to be taught."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.decomposition import PCA

TINY = 1e-12  # the least length of a vector
LENGTH = 256  # values that are left of a frame vector to be taught
LOOKED_AT = 4096  # frames, for the directions in which frame vectors differ most


@dataclass(frozen=True)
class Answers:
    """What a teacher says of N clips; None where it has nothing to say.

    Args:
        known: (N,) bool, False where it could not read the clip.
        scores: (N, C) float32, logits.
        vectors: (N, D) float32, global vectors.
        relations: (N, n, n) float32, cosines between frame vectors; the rest is 0 where a clip
            has fewer frames.
        frames: (N,) int, frames of each clip in `relations` and `features`.
        features: (N, n, F) float16, frame vectors; the rest is 0 where a clip has fewer frames.
            None where nobody asked for them, or they would take more than 2 GiB.
    """

    known: np.ndarray
    scores: np.ndarray | None
    vectors: np.ndarray | None
    relations: np.ndarray | None
    frames: np.ndarray
    features: np.ndarray | None = None

    def given(self) -> dict[str, np.ndarray]:
        """The arrays that there are, by name."""
        return {name: array for name, array in vars(self).items() if array is not None}

    def of(self, rows: Sequence[int] | np.ndarray) -> "Answers":
        """The answers on some of the clips, by number."""
        rows = np.asarray(rows, int)
        return replace(self, **{name: array[rows] for name, array in self.given().items()})

    def standardised(self) -> "Answers":
        """With vectors of mean 0 and variance 1 in each value, over the clips that are known.

        Vectors of features that are never negative have cosines near 1, whatever the clips show.
        """
        if self.vectors is None:
            return self
        mean, spread = _moments(self.vectors[self.known])
        return replace(self, vectors=(self.vectors - mean) / spread)

    def relations_among(self, row: int, real: int, frames: int) -> np.ndarray:
        """The relations of a clip as a model sees it that takes other frames of it.

        Args:
            row: the clip.
            real: frames it takes, evenly spread as the teacher's are; each is given the
                teacher's frame of that time.
            frames: T, frames with its padding.
        Output: (T, T) float32.
        """
        if self.relations is None:
            raise ValueError("relations_among: there are no relations. Ask another teacher.")
        places = spread_over(self.frames[row], real)
        target = np.zeros((frames, frames), np.float32)
        target[:real, :real] = self.relations[row][np.ix_(places, places)]
        return target

    def features_among(self, row: int, real: int, frames: int) -> np.ndarray:
        """The frame vectors of a clip as a model sees it that takes other frames of it.

        Args:
            row, real, frames: as in `relations_among`.
        Output: (T, F) float32, 0 in the padding.
        """
        if self.features is None:
            raise ValueError("features_among: there are no frame vectors. Ask another teacher.")
        target = np.zeros((frames, self.features.shape[-1]), np.float32)
        target[:real] = self.features[row][spread_over(self.frames[row], real)]
        return target


@dataclass(frozen=True)
class Directions:
    """The directions in which a teacher's frame vectors differ most: principal components.

    Args:
        mean, spread: (F,), of each value; values that do not vary have the spread 1.
        onto: (F, K), orthogonal directions, K at most 256.
        size: what the values left are divided by, so that their mean square is 1.
    """

    mean: np.ndarray
    spread: np.ndarray
    onto: np.ndarray
    size: float

    @classmethod
    def of(cls, answers: Answers) -> "Directions":
        """Those of the frames of some answers; of 4,096 evenly chosen ones where there are more."""
        if answers.features is None:
            raise ValueError("Directions: there are no frame vectors. Ask another teacher.")
        rows, places = np.nonzero(np.arange(answers.features.shape[1]) < answers.frames[:, None])
        chosen = spread_over(len(rows), min(len(rows), LOOKED_AT))
        x = answers.features[rows[chosen], places[chosen]].astype(np.float32)
        mean, spread = _moments(x)
        x = (x - mean) / spread
        onto = PCA(min(LENGTH, *x.shape), random_state=0).fit(x).components_.T
        size = float(np.sqrt(np.mean((x @ onto) ** 2)))
        return cls(mean, spread, onto, max(size, TINY))

    def short(self, answers: Answers) -> Answers:
        """The same answers with frame vectors (N, n, K) of what they are in these directions."""
        if answers.features is None:
            return answers
        found = np.zeros((*answers.features.shape[:2], self.onto.shape[1]), np.float16)
        for row, count in enumerate(answers.frames):
            x = answers.features[row, :count].astype(np.float32)
            found[row, :count] = ((x - self.mean) / self.spread) @ self.onto / self.size
        return replace(answers, features=found)


def spread_over(frames: int, count: int) -> np.ndarray:
    """Which of n frames come at the times of `count` evenly spread ones: (count,) int, rising."""
    return ((np.arange(count) + 0.5) * frames / max(1, count)).astype(int)


def _moments(x):
    """Mean and spread of each value; the spread of one that does not vary is 1."""
    spread = x.std(axis=0)
    return x.mean(axis=0), np.where(spread > 1e-6, spread, np.ones_like(spread))
