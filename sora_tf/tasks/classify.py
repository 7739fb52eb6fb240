"""Names for videos: scores of a file, over time where it is long."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.tasks.windows import Reading, Window, batch_of, read_windows
from sora_tf.video import VideoError


def classify_files(
    model: keras.Model, labels: Sequence[str], paths: Sequence[str], reading: Reading
) -> Iterator[dict[str, Any]]:
    """Classifies files, one answer a file, as they are done.

    Args:
        model: a classifier from `build_sora`.
        labels: its class names.
        paths: files or URLs.
        reading: how to read them; with `seconds`, a long file gets scores over time.

    Yields:
        {"path", "label", "scores": {label: mean over the windows}, "windows": [{"start", "end" in
        s, "scores"}], "damage"}, or {"path", "error"} for a file that does not read.
    """

    def name(window: Window) -> dict[str, float]:
        return _named(labels, model.predict_on_batch(batch_of(window))[0])

    for path, windows, damage, error in answered(name, paths, reading):
        yield file_answer(path, windows, damage, error)


def answered(
    answer: Callable[[Window], dict[str, float]], paths: Sequence[str], reading: Reading
) -> Iterator[tuple[str, list[dict[str, Any]], str | None, str | None]]:
    """What is answered to the windows of files, a file at a time.

    Args:
        answer: to a window.
        paths, reading: as in `classify_files`.

    Yields:
        The path, what `window_answer` makes of each window that reads, the damage, and the first
        error.
    """
    parts: list[dict[str, Any]] = []
    damage = error = None
    for path, item, last in read_windows(paths, reading):
        if isinstance(item, VideoError):
            error = error or str(item)
        else:
            parts.append(window_answer(item, answer(item)))
            damage = damage or item.damage
        if last:
            yield path, parts, damage, error
            parts, damage, error = [], None, None


def window_answer(window: Window, scores: dict[str, float]) -> dict[str, Any]:
    """A window's {"start", "end" in s, "scores"}."""
    return {"start": window.start, "end": window.until, "scores": scores}


def file_answer(
    path: str, windows: list[dict[str, Any]], damage: str | None, error: str | None
) -> dict[str, Any]:
    """The answer to a file, from what was found of its windows and what was wrong with them."""
    if not windows:
        return {"path": path, "error": error}
    mean = np.mean([list(window["scores"].values()) for window in windows], axis=0)
    labels = list(windows[0]["scores"])
    return {
        "path": path,
        "label": labels[int(mean.argmax())],
        "scores": _named(labels, mean),
        "windows": windows,
        "damage": damage or error,
    }


def _named(labels: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    return {label: float(score) for label, score in zip(labels, scores, strict=True)}
