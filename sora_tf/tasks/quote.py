"""Answers out of what is said: by the time that a question names, or by what it asks for."""

import re
from collections.abc import Callable, Sequence

import numpy as np

from sora_tf.data.words import words
from sora_tf.tasks.time_words import Span
from sora_tf.video.subtitles import Cue

NEAR_S = 5.0  # between a time that is named and a sentence that still counts as said then
MOST = 5  # sentences of an answer
ALIKE = 0.35  # least likeness of a sentence to what is asked for
SHARED = 0.5  # how much words in common count beside likeness in meaning
QUOTED = re.compile(r"[\"“”„«「『]([^\"“”„»」』]+)[\"“”»」』]")
ASIDE = re.compile(
    r"^\s*(?:at\s+what\s+time|when|where|how\s+often)\s+(?:is|are|was|were|does|do|did)?\s*"
    r"(?:(?:he|she|they|anyone|anybody|someone|somebody|it|the\s+speaker)\s+"
    r"(?:says?|mentions?|talks?\s+about|speaks?\s+of)\b)?"
    r"|\b(?:said|mentioned|talked\s+about|spoken\s+of)\b"
    r"|什么时候|何时|几时|在哪里|(?:有人|他|她|他们)?(?:说到|说了|说|讲到|提到|谈到)|是|的",
    re.IGNORECASE,
)

Encode = Callable[[list[str]], np.ndarray]


def remembered(encode: Encode) -> Encode:
    """The same encoder, which looks at no text twice."""
    known: dict[str, np.ndarray] = {}

    def look(texts: list[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        known.update(zip(new, encode(new), strict=True) if new else ())
        return np.stack([known[text] for text in texts])

    return look


def said_at(span: Span, said: Sequence[Cue]) -> list[tuple[Cue, float]]:
    """The sentences said at a time, with scores from 1 down to 0, 5 s off.

    Args:
        span: the time.
        said: sentences.
    """
    found = []
    for cue in said:
        off = max(cue.start - span.end, span.start - cue.end, 0.0)
        if off <= NEAR_S:
            found.append((cue, 1.0 - off / NEAR_S))
    if any(score == 1.0 for _, score in found):
        found = [one for one in found if one[1] == 1.0]
    # All of a stretch count in their order; beside a moment, the nearest first.
    return found if span.end > span.start else sorted(found, key=lambda one: -one[1])[:MOST]


def alike(question: str, said: Sequence[Cue], encode: Encode) -> list[tuple[Cue, float]]:
    """The sentences that are most like what a question asks for, best first, with their likeness.

    score = max(cosine of the vectors, 0.5·cosine + 0.5·share of its words that are in the
    sentence); those below 0.35 are left out.

    Args:
        question: in words; what stands between quotation marks alone counts, where there is any.
        said: sentences.
        encode: N texts to their vectors (N, D), of length 1.
    """
    if not said:
        return []
    wanted = sought(question)
    vectors = encode([wanted, *(cue.text for cue in said)])
    own = set(words(wanted, 2))
    shares = np.asarray([len(own & set(words(cue.text, 2))) / max(len(own), 1) for cue in said])
    meaning = vectors[1:] @ vectors[0]
    scores = np.maximum(meaning, (1 - SHARED) * meaning + SHARED * shares)
    best = np.argsort(-scores, kind="stable")[:MOST]
    return [(said[n], float(min(scores[n], 1.0))) for n in best if scores[n] >= ALIKE]


def sought(question: str) -> str:
    """What a question asks for: its quotation, or itself without the words that ask."""
    if quoted := QUOTED.search(question):
        return quoted[1].strip()
    rest = " ".join(ASIDE.sub(" ", question).strip(" ?？。.").split())
    return rest or question
