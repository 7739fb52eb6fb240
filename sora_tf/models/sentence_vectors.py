"""Vectors of sentences, kept in a file so that no sentence is read twice."""

import hashlib
import os
import zipfile
from collections.abc import Sequence

import numpy as np

from sora_tf._files import replacing
from sora_tf.models.minilm import UNITS, SentenceEncoder

NAMES, VECTORS = "names", "vectors"
BLOCK = 2_000  # texts, or a quarter of those known, that a kill may cost


def sentence_vectors(
    texts: Sequence[str],
    cache: str | os.PathLike[str] | None = None,
    encoder: SentenceEncoder | None = None,
) -> np.ndarray:
    """MiniLM's vectors of texts, (N, 384) float32; see `SentenceEncoder.encode`.

    Args:
        texts: N of them.
        cache: an .npz that is read and added to; one that does not read is made anew.
        encoder: None loads one, if any text is not in the file.
    """
    names = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]
    known = {} if cache is None else _read(cache)
    lacking = {name: text for name, text in zip(names, texts, strict=True) if name not in known}
    if lacking:
        encoder = encoder or SentenceEncoder()
        while lacking:
            block = list(lacking)[: max(BLOCK, len(known) // 4)]
            made = encoder.encode([lacking.pop(name) for name in block])
            known.update(zip(block, made, strict=True))
            if cache is not None:
                _write(cache, known)
    return np.stack([known[name] for name in names]) if names else np.zeros((0, UNITS), np.float32)


def _write(path: str | os.PathLike[str], known: dict[str, np.ndarray]) -> None:
    with replacing(path) as beside, open(beside, "wb") as file:
        np.savez(file, **{NAMES: np.array(list(known)), VECTORS: np.stack([*known.values()])})


def _read(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            names, vectors = file[NAMES], file[VECTORS]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return {}
    if vectors.shape != (len(names), UNITS):
        return {}
    return dict(zip(names.tolist(), vectors, strict=True))
