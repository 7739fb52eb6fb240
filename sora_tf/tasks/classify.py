"""Names for videos: scores of a file, over time where it is long."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.tasks.windows import Reading, batch_of, read_windows
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
            error = error or item
        else:
            scores = model.predict_on_batch(batch_of(item))[0]
            damage = damage or item.damage
            end = item.times[item.mask][-1] if item.end is None else item.end
            parts.append({"start": item.start, "end": float(end), "scores": _named(labels, scores)})
        if not last:
            continue
        if parts:
            mean = np.mean([list(part["scores"].values()) for part in parts], axis=0)
            yield {
                "path": path,
                "label": labels[int(mean.argmax())],
                "scores": _named(labels, mean),
                "windows": parts,
                "damage": damage or (str(error) if error else None),
            }
        else:
            yield {"path": path, "error": str(error)}
        parts, damage, error = [], None, None


def _named(labels: Sequence[str], scores: np.ndarray) -> dict[str, float]:
    return {label: float(score) for label, score in zip(labels, scores, strict=True)}
