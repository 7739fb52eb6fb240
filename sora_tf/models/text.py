"""The encoder of sentences that is trained with the task, on the words of the training texts."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.data.words import words
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.layers.tokens import RealTokens, TokenVectors

layers = keras.layers

SENTENCES, MASK = "sentences", "sentences_mask"
SPECIAL = 2  # numbers below those of words: 0 is no word, 1 a word that is not known
REACH = 3  # neighbouring words that are seen together


@dataclass(frozen=True)
class TextConfig:
    """How sentences become vectors.

    Args:
        vocabulary: rows of the table of words: `Vocabulary.size`.
        length: words L of a sentence that are read.
        width: length of a word's vector.
        units: length D of a sentence's vector.
        dropout: share of the words' vectors dropped in training.
    """

    vocabulary: int
    length: int = 32
    width: int = 64
    units: int = 64
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "TextConfig"
        for name in ("vocabulary", "length", "width", "units"):
            _checks.at_least(owner, name, getattr(self, name), 1, "", "64 is usual.")
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0.2 is usual.")


class Vocabulary:
    """Words by their numbers: 0 where a sentence has ended, 1 for words that are not among them.

    Args:
        known: the words, most frequent first, as `data.words` cuts them.
    """

    def __init__(self, known: Sequence[str]):
        self.known = list(known)
        self._lookup = _vectorizer()
        self._lookup.set_vocabulary(self.known or [" "])  # it takes no empty one

    @classmethod
    def of(cls, texts: Iterable[str], most: int = 20_000) -> "Vocabulary":
        """The most frequent words of texts.

        Args:
            texts: those of the training alone.
            most: words at most.
        Raises:
            ValueError: `most` is below 1.
        """
        _checks.at_least("Vocabulary", "most", most, 1, "word", "20000 is usual.")
        lookup = _vectorizer(most + SPECIAL)
        lookup.adapt(np.array(_spaced(texts) or [""]))
        return cls([str(word) for word in lookup.get_vocabulary(include_special_tokens=False)])

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return len(self.known) + SPECIAL

    def tokens(self, texts: Sequence[str], length: int) -> np.ndarray:
        """The words' numbers, (N, length) int32; what is longer is cut.

        Args:
            texts: N of them.
            length: L.
        """
        if not len(texts):
            return np.zeros((0, length), np.int32)
        found = self._lookup(tf.constant(_spaced(texts))).numpy()[:, :length]
        return np.pad(found, [(0, 0), (0, length - found.shape[1])]).astype(np.int32)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the words, one a line."""
        with replacing(path) as beside:
            beside.write_text("".join(f"{word}\n" for word in self.known), encoding="utf-8")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """What `write` wrote."""
        return cls(Path(path).read_text(encoding="utf-8").split("\n")[:-1])


def encode_sentences(tokens: tf.Tensor, mask: tf.Tensor, config: TextConfig) -> tf.Tensor:
    """Adds the encoder to a graph.

    v = W·[mean over words of e_l, mean over words of relu(K·(e_l-1, e_l, e_l+1))]

    Args:
        tokens: (B, N, L) int32, of `Vocabulary.tokens`.
        mask: (B, N) bool, True where a sentence is there.
        config: how.

    Returns:
        (B, N, D), a vector per sentence.

    Reference: Joulin et al., "Bag of Tricks for Efficient Text Classification", EACL 2017, for
        the mean; Kim, "Convolutional Neural Networks for Sentence Classification", EMNLP 2014.
    """
    # Batches of a `keras.utils.Sequence` come without their shapes.
    known = layers.Reshape((-1, config.length), name="text_shape")(tokens)
    flat = FoldFrames(name="text_fold")(known)  # (B·N, L)
    real = RealTokens(name="text_real")(flat)
    x = TokenVectors(config.vocabulary, config.width, config.length, name="text_words")(flat)
    x = layers.Dropout(config.dropout, name="text_dropout")(x)
    near = layers.Conv1D(config.units, REACH, padding="same", name="text_near")(x)
    near = layers.ReLU(name="text_relu")(near)
    parts = [
        MaskedMeanPool(name="text_mean")([x, real]),
        MaskedMeanPool(name="text_near_mean")([near, real]),
    ]
    x = layers.Dense(config.units, name="text_vector")(layers.Concatenate(name="text_both")(parts))
    return UnfoldFrames(name="text_unfold")([x, mask])


def build_text_encoder(config: TextConfig, sentences: int | None = None) -> keras.Model:
    """The encoder as a model of its own.

    Args:
        config: how.
        sentences: N; None leaves it open.

    Returns:
        A model from {"sentences": (B, N, L) int32, "sentences_mask": (B, N) bool} to
        {"vectors": (B, N, D), "mask": (B, N) bool}.
    """
    tokens = keras.Input((sentences, config.length), dtype="int32", name=SENTENCES)
    mask = keras.Input((sentences,), dtype="bool", name=MASK)
    outputs = {"vectors": encode_sentences(tokens, mask, config), "mask": mask}
    return keras.Model({SENTENCES: tokens, MASK: mask}, outputs, name="text_encoder")


def _vectorizer(most: int | None = None) -> keras.layers.TextVectorization:
    # Texts are cut into words beforehand, by the one rule for that.
    return layers.TextVectorization(most, standardize=None, split="whitespace")


def _spaced(texts: Iterable[str]) -> list[str]:
    return [" ".join(words(text)) for text in texts]
