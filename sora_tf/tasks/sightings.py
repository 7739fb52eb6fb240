"""When a thing is seen in a film, and for how long: where its name suits best of those known.

The film is cut into segments first, and each is named as a whole, so that one look in between does
not cut a stretch in two, and no look is at two things.
"""

import itertools
import re
from dataclasses import dataclass

import numpy as np

from sora_tf._keras import keras
from sora_tf._progress import progress
from sora_tf.tasks.windows import Reading, Stretch, batch_of, is_one_window, read_stretches
from sora_tf.video import VideoError, sampling

SAME = 0.6  # likeness from which the known text most like a name means the same
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
    """What the segments of a film look like.

    Args:
        edges: (S + 1,), where segments begin and the last one ends, s, increasing.
        scores: (S, K), how well each of K known texts suits.
        known: (K, D), vectors of these texts, of length 1.
        vectors: (S, D), the segments among texts; None where the model has none.
    """

    edges: np.ndarray
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
    edges: np.ndarray,
) -> tuple[Watched, str | None]:
    """Looks at a whole film; says also what is damaged in it.

    Args:
        model: from clips to scores (B, K) of the known texts or, aligned, to vectors of sentences.
        known: (K, D), vectors of the texts that it has learnt to tell apart.
        aligned: whether it gives vectors.
        path: the film.
        reading: how to read it; in windows of the length of the clips that the model has learnt.
        edges: (S + 1,), where its segments begin and the last one ends, s, as `segment_edges`
            finds them. No window lies in two of them.

    Raises:
        VideoError: it does not read.
    """
    parts = [_windows(*ends, reading) for ends in itertools.pairwise(edges)]
    total = sum(map(len, parts))
    read = read_stretches(path, [window for part in parts for window in part], reading)
    windows = iter(progress(read, "windows", total))
    damage = None
    looks = []
    for part in parts:
        found = []
        for window in itertools.islice(windows, len(part)):
            if isinstance(window, VideoError):
                raise window
            damage = damage or window.damage
            found.append(model.predict_on_batch(batch_of(window))[0])
        looks.append(np.mean(found, axis=0))
    answers = np.stack(looks)
    if aligned:
        return Watched(edges, answers @ known.T, known, answers), damage
    return Watched(edges, answers, known), damage


def _windows(start: float, end: float, reading: Reading) -> list[Stretch]:
    """The windows of a segment."""
    length = float(end - start)
    if reading.seconds is None or is_one_window(length, reading.seconds):
        return [(float(start), float(end))]
    found = sampling.windows(length, reading.seconds, reading.seconds)
    return [(float(start + a), float(start + b)) for a, b in found]


def sightings(thing: np.ndarray, watched: Watched) -> list[Sighting]:
    """The stretches in which a thing is seen, in their order.

    It is seen in the segments where the known text that means the same suits better than every
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
    seen = np.flatnonzero((own >= others.max(axis=1, initial=-1.0)) & (own > 0.0))
    seconds = np.diff(watched.edges)
    found: list[Sighting] = []
    for row in np.split(seen, np.flatnonzero(np.diff(seen) > 1) + 1):
        if len(row):
            mean = float(np.average(own[row], weights=seconds[row]))
            start, end = watched.edges[row[0]], watched.edges[row[-1] + 1]
            found.append(Sighting(float(start), float(end), min(mean, 1.0)))
    return found
