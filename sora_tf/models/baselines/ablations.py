"""Our model with one or both of its parts for time taken out."""

from dataclasses import replace

from sora_tf.config import SoraConfig
from sora_tf.models.extractor import without_memory
from sora_tf.models.sora import build_sora
from sora_tf.models.video_model import VideoModel


def build_frame_mean(config: SoraConfig, num_classes: int) -> VideoModel:
    """The mean of the frame vectors: no memory, no relation. Sees no order.

    What padded frames hold changes nothing, and a padded clip gives what the bare one gives.

    Reference: Karpathy et al., "Large-scale Video Classification with Convolutional Neural
        Networks", CVPR 2014, whose single-frame scores are averaged over the clip.
    """
    extractor = without_memory(config.extractor)
    bare = replace(config, extractor=extractor, relation=None, pooling="mean")
    return build_sora(bare, num_classes)


def build_shift(config: SoraConfig, num_classes: int) -> VideoModel:
    """The extractor with all it sees of the frame before, and the mean of its vectors: no relation.

    With memory in "separable" blocks this is the online temporal shift. Padding is as in
    `build_frame_mean`.

    Raises:
        ValueError: the extractor sees single frames.
    Reference: Lin, Gan and Han, "TSM: Temporal Shift Module for Efficient Video Understanding",
        ICCV 2019.
    """
    if config.extractor == without_memory(config.extractor):
        raise ValueError(
            "build_shift: the extractor must see the frame before, got one that sees single "
            "frames. Give it memory, or use build_frame_mean."
        )
    return build_sora(replace(config, relation=None, pooling="mean"), num_classes)


def build_relation(config: SoraConfig, num_classes: int) -> VideoModel:
    """The relation model over frames that the extractor sees singly.

    Padding is as in `build_frame_mean`.

    Raises:
        ValueError: the config has no relation.
    """
    if config.relation is None:
        raise ValueError(
            "build_relation: the config's relation must be a RelationConfig, got None. "
            "Use build_frame_mean for a model without."
        )
    return build_sora(replace(config, extractor=without_memory(config.extractor)), num_classes)
