"""The whole model: extractor, relation model, pooling, classifier."""

from sora_tf import _checks
from sora_tf import config as configs
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.layers.frames import UnfoldFrames
from sora_tf.layers.pooling import MaskedMeanPool, SpaceTimeAttentionPool
from sora_tf.models.extractor import clip_inputs, extract
from sora_tf.models.relation import relate
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers

FRAME_VECTORS = "frame_vectors"
GLOBAL_VECTOR = "global_vector"
SCORES = "scores"


def build_sora(config: SoraConfig | str = "small", num_classes: int | None = None) -> VideoModel:
    """Builds the video model.

    Args:
        config: a config, or the name of a preset: "micro" or "small".
        num_classes: classes to tell apart; None leaves the classifier out.

    Returns:
        A model from clips (B, T, H, W, 3), values 0 to 255, to scores (B, num_classes) that sum
        to 1, or to the global vector (B, D). `embedder` gives the vectors of either.

    Raises:
        ValueError: the config does not hold together, or there are fewer than 2 classes.
    """
    config = configs.resolve(config)
    clip = clip_inputs(config.frames, (*config.size, 3))
    maps, vectors = extract(clip, config.extractor)
    if config.relation is not None:
        vectors = relate(vectors, clip[MASK], config.relation)
    vectors = layers.Activation("linear", name=FRAME_VECTORS, dtype="float32")(vectors)
    pooled = POOLINGS[config.pooling](maps, vectors, clip[MASK])
    pooled = layers.Activation("linear", name=GLOBAL_VECTOR, dtype="float32")(pooled)
    if num_classes is None:
        return VideoModel(clip, pooled, name="sora")
    _checks.at_least(
        "build_sora", "num_classes", num_classes, 2, "classes", "None leaves them out."
    )
    x = layers.Dropout(config.dropout, name="dropout")(pooled)
    logits = layers.Dense(num_classes, name="logits", dtype="float32")(x)
    scores = layers.Softmax(name=SCORES, dtype="float32")(logits)
    return VideoModel(clip, scores, name="sora")


def _mean(maps, vectors, mask):
    return MaskedMeanPool(name="pooling")([vectors, mask])


def _attention(maps, vectors, mask):
    """Every region of every frame, each knowing its frame's vector."""
    width = vectors.shape[-1]
    regions = layers.Reshape((maps.shape[1] * maps.shape[2], maps.shape[3]), name="regions")(maps)
    regions = layers.Dense(width, name="region_projection")(regions)  # (B·T, S, D)
    regions = UnfoldFrames(name="unfold_regions")([regions, mask])  # (B, T, S, D)
    frames = layers.Reshape((-1, 1, width), name="frame_per_region")(vectors)
    tokens = layers.Add(name="tokens")([regions, frames])
    return SpaceTimeAttentionPool(name="pooling")([tokens, mask])


POOLINGS = {"mean": _mean, "attention": _attention}


def embedder(model: keras.Model) -> VideoModel:
    """The representation inside a model that `build_sora` made.

    Args:
        model: with or without a classifier; weights are shared, not copied.

    Returns:
        A model from the same clips to {"frame_vectors": (B, T, D), "global_vector": (B, D)}.

    Raises:
        ValueError: the model has no such layers.
    """
    try:
        outputs = {name: model.get_layer(name).output for name in (FRAME_VECTORS, GLOBAL_VECTOR)}
    except ValueError:
        raise ValueError(
            f"embedder: the model must have layers {FRAME_VECTORS!r} and {GLOBAL_VECTOR!r}, but "
            f"{model.name!r} has not. Give a model made by build_sora."
        ) from None
    return VideoModel(
        dict(zip(model.input_names, model.inputs, strict=True)), outputs, name="embedder"
    )
