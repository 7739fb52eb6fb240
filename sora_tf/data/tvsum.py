"""TVSum's scores: what 20 users thought of every two seconds of 50 films. The films are elsewhere.

Reference: Song, Vallmitjana, Stent and Jaimes, "TVSum: Summarizing web videos using titles", CVPR
    2015.
"""

import os
from typing import NamedTuple

import numpy as np

SHOT_S = 2.0  # that a score stands for


class ScoredFilm(NamedTuple):
    """A film that users have scored.

    Attributes:
        name: its name in the set.
        scores: (U, T), of each user for each frame, 1 to 5.
        rate: frames a second.
    """

    name: str
    scores: np.ndarray
    rate: float


def read_tvsum(path: str | os.PathLike[str]) -> list[ScoredFilm]:
    """Reads ydata-tvsum50.mat.

    Raises:
        ValueError: it is something else.
    """
    import h5py  # comes with TensorFlow

    try:
        with h5py.File(path) as file:
            films = file["tvsum50"]
            count = len(films["video"])

            def value(field: str, number: int) -> np.ndarray:
                return file[films[field][number, 0]][()]

            return [
                ScoredFilm(
                    name="".join(chr(sign) for sign in value("video", number).ravel()),
                    scores=value("user_anno", number).astype(np.float32),
                    rate=value("nframes", number).item() / value("length", number).item(),
                )
                for number in range(count)
            ]
    except (KeyError, OSError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{os.fspath(path)}: users' scores must be TVSum's ydata-tvsum50.mat, but it does not "
            f"read as that: {error}. Fetch it again."
        ) from None


def a_score_a_shot(film: ScoredFilm) -> np.ndarray:
    """(U, N): the scores once for each two seconds, for all frames of these have the same."""
    step = round(SHOT_S * film.rate)
    return film.scores[:, step // 2 :: step]
