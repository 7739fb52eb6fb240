"""Summaries of films: segments, what counts in them, and the moments that fit under a length."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf import _checks
from sora_tf.tasks.choice import Length, choose
from sora_tf.tasks.embed import text_of
from sora_tf.tasks.importance import WIDTH
from sora_tf.tasks.parts import Pace, film_parts, kept_parts, load_part
from sora_tf.tasks.running import FEATURES, Running
from sora_tf.tasks.scorer import Scorer
from sora_tf.tasks.segments import APART, SCATTER_S, boundaries, end_of, spread_of
from sora_tf.tasks.shots import pyscenedetect, shot_times
from sora_tf.video import VideoError

SEGMENTS = ("features", "pyscenedetect")


@dataclass(frozen=True)
class Moment:
    """A stretch of a film that its summary shows.

    Args:
        start, end: s.
        key: the time of the frame that is most like it, s.
        importance: of its best piece, 0 to 1.
        segment: number of the segment that it begins in.
    """

    start: float
    end: float
    key: float
    importance: float
    segment: int


@dataclass(frozen=True)
class Summary:
    """What `summarize` found; times in s.

    Args:
        path: the film.
        duration: of it.
        segments: (S, 2), start and end of each.
        times: (P,), starts of the pieces that importance is given for.
        importance: (P,) from 0 to 1.
        moments: in the order of the film.
        damage: what is wrong with the film, or None.
        talk: sentences of its subtitles, {"start", "end", "text"}.
    """

    path: str
    duration: float
    segments: np.ndarray
    times: np.ndarray
    importance: np.ndarray
    moments: list[Moment]
    damage: str | None
    talk: list[dict[str, Any]] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """The length of all moments."""
        return sum(moment.end - moment.start for moment in self.moments)

    def importance_at(self, start: float, end: float) -> float:
        """The mean importance between two times, s."""
        edges = np.append(self.times, self.duration)
        inside = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        weights = np.maximum(inside, 0.0)
        return float(weights @ self.importance / max(float(weights.sum()), 1e-9))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "path": text_of(self.path),
            "duration": self.duration,
            "summary_seconds": self.seconds,
            "moments": [vars(moment) for moment in self.moments],
            "talk": self.talk,
            "segments": [{"start": start, "end": end} for start, end in self.segments.tolist()],
            "importance": {"times": self.times.tolist(), "values": self.importance.tolist()},
            "damage": self.damage,
        }


def summarize(
    model: Running,
    path: str,
    pace: Pace,
    folder: Path,
    length: Length | None = None,
    scorer: Scorer | None = None,
    segments: str = "features",
    apart: float | None = APART,
    progress: Callable[[float], None] | None = None,
) -> Summary:
    """Summarises a film of any length, in memory that does not grow with it.

    Args:
        model: from `running`.
        path: file or URL.
        pace: how to read it.
        folder: for its vectors, a part a minute; a killed run goes on from there.
        length: of the summary; None is 15 % of the film.
        scorer: users' taste; None counts what a piece adds to the summary.
        segments: "features" finds them by kernel temporal segmentation, "pyscenedetect" by
            PySceneDetect, from the extra "shots".
        apart: how far apart frames of many scenes lie in the model's features, as `spread_of`
            tells; None takes the film's own, for models other than ImageNet's.
        progress: called with the time reached, s.
    Raises:
        VideoError: the film cannot be read, has one frame, or is shorter than the summary.
        ValueError: `segments` is neither.
        ImportError: PySceneDetect is asked for and not installed.
    """
    _checks.one_of("summarize", "segments", segments, SEGMENTS)
    if segments == "pyscenedetect":
        pyscenedetect()  # before an hour's work, and not after it
    length = length or Length()
    times: list[np.ndarray] = []
    damages: list[str] = []

    def features():
        for part in film_parts(model, path, pace, folder, [FEATURES]):
            times.append(part.times)
            if part.damage:
                damages.append(part.damage)
            if progress and len(part.times):
                progress(float(part.times[-1]))
            if len(part.times):
                yield part.vectors[FEATURES]

    def again():
        parts = (load_part(file) for file in kept_parts(folder))
        return (part.vectors[FEATURES] for part in parts if len(part.times))

    own = spread_of(features())
    at = np.concatenate(times)
    if len(at) < 2:
        raise VideoError(path, "too short", "it has one frame, and a summary is chosen among more")
    scale = (own if apart is None else apart) / APART
    duration = end_of(path, at, pace.rate)
    if length.seconds is not None and length.seconds > duration:
        raise longer_than(path, duration, length.seconds)
    if segments == "features":
        found = list(boundaries(again(), pace.rate, SCATTER_S * scale))
    else:
        found = np.unique(np.searchsorted(at, shot_times(path))).tolist()
    starts = np.asarray([0, *(place for place in found if 0 < place < len(at))])
    choice = choose(again, starts, len(at), len(at) / duration, length, scorer, WIDTH * scale)
    ends = np.append(at, duration)
    return Summary(
        path=path,
        duration=duration,
        segments=np.stack([ends[starts], ends[np.append(starts[1:], len(at))]], axis=1),
        times=at[choice.starts],
        importance=choice.importance,
        moments=_moments(choice, ends),
        damage=damages[0] if damages else None,
    )


def longer_than(path: str, duration: float, seconds: float) -> VideoError:
    """The error of a film shorter than its summary, both in s."""
    detail = f"the film lasts {duration:g} s and the summary is to last {seconds:g} s"
    return VideoError(path, "too short", detail, "Ask for fewer seconds.")


def _moments(choice, ends: np.ndarray) -> list[Moment]:
    """Chosen pieces, those that follow on each other within a segment as one."""
    moments: list[Moment] = []
    last = -1
    for piece in np.flatnonzero(choice.chosen):
        start, stop = choice.starts[piece], choice.starts[piece] + choice.lengths[piece]
        segment, value = int(choice.segments[piece]), float(choice.importance[piece])
        moment = Moment(
            float(ends[start]), float(ends[stop]), float(ends[choice.keys[piece]]), value, segment
        )
        if moments and piece == last + 1 and moments[-1].segment == segment:
            before = moments.pop()
            best = max(before, moment, key=lambda one: one.importance)
            moment = replace(best, start=before.start, end=moment.end)
        moments.append(moment)
        last = piece
    return moments
