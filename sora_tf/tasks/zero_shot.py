"""Names for clips that nobody was trained on, and clips for a text: both compared as sentences."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.models.aligned import with_texts
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.models.video_model import VideoModel
from sora_tf.tasks.classify import answered
from sora_tf.tasks.windows import Reading, Window, batch_of

LIKENESS = "likeness"


def text_vectors(encoder: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
    """Vectors (K, 384) of texts to compare clips with.

    Raises:
        ValueError: there are fewer than one, two are the same, or one has no word.
    """
    if not texts:
        raise ValueError("zero-shot: texts must not be empty, got none. Give one or more.")
    if len(set(texts)) < len(texts):
        twice = next(text for text in texts if list(texts).count(text) > 1)
        raise ValueError(f"zero-shot: texts must differ, got {twice!r} twice. Leave one out.")
    vectors = encoder.encode(texts)
    for text, vector in zip(texts, vectors, strict=True):
        if not vector.any():
            raise ValueError(f"zero-shot: a text must have words, got {text!r}. Describe a clip.")
    return vectors


def namer(model: keras.Model, encoder: SentenceEncoder, texts: Sequence[str]) -> VideoModel:
    """A classifier of K texts, which needs no training: clips to scores (B, K) that sum to 1.

    Args:
        model: from clips to vectors of sentences, see `build_aligned`.
        encoder: for the texts.
        texts: one for each class, such as "a bird in the sky".

    Raises:
        ValueError: as in `text_vectors`, or there are fewer than 2.
    """
    return with_texts(model, several(encoder, texts))


def several(encoder: SentenceEncoder, texts: Sequence[str]) -> np.ndarray:
    """Vectors (K, 384) of texts to choose from.

    Raises:
        ValueError: as in `text_vectors`, or there are fewer than 2.
    """
    if len(texts) < 2:
        raise ValueError(f"zero-shot: give 2 texts or more to choose from, got {len(texts)}.")
    return text_vectors(encoder, texts)


def search_files(
    model: keras.Model, vector: np.ndarray, paths: Sequence[str], reading: Reading
) -> Iterator[dict[str, Any]]:
    """How well a text suits files, one answer a file, as they are done.

    Args:
        model: from clips to vectors of sentences.
        vector: (384,), of the text, from `text_vectors`.
        paths: files or URLs.
        reading: how to read them.

    Yields:
        {"path", "likeness": the best window's cosine, "windows": [{"start", "end" in s,
        "scores": {"likeness"}}], "damage"}, or {"path", "error"} for a file that does not read.
    """

    def liken(window: Window) -> dict[str, float]:
        return {LIKENESS: float(model.predict_on_batch(batch_of(window))[0] @ vector)}

    for answer in answered(liken, paths, reading):
        yield search_answer(*answer)


def search_answer(
    path: str, windows: list[dict[str, Any]], damage: str | None, error: str | None
) -> dict[str, Any]:
    """The answer to a file, from what was found of its windows and what was wrong with them."""
    if not windows:
        return {"path": path, "error": error}
    best = max(window["scores"][LIKENESS] for window in windows)
    return {"path": path, LIKENESS: best, "windows": windows, "damage": damage or error}
