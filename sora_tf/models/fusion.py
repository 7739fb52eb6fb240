"""What is seen, heard and said in a clip, fused to one global vector by one relation model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.cross_attention import CrossAttention
from sora_tf.layers.fusion import FusionBlock, ModalityDropout
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.layers.voices import Voices, VoicesJoined, VoicesThere
from sora_tf.models.sora import GLOBAL_VECTOR, SCORES
from sora_tf.models.sound import SoundConfig, encode_sound

layers = keras.layers

FRAME, SOUND, SENTENCE = "frame", "sound", "sentence"
TOGETHER = "together"  # the voice of all sets
Nodes = dict[str, list[tf.Tensor]]


@dataclass(frozen=True)
class FusionConfig:
    """How node sets are fused.

    Args:
        kind: "graph" (rounds of messages along the edges of the heterogeneous graph),
            "cross_attention" (every node attends to all nodes of the other sets, whenever they
            are) or "concatenation" (no messages: each set is averaged by itself).
        units: length U of a node's vector, and of each part of the global vector.
        blocks: rounds.
        window: neighbours of a node on each side, within its set ("graph").
        heads: of "cross_attention".
        absent: probability that a training clip is shown without one of its sets, so that all of
            them together do with fewer.
        dropout: share of the global vector dropped in training, before the classifier.
    """

    kind: str = "graph"
    units: int = 64
    blocks: int = 1
    window: int = 2
    heads: int = 4
    absent: float = 0.2
    dropout: float = 0.2

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "FusionConfig"
        _checks.one_of(owner, "kind", self.kind, KINDS)
        _checks.at_least(owner, "units", self.units, 1, "channel", "64 is usual.")
        _checks.at_least(owner, "blocks", self.blocks, 1, "round", "1 is usual.")
        _checks.at_least(owner, "window", self.window, 1, "node", "2 is usual.")
        _checks.at_least(owner, "heads", self.heads, 1, "", "4 is usual.")
        if self.kind == "cross_attention" and self.units % self.heads:
            raise ValueError(
                f"{owner}: units must be a multiple of heads, got {self.units} and {self.heads}. "
                "Choose a divisor."
            )
        _checks.between(owner, "absent", self.absent, 0.0, 0.9, "0.2 is usual.")
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0 turns it off.")


def build_fusion(
    sets: Mapping[str, tuple[int | None, ...]],
    num_classes: int | None = None,
    config: FusionConfig | None = None,
    *,
    sound: SoundConfig | None = None,
) -> keras.Model:
    """Builds the model that fuses node sets.

    Args:
        sets: (n, D) of every node set, n None for any number: "frame", "sound", "sentence", or
            others, in the order that the model will keep.
        num_classes: classes to tell apart; None leaves the classifier out.
        config: how; None is `FusionConfig()`.
        sound: where given, "sound" are log-mel windows (S, F, M), as `load_sound` makes them, and
            its encoder is trained with the rest.

    Returns:
        A model from {NAME: (B, n, D), NAME_mask: (B, n) bool, NAME_times: (B, n, 2) in s} of every
        set to scores (B, num_classes) that sum to 1, or to the global vector (see `fuse`). What the
        nodes hold where the mask is False changes nothing.

    Raises:
        ValueError: there are no sets, or fewer than 2 classes.
    """
    config = config or FusionConfig()
    if not sets:
        raise ValueError("build_fusion: sets must not be empty, got none. Give one or more.")
    inputs = {name: _inputs(name, shape) for name, shape in sets.items()}
    nodes = dict(inputs)
    if sound is not None and SOUND in nodes:
        windows, mask, times = nodes[SOUND]
        nodes[SOUND] = [encode_sound(windows, mask, sound), mask, times]
    vector, there = fuse(nodes, config)
    flat = {node.name: node for parts in inputs.values() for node in parts}
    if num_classes is None:
        return keras.Model(flat, vector, name="fusion")
    _checks.at_least("build_fusion", "num_classes", num_classes, 2, "classes", "None is without.")
    x = layers.Dropout(config.dropout, name="dropout")(vector)
    logits = Voices(num_classes, name="logits", dtype="float32")([x, there])
    return keras.Model(flat, layers.Softmax(name=SCORES, dtype="float32")(logits), name="fusion")


def fuse(nodes: Nodes, config: FusionConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds the fusion to a graph.

    The vector has a part for each set by itself and, where there are several, one for all of them
    together; each part is Σ_s W_s·mean over the real nodes of s, what its own rounds of messages
    made of them, and zeros where it is not there: a set without nodes, or fewer than two for all.

    Args:
        nodes: [vectors (B, n, D), mask (B, n) bool, times (B, n, 2) in s] of every set.
        config: how.

    Returns:
        The global vector (B, V·units), V parts, and which of them are there (B, V) bool.
    """
    masks = ModalityDropout(config.absent, name="modality_dropout")(
        {name: mask for name, (_, mask, _) in nodes.items()}
    )
    kept = {name: [x, masks[name], times] for name, (x, _, times) in nodes.items()}
    voices = {name: {name: kept[name]} for name in nodes}
    if len(nodes) > 1:
        voices[TOGETHER] = kept
    several = list(masks.values())
    there = VoicesThere(name="there")(several if len(several) > 1 else several[0])
    parts = [_part(heard, config, f"{voice}_voice") for voice, heard in voices.items()]
    return VoicesJoined(name=GLOBAL_VECTOR, dtype="float32")([there, *parts]), there


def _part(nodes, config, voice):
    """What some sets say, (B, units)."""
    state = {}
    for name, (vectors, _, _) in nodes.items():
        x = FrameNorm(name=f"{voice}_{name}_scaled")(vectors)
        state[name] = layers.Dense(config.units, name=f"{voice}_{name}_embedding")(x)
    for block in range(config.blocks):
        named = {
            name: [FrameNorm(name=f"{voice}_{name}_norm{block}")(x), *nodes[name][1:]]
            for name, x in state.items()
        }
        heard = KINDS[config.kind](named, config, f"{voice}{block}")
        state = {
            name: layers.Add(name=f"{voice}_{name}_add{block}")([x, heard[name]])
            if name in heard
            else x
            for name, x in state.items()
        }
    parts = [
        layers.Dense(config.units, use_bias=False, name=f"{voice}_{name}_part")(
            MaskedMeanPool(name=f"{voice}_{name}_pooling")([x, nodes[name][1]])
        )
        for name, x in state.items()
    ]
    return layers.Add(name=f"{voice}_parts")(parts) if len(parts) > 1 else parts[0]


def _inputs(name, shape):
    length = shape[0]
    return [
        keras.Input(shape, name=name),
        keras.Input((length,), dtype=tf.bool, name=f"{name}_mask"),
        keras.Input((length, 2), name=f"{name}_times"),
    ]


def _graph(nodes, config, at):
    return FusionBlock(config.units, config.window, name=f"{at}_fusion")(nodes)


def _cross_attention(nodes, config, at):
    """Every node asks all nodes of the other sets; those that are not there do not answer."""
    heard = {}
    for name, (x, _, _) in nodes.items():
        others = [other for other in nodes if other != name]
        if others:
            asked = _joined([nodes[other][0] for other in others], f"{at}_{name}_others")
            there = _joined([nodes[other][1] for other in others], f"{at}_{name}_others_mask")
            attention = CrossAttention(
                config.heads, config.units // config.heads, name=f"{at}_{name}_attention"
            )
            heard[name] = attention([x, asked, there])
    return heard


def _joined(parts, name):
    return layers.Concatenate(axis=1, name=name)(parts) if len(parts) > 1 else parts[0]


def _nothing(nodes, config, at):
    return {}


KINDS: dict[str, Callable] = {
    "graph": _graph,
    "cross_attention": _cross_attention,
    "concatenation": _nothing,
}
