"""Beginning with the weights of another model."""

import os

from sora_tf._keras import keras
from sora_tf.train.run import load_model

CLASSIFIER = "logits"


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
