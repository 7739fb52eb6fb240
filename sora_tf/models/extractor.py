"""The spatio-temporal feature extractor: a CNN on every frame that remembers the last one.

h_t^(l) = σ(W^(l)·[v_t, h_{t-1}^(l-1)]), and a projection to the vector of the frame at the end.
"""

from dataclasses import replace

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import APPLICATIONS, ExtractorConfig, micro
from sora_tf.layers.change import FrameChange
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.memory import FrameMemory
from sora_tf.models.applications import application_maps
from sora_tf.models.backbones import LITE, lite_maps
from sora_tf.models.convolutions import conv, inverted_residual
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

layers = keras.layers

POOLED = "pooled"


def clip_inputs(frames: int | None, frame_shape: tuple[int | None, ...]) -> dict[str, tf.Tensor]:
    """The two inputs of every model: frames (B, T, *frame_shape) float32, mask (B, T) bool."""
    return {
        FRAMES: keras.Input((frames, *frame_shape), name=FRAMES, dtype="float32"),
        MASK: keras.Input((frames,), name=MASK, dtype="bool"),
    }


def extract(clip: dict[str, tf.Tensor], config: ExtractorConfig) -> tuple[tf.Tensor, tf.Tensor]:
    """Adds the extractor to a graph.

    Args:
        clip: {"frames": (B, T, H, W, 3), values 0 to 255; "mask": (B, T) bool}.
        config: what to build.

    Returns:
        maps: (B·T, h, w, C), the last feature maps, frames folded into the batch.
        vectors: (B, T, D), a vector per frame.
    """
    mask = clip[MASK]
    x = FoldFrames(name="fold")(clip[FRAMES])  # (B·T, H, W, 3)
    *earlier, maps = BLOCKS[config.block](x, mask, config)
    if config.block == "conv":
        # The paper flattens: where something is, is part of the vector.
        x = layers.Flatten(name="flatten")(maps)
    else:
        x = layers.GlobalAveragePooling2D(name="pool")(maps)
    seen = [x]
    if config.peak:
        seen.append(layers.GlobalMaxPooling2D(name="peak")(maps))
    if config.change:
        seen += [FrameChange(name=f"change{n}")([m, mask]) for n, m in enumerate([*earlier, maps])]
    if len(seen) > 1:
        x = layers.Concatenate(name="pool_and_more")(seen)
    x = layers.Activation("linear", name=POOLED)(x)
    return maps, project(x, mask, config)


def project(pooled: tf.Tensor, mask: tf.Tensor, config: ExtractorConfig) -> tf.Tensor:
    """Adds what makes vectors (B, T, D) of the pooled features (B·T, F)."""
    x = layers.Dropout(config.dropout, name="extractor_dropout")(pooled)
    if config.features:
        x = layers.Dense(config.features, activation="relu", name="projection")(x)  # (B·T, D)
    return UnfoldFrames(name="extracted")([x, mask])


def _conv_maps(x, mask, config):
    """Per stage: memory, 3×3 convolution without padding, ReLU, max pool."""
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    for stage, (channels, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
        for block in range(depth):
            name = f"stage{stage}_block{block}"
            if config.memory:
                x = FrameMemory(config.memory, name=f"{name}_memory")([x, mask])
            x = layers.Conv2D(channels, 3, activation="relu", name=f"{name}_conv")(x)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return [x]


def _separable_maps(x, mask, config):
    """A strided convolution on two frames, then stages of inverted residuals with memory.

    Memory is added in front of the first convolution, so that motion is seen before anything is
    pooled, and replaces channels inside the residual branches, where it costs nothing.
    """
    stem, *widths = config.channels
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(x)
    if config.memory:
        x = FrameMemory(0.5, name="stem_memory")([x, mask])
    x = conv(x, stem, 3, strides=2, name="stem")
    stages = []
    for stage, (channels, depth) in enumerate(zip(widths, config.depths[1:], strict=True), start=1):
        for block in range(depth):
            x = inverted_residual(
                x,
                mask,
                channels,
                memory=config.memory,
                expansion=config.expansion,
                strides=2 if block == 0 and stage < len(widths) else 1,
                name=f"stage{stage}_block{block}",
            )
        stages.append(x)
    return [*stages[-3:-2], conv(x, 4 * config.channels[-1], 1, name="head")]


BLOCKS = {
    "conv": _conv_maps,
    "separable": _separable_maps,
    **dict.fromkeys(LITE, lite_maps),
    **dict.fromkeys(APPLICATIONS, application_maps),
}


def build_spatial_feature_extractor(
    input_shape: tuple[int | None, ...], config: ExtractorConfig | None = None
) -> VideoModel:
    """The extractor as a model of its own.

    Args:
        input_shape: (H, W, 3) for clips of any length, or (T, H, W, 3).
        config: what to build; None is the paper's two convolutions with a 64-d vector.

    Returns:
        A model from frames (B, T, H, W, 3), values 0 to 255, to vectors (B, T, D).

    Raises:
        ValueError: the shape has neither three nor four numbers.
    """
    if len(input_shape) not in (3, 4):
        raise ValueError(
            "build_spatial_feature_extractor: input_shape must be (H, W, 3) or (T, H, W, 3), "
            f"got {tuple(input_shape)}. Leave out the batch."
        )
    frames = input_shape[0] if len(input_shape) == 4 else None
    clip = clip_inputs(frames, input_shape[-3:])
    _, vectors = extract(clip, config or micro().extractor)
    return VideoModel(clip, vectors, name="spatial_feature_extractor")


def without_memory(config: ExtractorConfig) -> ExtractorConfig:
    """The same extractor seeing single frames only, for comparisons."""
    return replace(config, memory=0.0, change=False)
