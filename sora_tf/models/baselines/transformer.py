"""A CNN on every frame and a transformer encoder over the frames."""

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.models.baselines.classifier import classify, hidden_width
from sora_tf.models.extractor import clip_inputs, extract, without_memory
from sora_tf.models.sora import FRAME_VECTORS
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers

BLOCKS = 2
HEADS = 4
EXPANSION = 4  # of the feed-forward layer; Vaswani et al., "Attention Is All You Need", 2017
DROPOUT = 0.1  # of every branch; the same
# Standard deviation of positions at the start: √½, that of Vaswani's sines. At the usual 0.02
# (Dosovitskiy et al., ICLR 2021) they drown in the frame vectors, which are not as small, and the
# order of moving digits is not learned.
POSITION_SCALE = 0.7


@keras.utils.register_keras_serializable(package="sora_tf")
class LearnedPositions(keras.layers.Layer):
    """Adds a trained vector to each frame, by its number.

    y[b,t] = x[b,t] + p[t]

    Args:
        scale: standard deviation of p at the start.
    Call arguments:
        inputs: (B, T, D); T at most what the layer was built for.
    Output: (B, T, D).
    Raises:
        ValueError: T is not known when the layer is built.
    """

    def __init__(self, scale=POSITION_SCALE, **kwargs):
        super().__init__(**kwargs)
        self.scale = scale

    def build(self, input_shape):
        """Makes the table p."""
        _, frames, features = input_shape
        if frames is None:
            raise ValueError(
                f"LearnedPositions: T must be known, got the shape {tuple(input_shape)}. "
                "Build the model for a number of frames."
            )
        self.table = self.add_weight(
            name="table",
            shape=[frames, features],
            initializer=keras.initializers.TruncatedNormal(stddev=self.scale),
        )
        super().build(input_shape)

    def call(self, inputs):
        """Adds the positions; see the class."""
        return inputs + self.table[: tf.shape(inputs)[1]]

    def compute_output_shape(self, input_shape):
        """(B, T, D) as it is."""
        return tf.TensorShape(input_shape)

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "scale": self.scale}


def build_transformer(config: SoraConfig, num_classes: int) -> VideoModel:
    """The mean of the frame vectors after two encoder blocks with the norm ahead of each branch.

    Nothing attends to padded frames: what they hold changes nothing, and a clip padded at its end
    gives what the bare one gives. `FRAME_VECTORS` are the encoder's.

    Reference: Vaswani et al., "Attention Is All You Need", NeurIPS 2017; Xiong et al., "On Layer
        Normalization in the Transformer Architecture", ICML 2020, for the place of the norm;
        Arnab et al., "ViViT", ICCV 2021, model 2, for an encoder over vectors of frames.
    """
    clip = clip_inputs(config.frames, (*config.size, 3))
    _, x = extract(clip, without_memory(config.extractor))
    if x.shape[-1] != hidden_width(config):
        x = layers.Dense(hidden_width(config), name="encoder_projection")(x)
    x = LearnedPositions(name="positions")(x)
    seen = layers.Reshape((1, -1), name="seen")(clip[MASK])  # (B, 1, T)
    for block in range(BLOCKS):
        x = _encode(x, seen, f"encoder{block}")
    x = FrameNorm(name="encoder_norm")(x)
    vectors = layers.Activation("linear", name=FRAME_VECTORS, dtype="float32")(x)
    vector = MaskedMeanPool(name="pooling")([vectors, clip[MASK]])
    return classify(clip, vector, config, num_classes, "transformer")


def _encode(x, seen, name):
    width = x.shape[-1]
    y = FrameNorm(name=f"{name}_attention_norm")(x)
    attention = layers.MultiHeadAttention(HEADS, max(1, width // HEADS), name=f"{name}_attention")
    y = attention(y, y, attention_mask=seen)
    y = layers.Dropout(DROPOUT, name=f"{name}_attention_dropout")(y)
    x = layers.Add(name=f"{name}_attention_add")([x, y])
    y = FrameNorm(name=f"{name}_feed_norm")(x)
    y = layers.Dense(EXPANSION * width, activation="relu", name=f"{name}_feed_wide")(y)
    y = layers.Dense(width, name=f"{name}_feed_narrow")(y)
    y = layers.Dropout(DROPOUT, name=f"{name}_feed_dropout")(y)
    return layers.Add(name=f"{name}_feed_add")([x, y])
