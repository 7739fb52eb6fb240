"""When a thing is seen in a film, and for how long: where its name suits best of those known."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sora_tf._keras import keras
from sora_tf._progress import progress
from sora_tf.tasks.segments import boundaries
from sora_tf.tasks.windows import Reading, batch_of, read_windows, stretches
from sora_tf.video import VideoError

SAME = 0.6  # likeness from which the known text most like a name means the same
SCATTER_S = 0.02  # of film, wholly unlike itself, that a cut must save
OVERLAP = 4  # windows that look at each moment
IS = r"(?:is|are|was|were)"
DOES = r"(?:does|do|did|can|could|will)"
WE = r"(?:we|you|i|one|they)"
SEE = r"(?:see|watch|spot|notice|find)"
APPEAR = (
    r"(?:appears?|shows?\s+up|turns?\s+up|comes?\s+(?:in(?:to\s+(?:view|the\s+picture))?|up)"
    r"|enters?(?:\s+the\s+(?:picture|scene))?|arrives?)"
)
THERE = (
    r"(?:seen|visible|shown|there|in\s+view|in\s+sight|on\s+screen"
    r"|(?:in|on)\s+the\s+(?:picture|film|clip|video|screen|scene))"
)
STAYS = r"(?:appear|stay|last|remain|go\s+on)"
FIRST = r"(?:first\s+)?"
WHEN = r"^(?:when|at\s+(?:what|which)\s+(?:time|moment|second|point))\s+"
HOW_LONG = r"^(?:for\s+)?how\s+(?:long|much\s+time|many\s+(?:seconds|minutes))\s+"
THING = r"(?P<thing>.+?)"
END = r"(?:\s+(?:in|of)\s+(?:the|this)\s+(?:film|clip|video|movie))?\s*\?*\s*$"
PATTERNS = [
    (re.compile(start + middle + END, re.IGNORECASE), long)
    for start, middle, long in (
        (WHEN, rf"{DOES}\s+{THING}\s+{FIRST}{APPEAR}", False),
        (WHEN, rf"{DOES}\s+{WE}\s+{FIRST}{SEE}\s+{THING}", False),
        (WHEN, rf"{IS}\s+{THING}\s+{FIRST}{THERE}", False),
        (WHEN, rf"{IS}\s+there\s+{FIRST}{THING}", False),
        (HOW_LONG, rf"{DOES}\s+{WE}\s+{SEE}\s+{THING}", True),
        (HOW_LONG, rf"{DOES}\s+{THING}\s+{STAYS}", True),
        (HOW_LONG, rf"{IS}\s+{THING}\s+{THERE}", True),
        (HOW_LONG, rf"{IS}\s+there\s+{THING}", True),
    )
]


@dataclass(frozen=True)
class Wanted:
    """What a question wants to know of what is seen.

    Args:
        thing: its name, as the question has it.
        long: how long it is seen, not when.
    """

    thing: str
    long: bool


@dataclass(frozen=True)
class Watched:
    """What the windows of a film look like.

    Args:
        starts, ends: (N,), of each window, s, rising.
        scores: (N, K), how well each of K known texts suits.
        known: (K, D), vectors of these texts, of length 1.
        vectors: (N, D) of length 1, the windows among texts; None where the model has none.
    """

    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray
    known: np.ndarray
    vectors: np.ndarray | None = None


@dataclass(frozen=True)
class Sighting:
    """A stretch of a film, start and end in s, in which a thing is seen.

    Args:
        start, end: s.
        likeness: to its name, from 0 to 1, on average.
    """

    start: float
    end: float
    likeness: float


def wanted_sight(question: str) -> Wanted | None:
    """What a question wants to know of what is seen; None where it is of another kind.

    "When does X appear?", "When do we first see X?", "When is X in the picture?", "How long is X
    seen?", "For how many seconds do we see X?" and their like, in English, as the words are that
    a model is aligned with.
    """
    for pattern, long in PATTERNS:
        found = pattern.match(question.strip())
        if found:
            return Wanted(found["thing"], long)
    return None


def watch(
    model: keras.Model,
    known: np.ndarray,
    aligned: bool,
    path: str,
    reading: Reading,
    duration: float,
) -> tuple[Watched, str | None]:
    """Looks at a whole film, each moment in several windows; says also what is damaged in it.

    Args:
        model: from clips to scores (B, K) of the known texts or, aligned, to vectors of sentences.
        known: (K, D), vectors of the texts that it has learnt to tell apart.
        aligned: whether it gives vectors.
        path: the film.
        reading: how to read it; in windows of the length of the clips that the model has learnt.
        duration: of the film, s; 0 where its file does not say.

    Raises:
        VideoError: it does not read.
    """
    starts, ends, found = [], [], []
    damage = None
    windows = read_windows([path], reading)
    for _, window, _ in progress(windows, "windows", len(stretches(path, reading))):
        if isinstance(window, VideoError):
            raise window
        damage = damage or window.damage
        last = max(duration, float(window.times[window.mask].max(initial=0.0)))
        starts.append(window.start)
        ends.append(last if window.end is None else window.end)
        found.append(model.predict_on_batch(batch_of(window))[0])
    times, answers = (np.array(starts), np.array(ends)), np.stack(found)
    if aligned:
        return Watched(*times, answers @ known.T, known, answers), damage
    return Watched(*times, answers, known), damage


def sightings(thing: np.ndarray, watched: Watched) -> list[Sighting]:
    """The stretches in which a thing is seen, in their order.

    A moment looks like the mean of the windows around it, and a segment of the film is named as a
    whole. The thing is seen where the known text that means the same suits better than every
    other, or its own name does where there is none.

    Args:
        thing: (D,) of length 1, the vector of its name.
        watched: what the film looks like.
    """
    like = watched.known @ thing
    nearest = int(like.argmax())
    if like[nearest] >= SAME:
        own, others = watched.scores[:, nearest], np.delete(watched.scores, nearest, axis=1)
    elif watched.vectors is not None:
        own, others = watched.vectors @ thing, watched.scores
    else:
        return []
    edges = np.unique(np.concatenate([watched.starts, watched.ends]))
    looks = watched.scores if watched.vectors is None else watched.vectors
    scores, looks = (
        _at_moments(values, watched, edges) for values in (np.column_stack([own, others]), looks)
    )
    seconds = np.diff(edges)
    whole = _as_wholes(scores, looks, seconds)
    likeness, best = whole[:, 0], whole[:, 1:].max(axis=1, initial=-1.0)
    found: list[Sighting] = []
    for run in _runs((likeness >= best) & (likeness > 0.0)):
        mean = float(np.average(likeness[run], weights=seconds[run]))
        found.append(Sighting(float(edges[run[0]]), float(edges[run[-1] + 1]), min(mean, 1.0)))
    return found


def _at_moments(values: np.ndarray, watched: Watched, edges: np.ndarray) -> np.ndarray:
    """Means (M, F) of the values (N, F) of the windows around each moment between the edges."""
    middles = (edges[:-1] + edges[1:]) / 2
    first = np.searchsorted(watched.ends, middles)
    behind = np.searchsorted(watched.starts, middles, side="right")
    total = np.zeros((len(middles), values.shape[1]))
    for step in range(int((behind - first).max(initial=0))):
        there = first + step < behind
        total[there] += values[first[there] + step]
    return total / np.maximum(behind - first, 1)[:, None]


def _as_wholes(scores: np.ndarray, looks: np.ndarray, seconds: np.ndarray) -> np.ndarray:
    """Scores (M, K) of moments, the same in each segment: their mean over it.

    Segments are found by how moments look, (M, F); they last `seconds` (M,).
    """
    if not len(scores):
        return scores
    looks = looks / np.maximum(np.linalg.norm(looks, axis=1, keepdims=True), 1e-9)
    cuts = boundaries([looks], 1.0 / float(np.median(seconds)), SCATTER_S)
    whole = scores.copy()
    for rows in np.split(np.arange(len(scores)), list(cuts)):
        whole[rows] = np.average(scores[rows], axis=0, weights=seconds[rows])
    return whole


def _runs(seen: np.ndarray) -> Sequence[np.ndarray]:
    """The numbers that are true, each row of neighbours by itself."""
    places = np.flatnonzero(seen)
    return [run for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)]
