"""The stages of a model's CNN, first to last, as fine-tuning thaws them."""

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from sora_tf._keras import keras
from sora_tf.models.applications import inner_cnn
from sora_tf.models.detector import scale_maps
from sora_tf.models.extractor import POOLED
from sora_tf.models.sora import pooled_features


class CnnStage(NamedTuple):
    """Layers with weights that belong together."""

    name: str
    layers: list[keras.layers.Layer]


def cnn_stages(model: keras.Model) -> list[CnnStage]:
    """The stages of the CNN inside a model that `build_sora` made, first to last.

    In a CNN of this package they are called as its layers are: "stem", "stage0", … ; the
    convolution after them belongs to the last. In one of keras.applications a stage is all that
    works at one size of the maps: "stage0" at the largest.

    Raises:
        ValueError: the model has no pooled features.
    """
    cnn = inner_cnn(model)
    if cnn is not None:
        layers = sorted(_learning(cnn), key=_height, reverse=True)  # branches cross in its order
        groups = groupby(layers, key=_height)
        return [CnnStage(f"stage{number}", list(group)) for number, (_, group) in enumerate(groups)]
    if not any(layer.name == POOLED for layer in model.layers):
        raise ValueError(
            f"cnn_stages: the model must have a CNN with pooled features, but {model.name!r} has "
            "none. Give one made by build_sora."
        )
    return _by_name(_learning(pooled_features(model)))


def detector_stages(model: keras.Model) -> list[CnnStage]:
    """The stages of the CNN inside a model that `build_detector` made, named as those of others."""
    return _by_name(_learning(scale_maps(model)))


def frozen_but(stages: Sequence[CnnStage], count: int) -> None:
    """Freezes all stages but the last ones, and all batch norms in them.

    Args:
        stages: first to last; `trainable` of their layers is set.
        count: how many of the last ones learn.
    """
    for depth, stage in enumerate(reversed(stages), start=1):
        for layer in stage.layers:
            if depth > count or isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False


def _by_name(learning):
    """Layers as stages; the convolution after the last one belongs to it."""
    stages: list[CnnStage] = []
    for layer in learning:
        name = layer.name.split("_")[0]
        if stages and name in (stages[-1].name, "head"):
            stages[-1].layers.append(layer)
        else:
            stages.append(CnnStage(name, [layer]))
    return stages


def _learning(model):
    """Layers that training may change."""
    return [layer for layer in model.layers if layer.trainable_weights]


def _height(layer):
    return layer.output_shape[1]
