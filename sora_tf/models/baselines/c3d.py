"""A network of 3x3x3 convolutions."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.models.baselines.classifier import classify, hidden_width
from sora_tf.models.baselines.volume import ZeroMasked, convolve, pictures, pool
from sora_tf.models.extractor import clip_inputs
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers

# Tran et al., section 3.1 and figure 3: eight convolutions and five pools, the first of which
# leaves time alone. The channels are 3/16 of theirs (64, 128, 256, 512, 512): about 1 M weights.
CHANNELS = (12, 24, 48, 96, 96)
DEPTHS = (1, 1, 2, 2, 2)
POOLS = ((1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))


@keras.utils.register_keras_serializable(package="sora_tf")
class AnyOfEvery(keras.layers.Layer):
    """The mask of a clip pooled over time: real where any of `step` frames in a row is.

    Args:
        step: frames that become one; 1 or more.
    Call arguments:
        inputs: mask (B, T) bool.
    Output: (B, ⌈T / step⌉) bool.
    Raises:
        ValueError: `step` is below 1.
    """

    def __init__(self, step=2, **kwargs):
        super().__init__(**kwargs)
        self.step = _checks.at_least("AnyOfEvery", "step", step, 1, "frame", "2 is usual.")

    def call(self, inputs):
        """Pools the mask; see the class."""
        real = tf.cast(inputs, tf.float32)[..., None]
        return tf.nn.max_pool1d(real, self.step, self.step, "SAME")[..., 0] > 0

    def compute_output_shape(self, input_shape):
        """(B, T) to (B, ⌈T / step⌉)."""
        batch, frames = input_shape
        return tf.TensorShape([batch, None if frames is None else -(-frames // self.step)])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "step": self.step}


def build_c3d(config: SoraConfig, num_classes: int) -> VideoModel:
    """C3D at 3/16 of its width, with batch normalisation and a mean where it flattens.

    Of the config it takes the frames, the size, the length of the vector and the dropout; it has
    no vectors of frames. Padded frames are zeros throughout: what they hold changes nothing, and a
    padded clip gives what the bare one gives, exactly once trained; in training the norms count
    them.

    Reference: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks",
        ICCV 2015.
    """
    clip = clip_inputs(config.frames, (*config.size, 3))
    mask = clip[MASK]
    x = pictures(clip)
    for stage, (channels, depth, size) in enumerate(zip(CHANNELS, DEPTHS, POOLS, strict=True)):
        for block in range(depth):
            name = f"stage{stage}_block{block}"
            x = convolve(x, channels, 3, name=name)
            x = ZeroMasked(name=f"{name}_real")([x, mask])
        # Zeros of padded frames win no maximum, as nothing is below zero after a ReLU.
        x = layers.MaxPooling3D(size, padding="same", name=f"stage{stage}_pool")(x)
        mask = AnyOfEvery(size[0], name=f"stage{stage}_mask")(mask)
    vector = pool(x, mask, "pooling")
    vector = layers.Dense(hidden_width(config), activation="relu", name="fc6")(vector)
    return classify(clip, vector, config, num_classes, "c3d")
