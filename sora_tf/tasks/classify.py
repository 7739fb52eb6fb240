"""Names for videos: scores of a file, over time where it is long."""

from collections.abc import Iterator, Sequence
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
    parts: list[dict[str, Any]] = []
    damage = error = None
    for path, item, last in read_windows(paths, reading):
        if isinstance(item, VideoError):
            error = error or str(item)
        else:
            scores = model.predict_on_batch(batch_of(item))[0]
            damage = damage or item.damage
            parts.append(window_answer(item, _named(labels, scores)))
        if last:
            yield file_answer(path, parts, damage, error)
            parts, damage, error = [], None, None


def window_answer(window: Window, scores: dict[str, float]) -> dict[str, Any]:
    """A window's {"start", "end" in s, "scores"}."""
    end = window.times[window.mask][-1] if window.end is None else window.end
    return {"start": window.start, "end": float(end), "scores": scores}


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
