"""The spatio-temporal relation model: message passing between frames.

h_t^(g) = σ(Σ_i α_it·h_i), repeated; every frame is a node of a graph.
"""

from dataclasses import replace

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import RelationConfig, micro
from sora_tf.layers.contrast import FrameContrast
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.relation import RelationBlock
from sora_tf.models.extractor import clip_inputs
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

layers = keras.layers


def relate(vectors: tf.Tensor, mask: tf.Tensor, config: RelationConfig) -> tf.Tensor:
    """Adds the relation model to a graph.

    Args:
        vectors: (B, T, D), a vector per frame.
        mask: (B, T) bool, True where the frame is real.
        config: what to build.

    Returns:
        (B, T, config.units), a vector per frame that knows the others.
    """
    if config.recurrent:
        return layers.LSTM(config.units, return_sequences=True, name="relation_lstm")(
            vectors, mask=mask
        )
    x = vectors
    if config.contrast:
        apart = FrameContrast(config.contrast, name="relation_contrast")([x, mask])
        x = layers.Concatenate(name="relation_compared")([x, apart])
    for block in range(config.blocks):
        name = f"relation{block}"
        before = x
        if config.residual:
            x = FrameNorm(name=f"{name}_norm")(x)
        x = RelationBlock(
            config.units,
            alpha=config.alpha,
            edges=config.edges,
            window=config.window,
            dilation=config.dilation,
            segment=config.segment,
            heads=config.heads,
            neighbours=config.neighbours,
            name=name,
        )([x, mask])
        x = layers.Dropout(config.dropout, name=f"{name}_dropout")(x)
        if config.residual:
            if before.shape[-1] != config.units:
                before = layers.Dense(config.units, name=f"{name}_shortcut")(before)
            x = layers.Add(name=f"{name}_add")([before, x])
    return x


def build_temporal_relation_model(
    input_shape: tuple[int | None, int],
    hidden_size: int,
    config: RelationConfig | None = None,
    *,
    recurrent: bool = False,
) -> VideoModel:
    """The relation model as a model of its own.

    Args:
        input_shape: (T, D); T may be None.
        hidden_size: length of the vectors it makes.
        config: what to build; None is the paper's single round with α = 1.
        recurrent: an LSTM over the frames instead of the graph, as in the paper's listing.

    Returns:
        A model from vectors (B, T, D) to vectors (B, T, hidden_size).

    Raises:
        ValueError: the shape is not (T, D), or hidden_size is below 1.
    """
    owner = "build_temporal_relation_model"
    if len(input_shape) != 2 or not input_shape[1]:
        raise ValueError(
            f"{owner}: input_shape must be (T, D) with D known, got {tuple(input_shape)}. "
            "Leave out the batch; T may be None."
        )
    _checks.at_least(owner, "hidden_size", hidden_size, 1, "channel", "64 is the paper's.")
    chosen = replace(
        config or micro().relation or RelationConfig(), units=hidden_size, recurrent=recurrent
    )
    inputs = clip_inputs(input_shape[0], (input_shape[1],))
    hidden = relate(inputs[FRAMES], inputs[MASK], chosen)
    return VideoModel(inputs, hidden, name="temporal_relation_model")
