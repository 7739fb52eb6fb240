"""The convolutions that extractors are made of, each with its norm and ReLU6."""

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.layers.memory import FrameMemory

layers = keras.layers

# Keras's 0.99 needs hundreds of steps to forget its start; small sets of clips have tens an epoch.
NORM_MOMENTUM = 0.9


def conv(
    x: tf.Tensor,
    channels: int,
    kernel: int,
    strides: int = 1,
    activation: bool = True,
    name: str = "",
) -> tf.Tensor:
    """A convolution without bias, its norm, and ReLU6 where asked for."""
    x = layers.Conv2D(
        channels, kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_conv"
    )(x)
    x = norm(x, name)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if activation else x


def norm(x: tf.Tensor, name: str) -> tf.Tensor:
    """Batch normalisation."""
    return layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm")(x)


def inverted_residual(
    x: tf.Tensor,
    mask: tf.Tensor,
    channels: int,
    *,
    memory: float,
    expansion: int,
    kernel: int = 3,
    strides: int = 1,
    name: str = "",
) -> tf.Tensor:
    """Widen, convolve each channel by itself, narrow; added to the input where the shape allows.

    Args:
        x: (B·T, H, W, C).
        mask: (B, T) bool.
        channels: of the output.
        memory: share of the branch's input channels that comes from the previous frame.
        expansion: width inside, as a multiple of C; 1 leaves the widening out.
        kernel: side of the depthwise kernel, pixels.
        strides: of the depthwise convolution.
        name: prefix of the layers' names.
    Reference: Sandler et al., "MobileNetV2", CVPR 2018; Lin, Gan and Han, "TSM", ICCV 2019.
    """
    branch = x
    if memory:
        branch = FrameMemory(memory, replace=True, name=f"{name}_memory")([x, mask])
    if expansion > 1:
        branch = conv(branch, expansion * x.shape[-1], 1, name=f"{name}_expand")
    branch = layers.DepthwiseConv2D(
        kernel, strides=strides, padding="same", use_bias=False, name=f"{name}_depthwise"
    )(branch)
    branch = norm(branch, f"{name}_depthwise")
    branch = layers.ReLU(6.0, name=f"{name}_depthwise_relu")(branch)
    branch = conv(branch, channels, 1, activation=False, name=f"{name}_project")
    if strides == 1 and x.shape[-1] == channels:
        branch = layers.Add(name=f"{name}_add")([x, branch])
    return branch
