"""What is felt in utterances, by a model that hears each with what was said before it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix

from sora_tf._keras import keras
from sora_tf.data.utterances import Utterance, dialogues
from sora_tf.data.words import BagOfWords
from sora_tf.models.dialogue import (
    BAG,
    BEFORE,
    MASK,
    SPEAKERS,
    VECTORS,
    WORDS,
    DialogueConfig,
)
from sora_tf.models.sentence_vectors import sentence_vectors
from sora_tf.models.text import Vocabulary

SCALE = 4.0  # of bags of words, whose rows have the length 1, so that they learn as fast as vectors
AT_ONCE = 256  # utterances of a long dialogue that are scored together


@dataclass(frozen=True)
class Heard:
    """What a model is given of M utterances.

    Args:
        dense: name of an input → (M, ...).
        bag: (M, V) sparse, None where the model takes none.
    """

    dense: dict[str, np.ndarray]
    bag: csr_matrix | None

    def batch(self, groups: Sequence[np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Dialogues side by side, padded to the longest.

        Args:
            groups: B of them, the numbers of the utterances of each.
        Returns:
            What the model takes, (B, N, ...) each; numbers (B, N) of the utterances, 0 on padding.
        """
        longest = max(map(len, groups))
        numbers = np.zeros((len(groups), longest), np.int64)
        mask = np.zeros(numbers.shape, bool)
        for row, group in enumerate(groups):
            numbers[row, : len(group)] = group
            mask[row, : len(group)] = True
        given = {name: values[numbers] for name, values in self.dense.items()}
        if self.bag is not None:
            bag = self.bag[numbers.ravel()].toarray()
            given[BAG] = SCALE * bag.reshape(*numbers.shape, -1)
        return {**given, MASK: mask}, numbers


def hear(
    utterances: Sequence[Utterance],
    config: DialogueConfig,
    bag: BagOfWords | None,
    vocabulary: Vocabulary | None,
    vectors: np.ndarray | None,
) -> Heard:
    """What a model is given of utterances.

    Args:
        utterances: M of them.
        config: the model.
        bag: of its bags of words, if it takes them.
        vocabulary: of its encoder of words, if it has one.
        vectors: (M, 384) MiniLM vectors, if it takes them.
    """
    texts = [one.text for one in utterances]
    dense = {SPEAKERS: _said_by_the_same(utterances)}
    if config.vector and vectors is not None:
        dense[VECTORS] = vectors
    if config.words and vocabulary is not None:
        dense[WORDS] = vocabulary.tokens(texts, config.words.length)
    return Heard(dense, bag.weigh(texts) if config.bag and bag is not None else None)


class Sentiment:
    """A trained model with all that it needs.

    Args:
        name: of what it tells: "sentiment", "emotion" or what the table's column was called.
        model: from `build_dialogue`.
        config: what it was built from.
        labels: names of the classes C.
        bag: of its bags of words, if it takes them.
        vocabulary: of its encoder of words, if it has one.
    """

    def __init__(
        self,
        name: str,
        model: keras.Model,
        config: DialogueConfig,
        labels: Sequence[str],
        bag: BagOfWords | None = None,
        vocabulary: Vocabulary | None = None,
    ):
        self.name = name
        self.labels = tuple(labels)
        self._model = model
        self._config = config
        self._bag = bag
        self._vocabulary = vocabulary

    def scores(
        self, utterances: Sequence[Utterance], vectors: np.ndarray | None = None
    ) -> np.ndarray:
        """Scores (M, C) that sum to 1.

        Args:
            utterances: M of them, in the order of each dialogue.
            vectors: their MiniLM vectors (M, 384); None makes them.
        """
        if vectors is None and self._config.vector:
            vectors = sentence_vectors([one.text for one in utterances])
        heard = hear(utterances, self._config, self._bag, self._vocabulary, vectors)
        return score(self._model, heard, dialogues(utterances), self._config.reach)


def score(model: keras.Model, heard: Heard, groups: Sequence[np.ndarray], reach: int) -> np.ndarray:
    """Scores (M, C) of the utterances of some dialogues; those of others are 0.

    Args:
        model: from `build_dialogue`.
        heard: of M utterances.
        groups: numbers of the utterances of each dialogue.
        reach: how many utterances around one count for it, so that long dialogues can be cut.
    """
    found = np.zeros((len(heard.dense[SPEAKERS]), model.output_shape[-1]), np.float32)
    pieces = [piece for group in groups for piece in _pieces(group, reach)]
    pieces.sort(key=lambda piece: len(piece[0]))
    while pieces:
        longest = len(pieces[-1][0])
        taken = [pieces.pop() for _ in range(min(len(pieces), max(1, AT_ONCE // longest)))]
        given, _ = heard.batch([around for around, _ in taken])
        for scores, (around, own) in zip(model.predict_on_batch(given), taken, strict=True):
            found[around[own]] = scores[own]
    return found


def _pieces(group: np.ndarray, reach: int) -> list[tuple[np.ndarray, slice]]:
    """A long dialogue in pieces, with what is around each, and where in it the piece is."""
    found = []
    for first in range(0, len(group), AT_ONCE):
        begin = max(0, first - reach)
        end = min(first + AT_ONCE, len(group))
        found.append((group[begin : end + reach], slice(first - begin, end - begin)))
    return found


def _said_by_the_same(utterances: Sequence[Utterance]) -> np.ndarray:
    """Whether the speaker of an utterance spoke the one before and the one before that, (M, 2)."""
    found = np.zeros((len(utterances), BEFORE), np.float32)
    for group in dialogues(utterances):
        for place, number in enumerate(group):
            speaker = utterances[number].speaker
            for back in range(1, min(BEFORE, place) + 1):
                other = utterances[group[place - back]].speaker
                found[number, back - 1] = bool(speaker) and speaker == other
    return found
