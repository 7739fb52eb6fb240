"""The classifier all baselines end in, which is that of `build_sora`, and how wide they are."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf.config import SoraConfig
from sora_tf.models.sora import global_vector, scores
from sora_tf.models.video_model import VideoModel

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
    return VideoModel(clip, scores(global_vector(vector, config), config, num_classes), name=name)
