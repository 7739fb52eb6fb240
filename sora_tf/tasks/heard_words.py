"""Any text compared with what is heard: the names of sounds, weighted by how sure YAMNet is."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.tasks.classify import file_answer
from sora_tf.tasks.hear import Heard, hear
from sora_tf.tasks.windows import Stretch, check_stretches, cut
from sora_tf.tasks.zero_shot import LIKENESS, search_answer
from sora_tf.video import VideoError

TEMPERATURE = 0.05  # of the scores of several texts, as for what is seen


class HeardWords:
    """Compares texts with the sound of files.

    The vector of a stretch is the mean over its windows of the vectors of AudioSet's names,
    weighted by their scores, of length 1: what is seen is compared so too, with ImageNet's names.

    Args:
        network: from `yamnet_network`.
        names: of its classes, from `yamnet_names`.
        encoder: for the names and the texts.
        seconds: length of a stretch, s; None makes one of every file.
        step: from one stretch to the next, s; None is `seconds`.
    Raises:
        ValueError: as `Reading`.
    """

    def __init__(
        self,
        network: keras.Model,
        names: Sequence[str],
        encoder: SentenceEncoder,
        seconds: float | None = None,
        step: float | None = None,
    ):
        check_stretches("HeardWords", seconds, step)
        self.network, self.seconds, self.step = network, seconds, step
        self.vectors = encoder.encode([name.lower() for name in names])

    def answered(
        self, answer: Callable[[np.ndarray], dict[str, float]], paths: Sequence[str]
    ) -> Iterator[tuple[str, list[dict[str, Any]], str | None, str | None]]:
        """What is answered to the stretches of files, a file at a time.

        Args:
            answer: to the vector (384,) of a stretch.
            paths: files or URLs.

        Yields:
            The path, {"start", "end" in s, "scores"} of each stretch with sound, the damage, and
            what is wrong with a file that does not read or has no sound.
        """
        for path in paths:
            try:
                heard = hear(self.network, path)
                windows = [
                    {"start": start, "end": end, "scores": answer(vector)}
                    for start, end, vector in self._stretches(path, heard)
                ]
            except VideoError as error:
                yield path, [], None, str(error)
            else:
                yield path, windows, heard.damage, None

    def _stretches(self, path: str, heard: Heard) -> Iterator[tuple[float, float, np.ndarray]]:
        """Start, end and vector of every stretch in which there is sound."""
        if not len(heard.scores):
            raise VideoError(path, "no sound", "nothing is heard in it", "Leave out --heard.")
        weights = heard.scores / np.maximum(heard.scores.sum(axis=1, keepdims=True), 1e-9)
        last, middle = float(heard.times[-1, 1]), heard.times.mean(axis=1)
        whole: list[Stretch] = [(0.0, None)]
        parts = whole if self.seconds is None else cut(path, last, self.seconds, self.step)
        for start, end in parts:
            until = last if end is None else end
            rows = (middle >= start) & (middle < until)
            if rows.any():
                vector = (weights[rows] @ self.vectors).mean(axis=0)
                yield start, until, vector / max(float(np.linalg.norm(vector)), 1e-9)


def name_heard(
    words: HeardWords, texts: Sequence[str], vectors: np.ndarray, paths: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Names files by which of several texts suits their sound; answers as `classify_files` does.

    Args:
        words: what listens.
        texts: K of them.
        vectors: (K, 384), of the texts.
        paths: files or URLs.
    """

    def name(heard: np.ndarray) -> dict[str, float]:
        cosines = vectors @ heard
        sure = np.exp((cosines - cosines.max()) / TEMPERATURE)
        return {text: float(p) for text, p in zip(texts, sure / sure.sum(), strict=True)}

    for answer in words.answered(name, paths):
        yield file_answer(*answer)


def search_heard(
    words: HeardWords, vector: np.ndarray, paths: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """How well a text suits the sound of files; answers as `search_files` does.

    Args:
        words: what listens.
        vector: (384,), of the text.
        paths: files or URLs.
    """

    def liken(heard: np.ndarray) -> dict[str, float]:
        return {LIKENESS: float(vector @ heard)}

    for answer in words.answered(liken, paths):
        yield search_answer(*answer)
