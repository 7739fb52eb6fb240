"""What is felt in every sentence of a film or text, and over the time of the whole."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sora_tf import _checks
from sora_tf.data.beside import ENDINGS, cues_of
from sora_tf.data.sentences import read_text, sentences
from sora_tf.data.utterances import Utterance
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.tasks.sentiment import Sentiment
from sora_tf.video import VideoError
from sora_tf.video.subtitles import read_cues

SUBTITLES = (*ENDINGS, ".sub")
LINES = ".txt"
EVERY_S = 60.0
MOST_BYTES = 32 * 2**20  # of a file of lines
MOST_WINDOWS = 100_000  # a broken file's times may be anything


@dataclass(frozen=True)
class Said:
    """A sentence; its times in s are None in a file of lines."""

    text: str
    start: float | None = None
    end: float | None = None


def sentiment_files(
    tellers: Sequence[Sentiment], paths: Sequence[str], every: float = EVERY_S
) -> Iterator[dict[str, Any]]:
    """Tells what is felt in films, files of subtitles, or lines of texts.

    Args:
        tellers: what to tell, such as sentiment and emotion; each has its own name.
        paths: .txt (a sentence a line), .srt, .vtt or .ass, or films with subtitles beside
            or inside them.
        every: s of a window of the whole over time.

    Yields:
        {"path", "sentences": [{"start", "end" in s, "text", NAME: {"label", "scores"}}], "whole":
        {NAME: mean scores}, "windows": [{"start", "end", NAME: mean scores}]}, scores a dict by
        label; or {"path", "error"}. In the whole every sentence counts alike, in a window by the
        time it is heard there; windows without words are left out, and a file of lines has none.

    Raises:
        ValueError: `every` is not above 0, or two tellers have one name.
    """
    _checks.above("sentiment", "every", every, 0.0, "s", "60 is usual.")
    names = [teller.name for teller in tellers]
    if len(set(names)) < len(names):
        raise ValueError(
            f"sentiment: runs must tell different things, got {', '.join(names)}. Leave one "
            "out, or train it with another --name."
        )
    encoder = SentenceEncoder()
    for path in paths:
        try:
            said = read_said(path)
        except VideoError as error:
            yield {"path": path, "error": str(error)}
            continue
        yield {"path": path, **_told(tellers, said, encoder, every)}


def read_said(path: str) -> list[Said]:
    """The sentences of a film, a file of subtitles, or a file of lines.

    Raises:
        VideoError: it does not read, or holds no words.
        ImportError: it is a file of subtitles and pysubs2 is not installed.
    """
    ending = os.path.splitext(path)[1].lower()
    if ending == LINES:
        lines = [" ".join(line.split()) for line in read_text(path, MOST_BYTES).splitlines()]
        said = [Said(line) for line in lines if line]
        if not said:
            raise VideoError(path, "no subtitles", "no line has text", "Give one with words.")
        return said
    cues = read_cues(path) if ending in SUBTITLES else cues_of(path, needed=True)
    return [Said(cue.text, cue.start, cue.end) for cue in sentences(cues)]


def _told(tellers, said, encoder, every):
    utterances = [Utterance(one.text) for one in said]
    vectors = encoder.encode([one.text for one in said])
    scores = {teller.name: teller.scores(utterances, vectors) for teller in tellers}
    labels = {teller.name: teller.labels for teller in tellers}

    def named(name: str, row: np.ndarray) -> dict[str, float]:
        return {label: float(p) for label, p in zip(labels[name], row, strict=True)}

    found = []
    for number, one in enumerate(said):
        felt = {
            name: {
                "label": labels[name][int(rows[number].argmax())],
                "scores": named(name, rows[number]),
            }
            for name, rows in scores.items()
        }
        found.append({"start": one.start, "end": one.end, "text": one.text, **felt})
    windows = [
        {
            "start": start,
            "end": end,
            **{name: named(name, weights @ rows) for name, rows in scores.items()},
        }
        for start, end, weights in _windows(said, every)
    ]
    whole = {name: named(name, rows.mean(axis=0)) for name, rows in scores.items()}
    return {"sentences": found, "whole": whole, "windows": windows}


def _windows(said: Sequence[Said], every: float) -> list[tuple[float, float, np.ndarray]]:
    """Begin and end of each window with words, and the sentences' shares of what is heard in it."""
    starts = np.array([math.nan if one.start is None else one.start for one in said])
    ends = np.array([math.nan if one.end is None else one.end for one in said])
    if np.isnan(starts).any():
        return []
    found: dict[int, np.ndarray] = {}
    for number, (start, end) in enumerate(zip(starts, ends, strict=True)):
        last = min(int(end // every), int(start // every) + MOST_WINDOWS)
        for window in range(int(start // every), last + 1):
            heard = min(end, (window + 1) * every) - max(start, window * every)
            if heard > 0:
                found.setdefault(window, np.zeros(len(said)))[number] = heard
    return [
        (window * every, (window + 1) * every, heard / heard.sum())
        for window, heard in sorted(found.items())
    ]
