"""A detector: the extractor's maps of several scales, and a head that finds centres of things."""

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.data.boxes import Boxes
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.memory import FrameMemory
from sora_tf.models.backbones import LITE, load_imagenet
from sora_tf.models.convolutions import conv, inverted_residual, norm
from sora_tf.models.extractor import BLOCKS, clip_inputs
from sora_tf.models.refiner import FoundBoxes
from sora_tf.models.video_model import FRAMES, MASK, VideoModel
from sora_tf.models.walk import go_on, in_order, maps_by_stride

layers = keras.layers

CENTRES = "centres"
BOXES = "boxes"
CONTEXT = "context"
SPREAD = "context_spread"
THERE, NAMED, SHAPES = "there", "named_in_context", "shapes"
QUIET = 0.1
FAINT = 0.001  # scores below say nothing
SELDOM = 0.01  # how likely a cell is a centre before anything is learnt


def build_detector(
    config: DetectorConfig, num_classes: int, weights: str | None = None
) -> VideoModel:
    """Builds a detector.

    Args:
        config: what to build.
        num_classes: classes C of things.
        weights: "imagenet" gives an EfficientNet-Lite its ImageNet weights; None is random ones.

    Returns:
        A model from clips (B, T, H, W, 3), values 0 to 255, to maps (B, T, h, w, C + 5) as
        `best_cells` takes them and `CentreLoss` teaches them. `with_boxes` makes boxes of them.

    Raises:
        ValueError: there is no class, the extractor has no map of `stride` pixels a cell, or it
            has no ImageNet weights.
        ImportError: the package with the weights is not installed.
    """
    _checks.at_least("build_detector", "num_classes", num_classes, 1, "class", "Give one or more.")
    clip = clip_inputs(config.frames, (*config.size, 3))
    maps, seen = _scales(clip, config)
    centres = detector_head(maps, seen, clip[MASK], config, num_classes)
    model = VideoModel(clip, centres, name="detector")
    if weights is not None:
        _checks.one_of("build_detector", "weights", weights, ("imagenet",))
        _checks.one_of("build_detector", "block", config.extractor.block, LITE)
        load_imagenet(model, config.extractor.block)
    return model


def _scales(clip, config):
    """The extractor's last maps of each size, the finest first, and its view of the whole picture.

    (B·T, h, w, C) each, of `stride` and coarser; (B·T, 1, 1, 2·F).
    """
    x = FoldFrames(name="fold")(clip[FRAMES])
    *_, last = BLOCKS[config.extractor.block](x, clip[MASK], config.extractor)
    by_stride = maps_by_stride(keras.Model(clip, last), config.size[0])
    if config.stride not in by_stride:
        raise ValueError(
            f"build_detector: stride must be one of {', '.join(map(str, sorted(by_stride)))} for "
            f"{config.extractor.block}, got {config.stride}. Choose one."
        )
    seen = [
        layers.GlobalAveragePooling2D(keepdims=True, name="context_mean")(last),
        layers.GlobalMaxPooling2D(keepdims=True, name="context_peak")(last),
    ]
    maps = [end for stride, end in sorted(by_stride.items()) if stride >= config.stride]
    return maps, layers.Concatenate(name=CONTEXT)(seen)


def detector_head(
    maps: list[tf.Tensor],
    context: tf.Tensor,
    mask: tf.Tensor,
    config: DetectorConfig,
    num_classes: int,
) -> tf.Tensor:
    """Adds the head to a graph.

    Each map is put beside that of the frame before; coarser ones are enlarged and added to finer
    ones (Lin et al., "Feature Pyramid Networks", 2017).

    Args:
        maps: (B·T, h, w, C_i), each half as large as the one before.
        context: (B·T, 1, 1, F), what is seen in the whole picture: it has a say in what a thing
            is, which its few pixels alone may not tell.
        mask: (B, T) bool.
        config: what to build.
        num_classes: classes C.
    Output: (B, T, h, w, C + 5) of the first map's size.
    """
    x = None
    for number, own in reversed(list(enumerate(maps))):
        name = f"scale{number}"
        if config.memory:
            own = FrameMemory(0.5, name=f"{name}_memory")([own, mask])
        own = layers.Conv2D(config.channels, 1, use_bias=False, name=f"{name}_conv")(own)
        own = norm(own, name)
        if x is not None:
            x = layers.UpSampling2D(2, name=f"{name}_up")(x)
            own = layers.Add(name=f"{name}_add")([own, x])
        x = layers.ReLU(6.0, name=f"{name}_relu")(own)
        for block in range(config.blocks if number == 0 else 1):
            x = inverted_residual(
                x,
                mask,
                config.channels,
                memory=config.memory if number == 0 else 0.0,
                expansion=1,
                name=f"{name}_block{block}",
            )
    x = conv(x, config.channels, 1, name="last")
    rare = keras.initializers.Constant(np.log(SELDOM / (1 - SELDOM)))
    there = layers.Conv2D(1, 1, kernel_initializer=_quiet(), bias_initializer=rare, name=THERE)(x)
    named = layers.Conv2D(num_classes, 1, kernel_initializer=_quiet(), name="named")(x)
    named = layers.Add(name=NAMED)([named, _told(context, config, num_classes)])
    shapes = layers.Conv2D(4, 1, kernel_initializer=_quiet(), name=SHAPES)(x)
    centres = layers.Concatenate(name="centres_and_shapes")([there, named, shapes])
    centres = UnfoldFrames(name="unfold")([centres, mask])
    return layers.Activation("linear", name=CENTRES, dtype="float32")(centres)


def _told(context, config, num_classes):
    """What the whole picture says of the class of things in it, (B·T, 1, 1, C): nothing at first.

    Its values are scaled by their spread over the training set (`acquaint`), so that rare features
    count as much as common ones; then down, for so many of them would shout.
    """
    x = layers.BatchNormalization(center=False, scale=False, trainable=False, name=SPREAD)(context)
    x = layers.Rescaling(QUIET, name="context_quiet")(x)
    x = layers.Dropout(config.dropout, name="context_dropout")(x)
    return layers.Conv2D(num_classes, 1, kernel_initializer="zeros", name="told")(x)


def acquaint(model: keras.Model, context: np.ndarray) -> None:
    """Tells a detector, or its head, how what it sees in whole pictures spreads.

    Args:
        model: from `build_detector` or `head_of_detector`.
        context: (N, F), the last of `scale_maps` for some pictures of the training set.
    """
    context = np.asarray(context, np.float32)
    model.get_layer(SPREAD).set_weights([context.mean(axis=0), context.var(axis=0)])


def _quiet():
    return keras.initializers.RandomNormal(stddev=0.01)


def with_boxes(
    model: keras.Model, config: DetectorConfig, refiner: keras.Model | None = None
) -> VideoModel:
    """The same detector with boxes (B, T, K, 6) as its answer, as `FoundBoxes` gives them.

    Args:
        model: from `build_detector`, whose layers are shared.
        config: what it was built from.
        refiner: its second stage, from `build_refiner`; None leaves the boxes as they are.
    """
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    pictures = FoldFrames(name="fold_pictures")(clip[FRAMES])
    folded = FoldFrames(name="fold_centres")(model.output)
    found = FoundBoxes(config, refiner, name="found", dtype="float32")([folded, pictures])
    return VideoModel(clip, UnfoldFrames(name=BOXES)([found, clip[MASK]]), name="detector")


def in_parts(model: keras.Model) -> VideoModel:
    """The same detector with what it says side by side apart, as `things_of_maps` takes it.

    In a model of 8 bits each then has a range of its own.

    Args:
        model: from `build_detector`, whose layers are shared.
    Output: {`THERE` (B·T, h, w, 1), `NAMED` (B·T, h, w, C), `SHAPES` (B·T, h, w, 4)}.
    """
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    return VideoModel(clip, {name: model.get_layer(name).output for name in (THERE, NAMED, SHAPES)})


def frames_back(model: keras.Model) -> int:
    """How many of the frames before it have a say in what a detector says of a frame.

    Args:
        model: from `build_detector`, or made of it.
    """
    reach: dict[int, int] = {}
    for node in in_order(model):
        before = max((reach.get(id(x), 0) for x in tf.nest.flatten(node.call_args)), default=0)
        for output in tf.nest.flatten(node.outputs):
            reach[id(output)] = before + isinstance(node.layer, FrameMemory)
    return max(reach[id(output)] for output in model.outputs)


def boxes_of(answer: np.ndarray, frame: int) -> Boxes:
    """What a detector says of one frame.

    Args:
        answer: (K, 6), a frame of what `with_boxes` gives.
        frame: its number.

    Returns:
        The boxes with a score that says something, in pixels of the detector's pictures.
    """
    kept = answer[answer[:, 4] >= FAINT]
    return Boxes(np.full(len(kept), frame), kept[:, :4], kept[:, 5], kept[:, 4])


def scale_maps(model: keras.Model) -> VideoModel:
    """The first half of a detector: clips to {"map0": (B, T, h, w, C), ...}, the finest first.

    The last one is of the whole picture, (B, T, 1, 1, F).
    """
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    maps = {
        f"map{number}": UnfoldFrames(name=f"map{number}")([folded, clip[MASK]])
        for number, folded in enumerate(_maps_of(model))
    }
    return VideoModel(clip, maps, name="scales")


def head_of_detector(model: keras.Model) -> keras.Model:
    """The second half: {"mask": (B, T), "map0": (B, T, h, w, C), ...} to what the detector gives.

    Args:
        model: from `build_detector`; its layers are shared, not copied.
    """
    named = dict(zip(model.input_names, model.inputs, strict=True))
    frames = named[FRAMES].shape[1]
    inputs = {MASK: keras.Input((frames,), name=MASK, dtype="bool")}
    table = {id(named[MASK]): inputs[MASK]}
    for number, old in enumerate(_maps_of(model)):
        name = f"map{number}"
        inputs[name] = keras.Input((frames, *old.shape[1:]), name=name)
        table[id(old)] = FoldFrames(name=f"fold_{name}")(inputs[name])
    go_on(model, table)
    return keras.Model(inputs, table[id(model.output)], name="detector_head")


def _maps_of(model):
    """The tensors that the head stands on."""
    names = {layer.name for layer in model.layers}
    found: list[tf.Tensor] = []
    while (name := f"scale{len(found)}") + "_conv" in names:
        first = f"{name}_memory" if f"{name}_memory" in names else f"{name}_conv"
        given = model.get_layer(first).input
        found.append(given[0] if isinstance(given, list) else given)
    return [*found, model.get_layer(CONTEXT).output]
