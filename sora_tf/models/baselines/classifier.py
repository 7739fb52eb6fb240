"""The classifier all baselines end in, which is that of `build_sora`, and how wide they are."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.models.convolutions import NORM_MOMENTUM
from sora_tf.models.sora import GLOBAL_VECTOR, SCORES
from sora_tf.models.video_model import VideoModel

layers = keras.layers

USUAL_WIDTH = 256  # that of `small`, for extractors that leave the length of their vectors open


def hidden_width(config: SoraConfig) -> int:
    """Units of what a baseline puts on the extractor: the length asked of its vectors."""
    return config.extractor.features or USUAL_WIDTH


def classify(
    clip: dict[str, tf.Tensor], vector: tf.Tensor, config: SoraConfig, num_classes: int, name: str
) -> VideoModel:
    """Names the global vector, classifies it and closes the model.

    Args:
        clip: the inputs, as `clip_inputs` gives them.
        vector: (B, D), what the clip became.
        config: says whether to standardise the vector, and gives the dropout.
        num_classes: classes to tell apart.
        name: of the model.

    Returns:
        A model from the clip to scores (B, num_classes) that sum to 1.

    Raises:
        ValueError: there are fewer than 2 classes.
    """
    _checks.at_least(f"build_{name}", "num_classes", num_classes, 2, "classes", "Count the labels.")
    if config.standardise:
        vector = layers.BatchNormalization(
            momentum=NORM_MOMENTUM, center=False, scale=False, name="standardise", dtype="float32"
        )(vector)
    vector = layers.Activation("linear", name=GLOBAL_VECTOR, dtype="float32")(vector)
    x = layers.Dropout(config.dropout, name="dropout")(vector)
    start = "zeros" if config.standardise else "glorot_uniform"  # as `build_sora` begins
    logits = layers.Dense(num_classes, kernel_initializer=start, name="logits", dtype="float32")(x)
    scores = layers.Softmax(name=SCORES, dtype="float32")(logits)
    return VideoModel(clip, scores, name=name)
