"""The CNNs of keras.applications as extractors: each a model within the model, on every frame."""

import inspect
import os

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig
from sora_tf.models.backbones import DEVIATION, MEAN

layers = keras.layers


def application_maps(x: tf.Tensor, mask: tf.Tensor, config: ExtractorConfig) -> list[tf.Tensor]:
    """Adds a CNN of keras.applications to a graph, without its classifier.

    Args:
        x: (B·T, H, W, 3), values 0 to 255, red first.
        mask: (B, T) bool; not used, since every frame is seen alone.
        config: its block is the CNN's name, such as "MobileNetV2".

    Returns:
        The last maps, (B·T, h, w, C).

    Raises:
        ValueError: the pictures are too small for it.
    """
    del mask
    order, scale, offset = preprocessing(config.block)
    if order != (0, 1, 2):
        swap = keras.initializers.Constant(np.eye(3)[:, list(order)].tolist())
        x = layers.Conv2D(
            3, 1, use_bias=False, kernel_initializer=swap, trainable=False, name="reorder_colours"
        )(x)
    if (scale, offset) != ((1.0,) * 3, (0.0,) * 3):
        x = layers.Rescaling(list(scale), list(offset), name="rescale")(x)
    try:
        cnn = _builder(config.block)(include_top=False, weights=None, input_shape=x.shape[1:])
    except ValueError as error:
        raise ValueError(
            f"ExtractorConfig: the frames must suit {config.block}, got {tuple(x.shape[1:3])}: "
            f"{error}. Enlarge size."
        ) from None
    return [keras.models.clone_model(cnn, clone_function=_own_normalisation)(x)]


def preprocessing(block: str) -> tuple[tuple[int, ...], tuple[float, ...], tuple[float, ...]]:
    """How a CNN of keras.applications wants its pictures.

    Every `preprocess_input` is y[c] = scale[c]·x[order[c]] + offset[c]. It is asked for black and
    for the three pure colours, which gives the numbers.

    Returns:
        order: channels of the picture, red 0, in the CNN's order.
        scale, offset: for each channel of the CNN.
    """
    preprocess = inspect.getmodule(_builder(block)).preprocess_input  # type: ignore[union-attr]
    colours = np.concatenate([np.zeros((1, 3)), 255.0 * np.eye(3)])
    black, *pure = np.asarray(preprocess(colours.reshape(4, 1, 1, 3).copy())).reshape(4, 3)
    slopes = (np.stack(pure) - black) / 255.0  # from each colour to each channel
    order = tuple(int(colour) for colour in np.abs(slopes).argmax(axis=0))
    scale = tuple(float(slopes[colour, channel]) for channel, colour in enumerate(order))
    return order, scale, tuple(map(float, black))


def load_application(
    model: keras.Model, block: str, path: str | os.PathLike[str] | None = None
) -> None:
    """Gives a model's CNN of keras.applications its ImageNet weights.

    Args:
        model: from `build_sora` or `build_spatial_feature_extractor`, with that block.
        block: the CNN's name.
        path: a file of weights without classifier, as Keras publishes them; None lets Keras fetch
            it, once.

    Raises:
        ValueError: the weights cannot be fetched, or are of another CNN.
    """
    weights = "imagenet" if path is None else os.fspath(path)
    cnn = inner_cnn(model)
    try:
        pretrained = _builder(block)(include_top=False, weights=weights)
        # Layers that Keras numbers have other names each time, but the same order.
        pairs = list(zip(_with_weights(cnn), _with_weights(pretrained), strict=True))
        if any(ours.count_params() != theirs.count_params() for ours, theirs in pairs):
            raise ValueError("the model has another CNN")
    except Exception as error:  # Keras raises nearly anything on what it cannot fetch or read
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"load_application: weights must be those of {block} without its classifier, got "
            f"{weights!r}: {reason}. Give a file that Keras publishes for it, or a way to the "
            "internet."
        ) from error
    for ours, theirs in pairs:
        ours.set_weights(theirs.get_weights())


def inner_cnn(model: keras.Model) -> keras.Model | None:
    """The CNN of keras.applications inside a model, or None."""
    return next((layer for layer in model.layers if isinstance(layer, keras.Model)), None)


def _builder(block):
    return getattr(keras.applications, block)


def _own_normalisation(layer):
    """A copy of a layer; where EfficientNet normalises, as it does with ImageNet's weights.

    Keras builds another EfficientNet for weights="imagenet" than for others, and keeps mean and
    variance among its weights. They are constants, and so they are here.
    """
    if _is_learnt_normalisation(layer):
        scale, offset = 1 / DEVIATION, -MEAN / DEVIATION
        return layers.Rescaling(scale.tolist(), offset.tolist(), name=layer.name)
    return type(layer).from_config(layer.get_config())


def _is_learnt_normalisation(layer):
    return isinstance(layer, layers.Normalization) and layer.input_mean is None


def _with_weights(cnn):
    return [layer for layer in cnn.layers if layer.weights and not _is_learnt_normalisation(layer)]
