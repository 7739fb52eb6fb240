"""What is heard in films and files of sound, and when: AudioSet's classes, as YAMNet knows them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.data.sound import load_sound
from sora_tf.models.yamnet import MEL, as_published
from sora_tf.video import VideoError
from sora_tf.video.audio import declared_length

PIECE = 1_200  # windows that are read at once, of 0.48 s
LONGEST_S = 360_000.0  # of a file; headers lie about its length
THRESHOLD = 0.3
FOREMOST = 5  # classes named of a whole file


@dataclass(frozen=True)
class Heard:
    """What is heard in a file, window by window.

    Attributes:
        scores: (S, classes), each by itself between 0 and 1.
        times: (S, 2) start and end in s on the film's clock.
        damage: what was wrong with the file, or None.
    """

    scores: np.ndarray
    times: np.ndarray
    damage: str | None


def hear_files(
    network: keras.Model,
    names: Sequence[str],
    paths: Sequence[str],
    threshold: float = THRESHOLD,
) -> Iterator[dict[str, Any]]:
    """What is heard in files of any length, one answer a file, as they are done.

    Args:
        network: from `yamnet_network`.
        names: of its classes, from `yamnet_names`.
        paths: files or URLs.
        threshold: score from 0 to 1 from which on a class is heard in a window of 0.96 s.

    Yields:
        {"path", "sounds": [{"name", "start", "end" in s on the film's clock, "score": the highest
        of its windows}] in the order of their start, "overall": {name: mean score} of the foremost
        five, "damage"}, both empty for a film without sound; or {"path", "error"} for a file that
        does not read.

    Raises:
        ValueError: the threshold is not between 0 and 1.
    """
    remedy = "0.3 is usual."
    _checks.between("hear_files", "threshold", threshold, 0.01, 0.99, remedy)
    for path in paths:
        try:
            heard = hear(network, path)
        except VideoError as error:
            yield {"path": path, "error": str(error)}
            continue
        scores = heard.scores
        foremost = scores.mean(axis=0).argsort()[::-1][:FOREMOST] if len(scores) else []
        yield {
            "path": path,
            "sounds": _sounds(scores, heard.times, names, threshold),
            "overall": {names[n]: float(scores[:, n].mean()) for n in foremost},
            "damage": heard.damage,
        }


def hear(network: keras.Model, path: str) -> Heard:
    """What is heard in a file of any length; nothing in a film without sound.

    Args:
        network: from `yamnet_network`.
        path: file or URL.

    Raises:
        VideoError: the file does not read, has neither pictures nor sound, or is longer than a
            hundred hours.
    """
    hop = MEL.hop_frames * MEL.stride / MEL.rate
    length = declared_length(path)
    if length is not None and length > LONGEST_S:
        detail = f"{length:g} s, so its header says"
        raise VideoError(path, "over the limit", detail, "Cut it into shorter files.")
    scores, times, damage, start = [], [], None, 0.0
    while length is None or start < length or not start:
        try:
            # The last spectrum of a piece reaches a little beyond its last window.
            heard = load_sound(path, MEL, start, start + PIECE * hop + MEL.window - hop + MEL.frame)
        except VideoError:
            if start:
                break  # nothing is left
            raise
        damage = damage or heard.damage
        real = np.flatnonzero(heard.mask[:PIECE])
        if len(real):
            windows = as_published(heard.mels[real])
            scores.append(network.predict(windows, batch_size=64, verbose=0)["scores"])
            times.append(heard.times[real])
        elif length is None:
            break
        start += PIECE * hop
    if not scores:
        return Heard(np.zeros((0, network.output_shape["scores"][-1])), np.zeros((0, 2)), damage)
    ends = np.inf if length is None else length  # the last window is filled with silence
    return Heard(np.concatenate(scores), np.minimum(np.concatenate(times), ends), damage)


def _sounds(scores, times, names, threshold):
    """Stretches in which a class is heard in every window."""
    found = []
    for number in np.flatnonzero((scores >= threshold).any(axis=0)):
        rows = np.flatnonzero(scores[:, number] >= threshold)
        # Windows overlap by half, so that those of one stretch touch.
        apart = times[rows[1:], 0] > times[rows[:-1], 1]
        for part in np.split(rows, np.flatnonzero(apart) + 1):
            found.append(
                {
                    "name": names[number],
                    "start": float(times[part[0], 0]),
                    "end": float(times[part[-1], 1]),
                    "score": float(scores[part, number].max()),
                }
            )
    return sorted(found, key=lambda sound: (sound["start"], -sound["score"]))
