"""What is felt in each utterance of a dialogue, heard with what was said around it.

Utterances are the nodes of a graph, and the relation model passes messages between them.
"""

from dataclasses import dataclass, field
from typing import Any

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import RelationConfig
from sora_tf.layers.norm import FrameNorm
from sora_tf.models.relation import relate
from sora_tf.models.sora import SCORES
from sora_tf.models.text import TextConfig, encode_sentences

layers = keras.layers

VECTORS, BAG, WORDS, SPEAKERS, MASK = "vectors", "bag", "words", "speakers", "mask"
BEFORE = 2  # utterances before one, of which it is told whether its speaker spoke them


@dataclass(frozen=True)
class DialogueConfig:
    """The model.

    Args:
        vector: length of an utterance's MiniLM vector; 0 leaves it out.
        bag: length V of its bag of words, see `data.words.BagOfWords`; 0 leaves it out.
        words: the encoder that is trained with the task; None leaves it out.
        relation: how messages are passed; None hears every utterance by itself.
        units: length of an utterance's vector inside.
        dropout: share of all inputs and of what stands before the classifier dropped in training.
    """

    vector: int = 384
    bag: int = 8192
    words: TextConfig | None = None
    relation: RelationConfig | None = field(
        default_factory=lambda: RelationConfig(
            alpha="attention", edges="causal", window=4, units=64, blocks=1, dropout=0.2
        )
    )
    units: int = 64
    dropout: float = 0.4

    def __post_init__(self) -> None:
        """Checks the ranges, and that there is something to hear."""
        owner = "DialogueConfig"
        _checks.at_least(owner, "vector", self.vector, 0, "", "384 is MiniLM's.")
        _checks.at_least(owner, "bag", self.bag, 0, "", "8192 is usual.")
        _checks.at_least(owner, "units", self.units, 1, "channel", "64 is usual.")
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0.4 is usual.")
        if not (self.vector or self.bag or self.words):
            raise ValueError(f"{owner}: vector, bag and words must not all be left out. Give one.")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "DialogueConfig":
        """What `dataclasses.asdict` made."""
        words, relation = values.pop("words"), values.pop("relation")
        return cls(
            **values,
            words=words and TextConfig(**words),
            relation=relation and RelationConfig(**relation),
        )

    @property
    def reach(self) -> int:
        """Utterances before and after one that it hears, at most."""
        return self.relation.window * self.relation.blocks if self.relation else 0


def build_dialogue(config: DialogueConfig, num_classes: int) -> keras.Model:
    """Builds the model.

    Args:
        config: what to build.
        num_classes: classes C to tell apart; 2 or more.

    Returns:
        A model from {"vectors": (B, N, 384), "bag": (B, N, V), "words": (B, N, L) int32 (those
        that the config has), "speakers": (B, N, 2), "mask": (B, N) bool} to scores (B, N, C) that
        sum to 1. What is where the mask is False changes nothing.

    Raises:
        ValueError: fewer than 2 classes.
    """
    _checks.at_least("build_dialogue", "num_classes", num_classes, 2, "classes", "Add labels.")
    mask = keras.Input((None,), dtype="bool", name=MASK)
    speakers = keras.Input((None, BEFORE), name=SPEAKERS)
    inputs, said = {MASK: mask, SPEAKERS: speakers}, []
    if config.vector:
        inputs[VECTORS] = keras.Input((None, config.vector), name=VECTORS)
        x = FrameNorm(name="vectors_norm")(inputs[VECTORS])
        said.append(layers.Dropout(config.dropout, name="vectors_dropout")(x))
    if config.bag:
        inputs[BAG] = keras.Input((None, config.bag), name=BAG)
        said.append(layers.Dropout(config.dropout, name="bag_dropout")(inputs[BAG]))
    if config.words:
        inputs[WORDS] = keras.Input((None, config.words.length), dtype="int32", name=WORDS)
        said.append(encode_sentences(inputs[WORDS], mask, config.words))
    alone = layers.Concatenate(name="said")(said) if len(said) > 1 else said[0]
    parts = [layers.Dense(num_classes, name="alone")(alone)]
    if config.relation:
        x = layers.Dense(config.units, activation="relu", name="short")(alone)
        x = layers.Concatenate(name="told")([x, speakers])
        x = relate(x, mask, config.relation)
        x = layers.Dropout(config.dropout, name="dropout")(x)
        parts.append(layers.Dense(num_classes, use_bias=False, name="together")(x))
    logits = layers.Add(name="logits", dtype="float32")(parts) if len(parts) > 1 else parts[0]
    scores = layers.Softmax(name=SCORES, dtype="float32")(logits)
    return keras.Model(inputs, scores, name="dialogue")
