"""Weights that come with the package, trained by `sora-tf train`.

Each is a folder beside this package's code, `weights/NAME`: config.json, labels.txt, weights.npz
with all but the frozen CNN, which has ImageNet's, and README.md, the model card.
"""

import os
from pathlib import Path

import numpy as np

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.config import SoraConfig

FOLDER = Path(__file__).parents[1] / "weights"
CONFIG, LABELS, ARRAYS = "config.json", "labels.txt", "weights.npz"
SHIPPED = ("fight",)


def shipped_config(name: str) -> SoraConfig:
    """The config that weights of this name belong to."""
    return SoraConfig.from_json((FOLDER / name / CONFIG).read_text(encoding="utf-8"))


def shipped_labels(name: str) -> tuple[str, ...]:
    """The classes that they tell apart, in the order of the scores."""
    return tuple((FOLDER / name / LABELS).read_text(encoding="utf-8").splitlines())


def check_shipped(name: str, config: SoraConfig, num_classes: int | None) -> None:
    """Checks that weights fit what is to be built.

    Raises:
        ValueError: they are of another model, or of another number of classes.
    """
    wanted, labels = shipped_config(name), shipped_labels(name)
    apart = [key for key, value in vars(wanted).items() if getattr(config, key) != value]
    if apart:
        raise ValueError(
            f"build_sora: the weights {name!r} are of a model with another {', '.join(apart)}. "
            f"Use shipped_config({name!r})."
        )
    if num_classes not in (None, len(labels)):
        raise ValueError(
            f"build_sora: num_classes with the weights {name!r} must be {len(labels)} "
            f"({', '.join(labels)}) or None, got {num_classes}. Train a classifier of your own on "
            "the vectors."
        )


def load_shipped(model: keras.Model, name: str) -> None:
    """Gives a model that they fit all weights but the CNN's."""
    with np.load(FOLDER / name / ARRAYS, allow_pickle=False) as file:
        arrays = dict(file)
    for layer in model.layers:
        if layer.weights and all(key in arrays for key in _keys(layer)):
            layer.set_weights([arrays[key] for key in _keys(layer)])


def save_shipped(
    head: keras.Model, config: SoraConfig, labels: tuple[str, ...], folder: str | os.PathLike[str]
) -> None:
    """Writes what `load_shipped` reads.

    Args:
        head: what stands on the CNN, from `head_of`.
        config: what the whole model was made from.
        labels: its classes.
        folder: where to, with a place for the model card.
    """
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    values = {
        key: value
        for layer in head.layers
        for key, value in zip(_keys(layer), layer.get_weights(), strict=True)
    }
    with replacing(path / ARRAYS) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, **values)
    for name, text in ((CONFIG, config.to_json()), (LABELS, "\n".join(labels))):
        with replacing(path / name) as beside:
            beside.write_text(f"{text}\n", encoding="utf-8")


def _keys(layer: keras.layers.Layer) -> list[str]:
    """The names of a layer's weights in the file."""
    return [f"{layer.name}.{number}" for number in range(len(layer.weights))]
