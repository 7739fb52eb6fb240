"""Topics of a collection of films, found in what is said, and in what is seen where it is known.

Nothing here knows a language: which words say little, the collection itself tells.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import NMF
from sklearn.feature_extraction.text import TfidfVectorizer

from sora_tf import _checks
from sora_tf.tasks.talk import terms
from sora_tf.video.subtitles import Cue

PASSAGE = 16  # sentences that are taken together
MOST_SHARE = 0.5  # of passages, and of films, that hold a term; one in more of them says little
FEW = 4  # films, or passages: of fewer, most say nothing about a word
LEAST = 2  # passages that hold a term
TOP = 10  # terms of a topic
MOST_TOPICS = 12  # that are tried where no number is given
SAMPLES, SAMPLE = 4, 0.8  # parts of the collection that stability is tried on, and their share
LOOKS = 24  # kinds of pictures at most
SEEN = "▣"  # marks a kind of picture among terms


@dataclass(frozen=True)
class Look:
    """A stretch of a film and what it looks like: start and end in s, and a vector (D,)."""

    start: float
    end: float
    vector: np.ndarray


@dataclass(frozen=True)
class Topic:
    """A topic.

    Args:
        terms: with their weights, which sum to 1, the weightiest first.
        coherence: mean NPMI of its terms, from -1 (never together) to 1 (always).
        share: of the collection.
    """

    terms: tuple[tuple[str, float], ...]
    coherence: float
    share: float


@dataclass(frozen=True)
class Topics:
    """The topics of a collection.

    Args:
        topics: the largest first.
        films: film → weights (K,) of the topics, which sum to 1; zeros where it has none.
        stability: how alike topics of parts of the collection are, from 0 to 1.
        looks: where each kind of picture is seen best: term → (film, start, end in s).
    """

    topics: tuple[Topic, ...]
    films: dict[str, np.ndarray]
    stability: float
    looks: dict[str, tuple[str, float, float]]

    @property
    def coherence(self) -> float:
        """The mean of the topics'."""
        return float(np.mean([topic.coherence for topic in self.topics]))


def find_topics(
    films: Mapping[str, Sequence[Cue]],
    count: int | None = None,
    looks: Mapping[str, Sequence[Look]] | None = None,
    seed: int = 0,
) -> Topics:
    """The topics of a collection: non-negative factors of the TF-IDF of passages.

    A passage is 16 sentences in a row. Terms in more than half of the passages or of the films are
    left out, and those in one passage alone. Where no number of topics is given, it is that with
    the greatest stability + coherence: how well the topics of four parts of the collection match
    those of the whole, and how much more often than by chance the terms of a topic stand in one
    passage.

    Args:
        films: film → its sentences.
        count: topics; None finds their number.
        looks: film → what it looks like; kinds of pictures are terms beside the words.
        seed: decides the parts and the kinds of pictures.
    Raises:
        ValueError: fewer than 2 topics are asked for, more than the collection can have, or it has
            too few words.
    Reference: Lee and Seung, "Learning the parts of objects by non-negative matrix factorization",
        Nature 1999; Bouma, "Normalized pointwise mutual information", GSCL 2009; Greene,
        O'Callaghan and Cunningham, "How many topics? Stability analysis for topic models", 2014.
    """
    if count is not None:
        _checks.at_least("topics", "the number of topics", count, 2, "", "Leave it out to find it.")
    kinds, best_looks = _kinds(looks or {}, seed)
    passages = [
        (film, words) for film, said in films.items() for words in _passages(said, kinds.get(film))
    ]
    counts, names = _weighted(_telling(passages))
    most = min(counts.shape) - 1
    if most < 2 or (count or 2) > most:
        raise ValueError(
            f"topics: {count or 2} topics need more words than {len(films)} films with "
            f"{counts.shape[0]} passages and {counts.shape[1]} terms have. Give more films, or ask "
            "for fewer topics."
        )
    tried = [count] if count else range(2, min(MOST_TOPICS, most) + 1)
    rows = [film for film, _ in passages]
    made = [_topics(counts, names, rows, films, best_looks, number, seed) for number in tried]
    return max(made, key=lambda found: found.stability + found.coherence)


def _passages(said: Sequence[Cue], kinds: list[tuple[float, float, str]] | None) -> list[list[str]]:
    """Terms of each passage, kinds of pictures seen meanwhile among them."""
    found = []
    for begin in range(0, len(said), PASSAGE):
        part = said[begin : begin + PASSAGE]
        words = [term for cue in part for term in terms(cue.text) if not term.isdecimal()]
        start, end = part[0].start, part[-1].end
        words += [name for a, b, name in kinds or () if a < end and b > start]
        found.append(words)
    return found


def _telling(passages: list[tuple[str, list[str]]]) -> list[list[str]]:
    """The terms of passages (film, terms) without those that stand in most films."""
    places: dict[str, set[str]] = {}
    for film, words in passages:
        for word in words:
            places.setdefault(word, set()).add(film)
    films = len({film for film, _ in passages})
    most = MOST_SHARE * films if films >= FEW else films
    return [[word for word in words if len(places[word]) <= most] for _, words in passages]


def _weighted(passages: list[list[str]]):
    """TF-IDF (N, V), sparse, and the V terms."""
    vectorizer = TfidfVectorizer(
        analyzer=list,
        sublinear_tf=True,
        max_df=MOST_SHARE if len(passages) >= FEW else 1.0,
        min_df=min(LEAST, len(passages)),
    )
    try:
        return vectorizer.fit_transform(passages), vectorizer.get_feature_names_out()
    except ValueError:
        raise ValueError(
            f"topics: {len(passages)} passages have no terms that some of them share. Give more "
            "films."
        ) from None


def _topics(counts, names, rows, films, looks, number, seed) -> Topics:
    weights, parts = factors(counts, number, seed)
    tops = top_terms(parts)
    rng = np.random.default_rng(seed)
    alike = []
    for _ in range(SAMPLES):
        some = rng.permutation(counts.shape[0])[: max(number, round(SAMPLE * counts.shape[0]))]
        alike.append(agreement(tops, top_terms(factors(counts[some], number, seed)[1])))
    there = (counts > 0).astype(np.float64)
    coherent = [npmi(there, own) for own in tops]
    sums = weights.sum(axis=0)
    order = np.argsort(-sums, kind="stable")
    by_film = {}
    for film in films:
        own = weights[[row == film for row in rows]].sum(axis=0)[order]
        by_film[film] = own / max(own.sum(), 1e-12)
    topics = tuple(
        Topic(
            tuple((str(names[n]), float(parts[t, n] / parts[t, tops[t]].sum())) for n in tops[t]),
            coherent[t],
            float(sums[t] / max(sums.sum(), 1e-12)),
        )
        for t in order
    )
    shown = {name for topic in topics for name, _ in topic.terms}
    return Topics(
        topics, by_film, float(np.mean(alike)), {k: v for k, v in looks.items() if k in shown}
    )


def factors(counts, number: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Weights (N, K) of topics in passages and of terms in topics (K, V), each at least 0.

    Args:
        counts: (N, V) TF-IDF, sparse.
        number: K.
        seed: of what random numbers it takes.
    """
    model = NMF(number, init="nndsvda", random_state=seed, max_iter=400, tol=1e-3)
    weights = model.fit_transform(counts)
    # A factor may be scaled up in one and down in the other: terms of a topic weigh 1 together.
    scale = model.components_.sum(axis=1)
    return weights * scale, model.components_ / np.maximum(scale, 1e-12)[:, None]


def top_terms(parts: np.ndarray) -> list[np.ndarray]:
    """The places of the ten weightiest terms of each topic, of weights (K, V)."""
    return [np.argsort(-row, kind="stable")[: min(TOP, int((row > 0).sum()) or 1)] for row in parts]


def agreement(first: Sequence[np.ndarray], second: Sequence[np.ndarray]) -> float:
    """How alike two sets of topics are: mean Jaccard index of their terms, matched best, 0 to 1."""
    sets = [set(map(int, own)) for own in first], [set(map(int, own)) for own in second]
    table = np.asarray([[len(a & b) / len(a | b) for b in sets[1]] for a in sets[0]])
    return float(table[linear_sum_assignment(-table)].mean())


def npmi(there, own: np.ndarray) -> float:
    """How much more often than by chance terms stand in one passage, from -1 to 1.

    npmi(a, b) = ln(p(a,b) / (p(a)·p(b))) / -ln p(a,b), mean over the pairs; -1 where a pair never
    stands together, and 1 where both stand in every passage.

    Args:
        there: (N, V), 1 where a passage holds a term, sparse.
        own: places of the terms; 0 where there is but one.
    """
    if len(own) < 2:
        return 0.0
    part = there[:, own].toarray()
    joint = part.T @ part / len(part)
    single = np.diag(joint)
    found = []
    for a in range(len(own)):
        for b in range(a):
            p = joint[a, b]
            if p <= 0:
                found.append(-1.0)
            elif p >= 1:
                found.append(1.0)
            else:
                found.append(float(np.log(p / (single[a] * single[b])) / -np.log(p)))
    return float(np.mean(found))


def _kinds(looks: Mapping[str, Sequence[Look]], seed: int):
    """Kinds of pictures of each film with their times, and where each is seen best."""
    rows = [(film, look) for film, own in looks.items() for look in own]
    number = min(LOOKS, int(np.sqrt(len(rows))))
    if number < 2:
        return {}, {}
    vectors = np.stack([look.vector for _, look in rows]).astype(np.float64)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    model = KMeans(number, n_init=4, random_state=seed).fit(vectors)
    apart = np.linalg.norm(vectors - model.cluster_centers_[model.labels_], axis=1)
    found: dict[str, list[tuple[float, float, str]]] = {}
    best: dict[str, tuple[str, float, float]] = {}
    for row in np.argsort(apart, kind="stable"):
        film, look = rows[row]
        name = f"{SEEN}{model.labels_[row] + 1}"
        found.setdefault(film, []).append((look.start, look.end, name))
        best.setdefault(name, (film, look.start, look.end))
    return found, best
