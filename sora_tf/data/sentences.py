"""The sentences of a film with their times: from subtitles, and from captions of the whole film."""

import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sora_tf import _checks
from sora_tf.data.beside import cues_of
from sora_tf.data.words import JOINED
from sora_tf.video import VideoError
from sora_tf.video.subtitles import Cue, decoded

MOST = 64  # sentences of a clip
PAUSE_S = 2.0  # of silence that ends a sentence
LONGEST = 300  # signs of a sentence, for talks without full stops
CAPTION = ".txt"  # beside a film
MOST_BYTES = 2**20  # of a caption's file
FULL_STOP = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？])")
EDGE = re.compile(rf"(?<=[{JOINED}，、；：])\s+(?=[{JOINED}])")


def clip_sentences(
    path: str,
    start: float | None = None,
    end: float | None = None,
    *,
    subtitles: str | None = None,
    caption: str | None = None,
    most: int = MOST,
) -> tuple[list[str], np.ndarray]:
    """What is said in a clip and written about it.

    Args:
        path: the film, file or URL.
        start, end: where the clip begins and ends in the film, s; None is the film's.
        subtitles: a file of them, "embedded" where the film must hold them, or None for those
            beside the film and else inside it, if any.
        caption: text about the whole clip, such as its title; None takes that of the file beside
            the film with its name and the ending .txt, if there is one.
        most: sentences N at most; evenly spread ones are kept, and the caption's all.
    Returns:
        N texts, and times (N, 2) float64 in s from the beginning of the film, cut to the clip;
        a caption lasts as long as the clip: to its end, or where that is not known, to that of
        the last sentence.
    Raises:
        VideoError: subtitles that are asked for, or lie beside the film, do not read.
        ImportError: a file of subtitles is to be read and pysubs2 is not installed.
        ValueError: `most` is below 1.
    """
    _checks.at_least("clip_sentences", "most", most, 1, "sentence", "64 is usual.")
    begin, finish = start or 0.0, math.inf if end is None else end
    said = between(sentences(cues_of(path, subtitles)), begin, finish)
    if caption is None:
        caption = caption_beside(path)
    parts = [part.strip() for part in FULL_STOP.split(" ".join((caption or "").split()))]
    last = finish if math.isfinite(finish) else max([begin, *(cue.end for cue in said)])
    about = [Cue(begin, last, part) for part in parts if part][:most]
    kept = [*about, *spread(said, most - len(about))]
    times = np.array([[cue.start, cue.end] for cue in kept], np.float64).reshape(-1, 2)
    return [cue.text for cue in kept], times


def sentences(cues: Sequence[Cue]) -> list[Cue]:
    """Lines joined, and cut where sentences end: at full stops and pauses."""
    found: list[Cue] = []
    text, start, end = "", 0.0, 0.0
    for cue in cues:
        if text and (cue.start - end > PAUSE_S or len(text) > LONGEST):
            found.append(Cue(start, end, text))
            text = ""
        if not text:
            start = cue.start
        parts = [part for part in FULL_STOP.split(cue.text) if part]
        for number, part in enumerate(parts):
            text = EDGE.sub("", f"{text} {part}".strip())
            begun = cue.start + (cue.end - cue.start) * number / len(parts)
            end = cue.start + (cue.end - cue.start) * (number + 1) / len(parts)
            if text == part:
                start = begun
            if part.rstrip("\"'”’»」』)").endswith(tuple(".!?…。！？")):
                found.append(Cue(start, end, text))
                text = ""
    if text:
        found.append(Cue(start, end, text))
    return found


def between(cues: Iterable[Cue], start: float, end: float) -> list[Cue]:
    """Those that have a moment with [start, end), their times cut to it."""
    return [
        Cue(max(cue.start, start), min(cue.end, end), cue.text)
        for cue in cues
        if cue.end > start and cue.start < end
    ]


def spread(cues: Sequence[Cue], most: int) -> list[Cue]:
    """At most so many of them, evenly spread."""
    if len(cues) <= most:
        return list(cues)
    return [cues[(2 * n + 1) * len(cues) // (2 * most)] for n in range(most)]


def caption_beside(path: str | os.PathLike[str]) -> str | None:
    """The text of the file beside a film with its name and the ending .txt; None without one.

    Raises:
        VideoError: it is there and does not read, or is larger than 1 MiB.
    """
    beside = Path(path).with_suffix(CAPTION)
    if beside == Path(path) or not beside.is_file():
        return None
    return read_text(beside)


def read_text(path: str | os.PathLike[str], most_bytes: int = MOST_BYTES) -> str:
    """The text of a file in an encoding that it does not name; see `video.subtitles.decoded`.

    Raises:
        VideoError: it does not open, or has more than `most_bytes`.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            content = file.read(most_bytes + 1)
    except OSError as error:
        raise VideoError(name, "cannot open", str(error.strerror), "Check the path.") from error
    if len(content) > most_bytes:
        detail = f"text of more than {most_bytes} bytes"
        raise VideoError(name, "over the limit", detail, "Give a shorter one.")
    return decoded(content)
