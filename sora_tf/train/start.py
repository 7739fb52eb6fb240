"""The model that a training begins with."""

import os

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.models.sora import WEIGHTS, build_sora
from sora_tf.models.video_model import VideoModel
from sora_tf.train.run import load_model

CLASSIFIER = "logits"


def first_model(config: SoraConfig, num_classes: int | None, weights: str | None) -> VideoModel:
    """The model of a config with the weights that a training begins with.

    Args:
        config, num_classes: as in `build_sora`.
        weights: as in `TrainConfig`: None, "imagenet", or the `.keras` file of a model of the same
            config, such as `sora-tf pretrain` writes.

    Raises:
        ValueError, ImportError: as `build_sora` and `take_weights`.
        RunError: the file does not load.
    """
    named = weights is None or weights in WEIGHTS
    model = build_sora(config, num_classes, weights if named else None)
    if weights and not named:
        take_weights(model, weights)
    return model


def take_weights(model: keras.Model, path: str | os.PathLike[str]) -> list[str]:
    """Gives a model the weights of the layers that it shares with a saved one.

    Args:
        model: from `build_sora`, with or without a classifier.
        path: the `.keras` file of a model of the same config; its classifier may differ or lack.

    Returns:
        The names of the layers that keep their own weights.

    Raises:
        RunError: the file does not load.
        ValueError: it holds a model of another config.
    """
    saved = {layer.name: layer for layer in load_model(path).layers if layer.weights}
    own = [layer for layer in model.layers if layer.weights]
    kept = []
    for layer in own:
        other = saved.get(layer.name)
        if other is not None and _shapes(other) == _shapes(layer):
            layer.set_weights(other.get_weights())
        elif layer.name == CLASSIFIER:
            kept.append(layer.name)
        else:
            raise ValueError(
                f"take_weights: {path} must hold a model of the same config, but its layer "
                f"{layer.name!r} is {'of another shape' if other else 'missing'}. Give the config "
                "it was made with."
            )
    return kept


def _shapes(layer):
    return [weight.shape for weight in layer.weights]
