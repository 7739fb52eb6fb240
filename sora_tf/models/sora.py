"""The whole model: extractor, relation model, pooling, classifier."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf import config as configs
from sora_tf._keras import keras
from sora_tf.config import APPLICATIONS, SoraConfig
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.pooling import MaskedMeanPool, SpaceTimeAttentionPool
from sora_tf.models.applications import load_application
from sora_tf.models.backbones import LITE, load_imagenet
from sora_tf.models.convolutions import NORM_MOMENTUM
from sora_tf.models.extractor import POOLED, clip_inputs, extract
from sora_tf.models.relation import relate
from sora_tf.models.shipped import SHIPPED, check_shipped, load_shipped
from sora_tf.models.video_model import FRAMES, MASK, VideoModel
from sora_tf.models.walk import go_on

layers = keras.layers

FRAME_VECTORS = "frame_vectors"
GLOBAL_VECTOR = "global_vector"
SCORES = "scores"
WEIGHTS = ("imagenet",)
LOADERS = {
    **dict.fromkeys(LITE, load_imagenet),
    **dict.fromkeys(APPLICATIONS, load_application),
}


def build_sora(
    config: SoraConfig | str = "small",
    num_classes: int | None = None,
    weights: str | None = None,
) -> VideoModel:
    """Builds the video model.

    Args:
        config: a config, or the name of a preset: "micro", "small" or "lite".
        num_classes: classes to tell apart; None leaves the classifier out.
        weights: "imagenet" gives the CNN its ImageNet weights: "lite0", "lite1" and "lite2" from
            the extra "pretrained", those of keras.applications as Keras downloads them. A name
            of `SHIPPED` gives the rest of the model weights that come with sora_tf as well:
            "fight", with `lite` alone, and with 2 classes ("fight", "noFight") or none. None
            leaves all weights random.

    Returns:
        A model from clips (B, T, H, W, 3), values 0 to 255, to scores (B, num_classes) that sum
        to 1, or to the global vector (B, D). `embedder` gives the vectors of either.

    Raises:
        ValueError: the config does not hold together, there are fewer than 2 classes, there
            are no such weights, or they are of another model.
        ImportError: the package with the weights is not installed.
    """
    config = configs.resolve(config)
    if weights is not None:
        _checks.one_of("build_sora", "weights", weights, (*WEIGHTS, *SHIPPED))
    if weights in SHIPPED:
        check_shipped(weights, config, num_classes)
    clip = clip_inputs(config.frames, (*config.size, 3))
    maps, vectors = extract(clip, config.extractor)
    model = VideoModel(clip, _answer(maps, vectors, clip[MASK], config, num_classes), name="sora")
    if weights is not None:
        block = config.extractor.block
        if block not in LOADERS:
            raise ValueError(
                f"build_sora: block for {weights} weights must be lite0, lite1, lite2 or a CNN of "
                f"keras.applications, got {block!r}. Choose one."
            )
        LOADERS[block](model, block)
    if weights in SHIPPED:
        load_shipped(model, weights)
    return model


def pooled_features(model: keras.Model) -> VideoModel:
    """The first half of a model that `build_sora` made: clips to pooled features (B, T, F)."""
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    pooled = model.get_layer(POOLED).output
    return VideoModel(clip, UnfoldFrames(name="unfold_pooled")([pooled, clip[MASK]]))


def head_of(model: keras.Model) -> VideoModel:
    """The second half: pooled features (B, T, F) to what the model gives.

    Args:
        model: made by `build_sora` or one of the baselines that have its extractor; its layers
            are shared, not copied.

    Raises:
        ValueError: it looks at more than the pooled features (attention over regions).
    """
    pooled = model.get_layer(POOLED).output
    named = dict(zip(model.input_names, model.inputs, strict=True))
    clip = clip_inputs(named[FRAMES].shape[1], pooled.shape[1:])
    table = {id(pooled): FoldFrames(name="fold_pooled")(clip[FRAMES]), id(named[MASK]): clip[MASK]}
    go_on(model, table)
    if id(model.output) not in table:
        raise ValueError(
            f"head_of: {model.name!r} must need no more of the CNN than its pooled features, but "
            "it looks at the maps as well. Use mean pooling, or train it whole."
        )
    return VideoModel(clip, table[id(model.output)], name=f"{model.name}_head")


def _answer(maps, vectors, mask, config, num_classes):
    """Relation model, pooling and classifier."""
    if config.relation is not None:
        vectors = relate(vectors, mask, config.relation)
    vectors = layers.Activation("linear", name=FRAME_VECTORS, dtype="float32")(vectors)
    pooled = POOLINGS[config.pooling](maps, vectors, mask)
    pooled = global_vector(pooled, config)
    if num_classes is None:
        return pooled
    _checks.at_least(
        "build_sora", "num_classes", num_classes, 2, "classes", "None leaves them out."
    )
    return scores(pooled, config, num_classes)


def global_vector(pooled: tf.Tensor, config: SoraConfig) -> tf.Tensor:
    """Adds the global vector (B, D) to a graph: what a clip became, standardised if asked."""
    if config.standardise:
        pooled = layers.BatchNormalization(
            momentum=NORM_MOMENTUM, center=False, scale=False, name="standardise", dtype="float32"
        )(pooled)
    return layers.Activation("linear", name=GLOBAL_VECTOR, dtype="float32")(pooled)


def scores(vector: tf.Tensor, config: SoraConfig, num_classes: int) -> tf.Tensor:
    """Adds the classifier to a graph: global vector (B, D) to scores (B, num_classes)."""
    x = layers.Dropout(config.dropout, name="dropout")(vector)
    # A standardised vector is long, and random weights of so many values would shout: from zeros,
    # all classes are alike at first.
    start = "zeros" if config.standardise else "glorot_uniform"
    logits = layers.Dense(num_classes, kernel_initializer=start, name="logits", dtype="float32")(x)
    return layers.Softmax(name=SCORES, dtype="float32")(logits)


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
