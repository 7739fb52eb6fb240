"""Answers to questions about a film: chosen by a trained head from what is seen and said, or found
in what is seen or in what is said; always with the moments that support them."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.data.sentences import between, sentences, spread
from sora_tf.models.answerer import (
    ATTENTION,
    PLACES,
    QUESTION,
    SAID,
    SAID_MASK,
    SAID_TIMES,
    SCORES,
    TIMES,
    WHOLE,
    AnswererConfig,
)
from sora_tf.models.video_model import MASK
from sora_tf.tasks.places import Seen
from sora_tf.tasks.quote import Encode, alike, said_at
from sora_tf.tasks.sightings import Wanted, Watched, sightings, wanted_sight
from sora_tf.tasks.storyboard import clock
from sora_tf.tasks.time_words import named_span
from sora_tf.video.subtitles import Cue

MOST_SIGNS = 1000  # of a question
MOST_ANSWERS = 5
MOST_MOMENTS = 3  # of an answer
HALF = 0.5  # of the highest attention that a moment still has
KNOWN = 0.6  # likeness to a question that a head has learnt, from which it may answer
HOW_LONG = re.compile(
    r"\bhow\s+(?:long|many\s+(?:seconds|minutes|hours))\b.*\b(?:film|clip|video|movie|recording)\b"
    r"|\b(?:duration|length)\s+of\s+the\b|(?:影片|视频|影像|片子|电影|視頻).*(?:多长|多久|几秒|时长|多長)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Moment:
    """A stretch of a film, start and end in s."""

    start: float
    end: float


@dataclass(frozen=True)
class Answer:
    """An answer to a question.

    Args:
        text: the answer.
        score: from 0 to 1: of a head's answers they sum to 1; of sentences, how much each is like
            what is asked for, or how near to the time that is named.
        moments: that support it, the strongest first.
        source: "film", "words" or "file", where it was found.
    """

    text: str
    score: float
    moments: tuple[Moment, ...]
    source: str


@dataclass(frozen=True)
class Head:
    """A trained head and what it knows.

    Args:
        model: from `build_answerer`.
        config: what it was built from.
        answers: the answers, in the order of its scores.
        questions: vectors (N, D) of the questions that it has learnt, of length 1.
    """

    model: keras.Model
    config: AnswererConfig
    answers: tuple[str, ...]
    questions: np.ndarray

    def knows(self, question: np.ndarray) -> bool:
        """Whether a question, as its vector (D,), is like one that it has learnt."""
        return bool((self.questions @ question).max(initial=-1.0) >= KNOWN)


def ask(
    question: str,
    seen: Iterable[Seen],
    cues: Sequence[Cue],
    duration: float,
    encode: Encode,
    head: Head | None = None,
    watch: Callable[[], Watched] | None = None,
) -> list[Answer]:
    """Answers to a question about a film, best first; none where nothing is found.

    A question that is like one the head has learnt is answered by the head. How long the film is,
    its file says. When something is seen, or for how long, says what the film looks like. All
    others are answered from what is said: at the time that they name, or where it is most like
    what they ask for.

    Args:
        question: in words.
        seen: stretches of the film, which only a head looks at.
        cues: lines of its subtitles.
        duration: of the film, s.
        encode: N texts to their vectors (N, D), of length 1.
        head: None where none is trained.
        watch: looks at the film, where that is asked for; None leaves it to what is said.
    Raises:
        ValueError: the question is empty, too long, or names a time beyond the film's end.
    """
    question = checked(question)
    if HOW_LONG.search(question):
        return [Answer(f"{duration:.1f} s", 1.0, (Moment(0.0, duration),), "file")]
    if head is not None:
        vector = encode([question])[0]
        if head.knows(vector):
            return chosen(vector, seen, cues, encode, head)
    wanted = wanted_sight(question)
    if watch is not None and wanted is not None:
        return when_seen(wanted, watch(), encode)
    said = sentences(cues)
    span = named_span(question, duration)
    found = alike(question, said, encode) if span is None else said_at(span, said)
    return [
        Answer(
            cue.text if span else f"{clock(cue.start)} {cue.text}",
            score,
            (Moment(cue.start, cue.end),),
            "words",
        )
        for cue, score in found
    ]


def checked(question: str) -> str:
    """The question in one line.

    Raises:
        ValueError: it is empty or longer than 1,000 signs.
    """
    question = " ".join(question.encode("utf-8", "replace").decode().split())
    if not question:
        raise ValueError("ask: the question must not be empty. Ask something.")
    if len(question) > MOST_SIGNS:
        raise ValueError(
            f"ask: the question must have at most {MOST_SIGNS} signs, got {len(question)}. "
            "Shorten it."
        )
    return question


def when_seen(wanted: Wanted, watched: Watched, encode: Encode) -> list[Answer]:
    """When a thing is seen, the longest stretch first, or for how long in all.

    Args:
        wanted: from `wanted_sight`.
        watched: what the film looks like.
        encode: as in `ask`.
    """
    found = sightings(encode([wanted.thing])[0], watched)
    found.sort(key=lambda one: one.start - one.end)
    moments = [Moment(one.start, one.end) for one in found]
    if not wanted.long:
        return [
            Answer(clock(one.start), one.likeness, (moment,), "film")
            for one, moment in zip(found[:MOST_ANSWERS], moments, strict=False)
        ]
    lengths = [one.end - one.start for one in found]
    if not found:
        return []
    likeness = float(np.average([one.likeness for one in found], weights=lengths))
    return [Answer(f"{sum(lengths):.1f} s", likeness, tuple(moments[:MOST_MOMENTS]), "film")]


def chosen(
    question: np.ndarray, seen: Iterable[Seen], cues: Sequence[Cue], encode: Encode, head: Head
) -> list[Answer]:
    """A head's answers, best first: their mean over the stretches of a film, by their length.

    The moments of an answer are from the stretches that speak most for it.

    Args:
        question: its vector (D,).
        seen, cues, encode, head: as in `ask`.
    """
    stretches = list(seen)
    if not stretches:
        return []
    given = [shown(one, cues, encode, head.config) for one in stretches]
    batch = {name: np.stack([one[0][name] for one in given]) for name in given[0][0]}
    batch[QUESTION] = np.repeat(question[None], len(given), axis=0).astype(np.float32)
    found = head.model.predict(batch, verbose=0)
    weights = np.asarray([max(one.end - one.start, 1e-3) for one in stretches])
    scores = weights @ found[SCORES] / weights.sum()
    answers = []
    for place in np.argsort(-scores, kind="stable")[:MOST_ANSWERS]:
        best = np.argsort(-found[SCORES][:, place], kind="stable")[:MOST_MOMENTS]
        moments = [
            moment
            for number in best
            for moment in moments_of(found[ATTENTION][number], stretches[number], given[number][1])
        ]
        answers.append(
            Answer(head.answers[place], float(scores[place]), tuple(moments[:MOST_MOMENTS]), "film")
        )
    return answers


def shown(
    seen: Seen, cues: Sequence[Cue], encode: Encode, config: AnswererConfig
) -> tuple[dict[str, np.ndarray], list[Cue]]:
    """What a head is shown of a stretch, without the question; and the sentences in it.

    Args:
        seen: the stretch.
        cues: lines of subtitles of the whole film.
        encode: as in `ask`.
        config: of the head.
    """
    said = spread(between(sentences(cues), seen.start, seen.end), config.sentences)
    length = max(seen.end - seen.start, 1e-6)
    vectors = np.zeros((config.sentences, config.text), np.float32)
    times = np.zeros(config.sentences, np.float32)
    if said:
        vectors[: len(said)] = encode([cue.text for cue in said])
        times[: len(said)] = [((c.start + c.end) / 2 - seen.start) / length for c in said]
    return {
        PLACES: seen.places.astype(np.float32),
        WHOLE: seen.whole.astype(np.float32),
        TIMES: np.clip((seen.times - seen.start) / length, 0, 1).astype(np.float32),
        MASK: seen.mask,
        SAID: vectors,
        SAID_TIMES: times,
        SAID_MASK: np.arange(config.sentences) < len(said),
    }, said


def moments_of(attention: np.ndarray, seen: Seen, said: Sequence[Cue]) -> list[Moment]:
    """Where attention peaks: frames with half of its maximum or more, those in a row as one.

    A frame lasts from halfway to the one before to halfway to the next.

    Args:
        attention: (T + S,), of frames and then of sentences.
        seen: the stretch, of T frames.
        said: its sentences, at most S.
    Returns:
        The moments, those with most attention first.
    """
    frames = len(seen.mask)
    real = int(seen.mask.sum())
    least = HALF * float(attention.max())
    times = seen.times[:real]
    edges = np.concatenate([[seen.start], (times[:-1] + times[1:]) / 2, [seen.end]])
    found: list[tuple[float, Moment]] = []
    last = -2
    for frame in np.flatnonzero(attention[:real] >= least):
        weight, moment = float(attention[frame]), Moment(*map(float, edges[frame : frame + 2]))
        if frame == last + 1:
            before, old = found.pop()
            weight, moment = weight + before, Moment(old.start, moment.end)
        found.append((weight, moment))
        last = frame
    for cue, value in zip(said, attention[frames:], strict=False):
        if value >= least:
            found.append((float(value), Moment(cue.start, cue.end)))
    return [moment for _, moment in sorted(found, key=lambda one: -one[0])]


def as_json(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """Answers as plain values."""
    return [
        {
            "answer": one.text,
            "score": round(one.score, 6),
            "moments": [{"start": m.start, "end": m.end} for m in one.moments],
            "from": one.source,
        }
        for one in answers
    ]
