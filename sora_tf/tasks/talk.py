"""What is said in a film, in a few of its own sentences, weighted by what is seen.

Words are those between spaces, and pairs of signs where a language has no spaces, so nothing here
knows a language.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from sora_tf.data.sentences import sentences
from sora_tf.data.words import words
from sora_tf.video.subtitles import Cue

SENTENCES = 6
DAMPING = 0.85  # of the walk from sentence to sentence
SEEN = 0.5  # share of a sentence's weight that what is seen at its time decides
NEW = 1.0  # how much it counts against a sentence that others chosen are like it


def summarize_talk(
    cues: Sequence[Cue],
    most: int = SENTENCES,
    importance: Callable[[float, float], float] | None = None,
) -> list[dict[str, Any]]:
    """The sentences that stand for a talk.

    weight_s = centrality_s·(1 - SEEN + SEEN·importance_s): how much a sentence has in common with
    the others, as a walk that steps from one to the next by the likeness of their TF-IDF vectors
    visits it, and how much counts what is seen meanwhile. They are taken one by one, always the
    greatest weight_s - NEW·(largest likeness to one that is taken).

    Args:
        cues: lines of subtitles, in order.
        most: sentences at most.
        importance: mean importance of the picture between two times in s, from 0 to 1.
    Returns:
        [{"start", "end" in s, "text"}], in the order of the film.
    Reference: Erkan and Radev, "LexRank", JAIR 2004 (continuous form, equation 2); Carbonell and
        Goldstein, "The use of MMR", SIGIR 1998.
    """
    said = sentences(cues)
    vectors = _vectors([one.text for one in said])
    if vectors is None:
        return []
    seen = [1.0 if importance is None else importance(one.start, one.end) for one in said]
    seen_share = np.asarray(seen) / max(*seen, 1e-9) if len(seen) > 1 else np.ones(1)
    weights = _centrality(vectors) * (1 - SEEN + SEEN * seen_share)
    weights /= max(float(weights.max()), 1e-12)
    likest = np.zeros(len(said))
    chosen: list[int] = []
    for _ in range(min(most, int((weights > 0).sum()))):
        worth = np.where(weights > 0, weights - NEW * likest, -np.inf)
        worth[chosen] = -np.inf
        chosen.append(int(worth.argmax()))
        likest = np.maximum(likest, (vectors @ vectors[chosen[-1]].T).toarray()[:, 0])
    return [
        {"start": said[n].start, "end": said[n].end, "text": said[n].text} for n in sorted(chosen)
    ]


def terms(text: str) -> list[str]:
    """Words in small letters; pairs of signs where there are no spaces between words."""
    return words(text, 2)


def _vectors(texts: list[str]):
    """TF-IDF vectors (S, V) of length 1, sparse; None where there are no words."""
    try:
        return TfidfVectorizer(analyzer=terms, sublinear_tf=True).fit_transform(texts)
    except ValueError:
        return None


def _centrality(vectors) -> np.ndarray:
    """The share of its steps that the walk of LexRank spends on each sentence, (S,).

    It does not stay where it is, or a sentence like no other would keep it. The likenesses are
    never written down: a step is two sparse products.
    """
    count = vectors.shape[0]
    own = np.asarray(vectors.multiply(vectors).sum(axis=1)).ravel()
    sums = vectors @ np.asarray(vectors.sum(axis=0)).ravel() - own
    rank = np.full(count, 1.0 / count)
    for _ in range(100):
        given = np.divide(rank, sums, out=np.zeros(count), where=sums > 1e-9)
        walked = vectors @ (vectors.T @ given) - own * given
        new = (1 - DAMPING) / count + DAMPING * walked
        if np.abs(new - rank).sum() < 1e-9:
            break
        rank = new
    return np.where(own > 0, rank, 0.0)
