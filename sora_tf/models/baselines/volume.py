"""What networks of 3-D convolutions share: padded frames that stay zero, and a mean of real ones.

A convolution over time reads its neighbours, and a bias or norm makes something of nothing. So
padded frames are set to zero again ahead of every convolution over time, which then sees after the
last real frame what it sees at the end of a bare clip.
"""

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.models.convolutions import NORM_MOMENTUM
from sora_tf.models.video_model import FRAMES, MASK

layers = keras.layers


@keras.utils.register_keras_serializable(package="sora_tf")
class ZeroMasked(keras.layers.Layer):
    """Sets padded frames to zero.

    y[b,t] = m[b,t]·x[b,t]

    Call arguments:
        inputs: [x (B, T, ...), mask (B, T) bool, True where the frame is real].
    Output: (B, T, ...).
    """

    def call(self, inputs):
        """Sets to zero; see the class."""
        x, mask = inputs
        shape = tf.concat([tf.shape(mask), [1] * (x.shape.rank - 2)], axis=0)
        return x * tf.reshape(tf.cast(mask, x.dtype), shape)

    def compute_output_shape(self, input_shape):
        """(B, T, ...) as it is."""
        return tf.TensorShape(input_shape[0])


def pictures(clip: dict[str, tf.Tensor]) -> tf.Tensor:
    """The frames of a clip, values -1 to 1, zeros where padded: (B, T, H, W, 3)."""
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="rescale")(clip[FRAMES])
    return ZeroMasked(name="real_pictures")([x, clip[MASK]])


def convolve(
    x: tf.Tensor,
    channels: int,
    kernel: int | tuple[int, int, int],
    strides: int | tuple[int, int, int] = 1,
    *,
    padding: str = "same",
    activation: bool = True,
    name: str,
) -> tf.Tensor:
    """A 3-D convolution, batch normalisation, and ReLU where asked: (B, T, H, W, C).

    In training the norm's statistics count padded frames, as those of the extractor do.
    """
    x = layers.Conv3D(
        channels, kernel, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv"
    )(x)
    x = layers.BatchNormalization(momentum=NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def pool(x: tf.Tensor, mask: tf.Tensor, name: str) -> tf.Tensor:
    """The mean over the places of all real frames, (B, T, H, W, C) to (B, C)."""
    folded = FoldFrames(name=f"{name}_fold")(x)
    means = layers.GlobalAveragePooling2D(name=f"{name}_space")(folded)  # (B·T, C)
    means = UnfoldFrames(name=f"{name}_unfold")([means, mask])
    return MaskedMeanPool(name=f"{name}_time")([means, mask])
