"""The second stage of a detector: looks at each box again, enlarged, and says it better.

A thing of a few pixels is a cell or two of the first stage's maps. Enlarged, its box is known to
the pixel, and a CNN that learnt from pictures of single things sees what it is.
Reference: Cai and Vasconcelos, "Cascade R-CNN", CVPR 2018, for stages that refine boxes.
"""

from dataclasses import asdict

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.layers.crops import crops_of
from sora_tf.layers.peaks import best_cells, best_named, named_scores
from sora_tf.models.backbones import LITE, load_imagenet
from sora_tf.models.convolutions import conv, inverted_residual, norm
from sora_tf.models.extractor import BLOCKS, without_memory
from sora_tf.models.walk import maps_by_stride

layers = keras.layers

WIDE = 2.0  # longest sides of a box: the window's side
LEAST = 16.0  # pixels of the window's side
STRIDE = 8  # pixels of the crop a cell
REACH = 0.5  # of the window: how far from its middle a box's may be
LARGEST = 2.5  # e to its power is the most that a side can be of the first box's longest
SLOPE = 0.2
QUIET = 0.3  # so many features would shout
SAY = 0.5  # of the second stage in what a thing is


def windows_of(boxes: tf.Tensor) -> tf.Tensor:
    """The squares that are looked at, (..., 3): left, top and side, of boxes (..., 4)."""
    sides = boxes[..., 2:]
    side = tf.maximum(tf.reduce_max(sides, axis=-1, keepdims=True) * WIDE, LEAST)
    return tf.concat([boxes[..., :2] + (sides - side) / 2, side], axis=-1)


def boxes_in_windows(shapes: tf.Tensor) -> tf.Tensor:
    """What a refiner says of boxes (..., 4) as left, top, width, height in sides of the window."""
    centre = 0.5 + REACH * tf.tanh(SLOPE * shapes[..., :2])
    sides = tf.exp(LARGEST * tf.tanh(SLOPE * shapes[..., 2:])) / WIDE
    return tf.concat([centre - sides / 2, sides], axis=-1)


def build_refiner(
    config: DetectorConfig,
    num_classes: int,
    weights: str | None = None,
    *,
    frozen: bool = False,
) -> keras.Model:
    """Builds the second stage of a detector.

    It has a CNN of the detector's kind, up to cells of 16 pixels, without memory.

    Args:
        config: of the detector; `refine` says how large the crops are.
        num_classes: classes C of things.
        weights: "imagenet" gives an EfficientNet-Lite its ImageNet weights; None is random ones.
        frozen: leave the CNN as it is in training.

    Returns:
        A model from crops (N, S, S, 3), values 0 to 255, to (N, 1 + C + 4): logits of there being
        a thing, and of its class, and a box as `boxes_in_windows` takes it.

    Raises:
        ValueError: `refine` is 0, there is no class, the CNN has no such maps, or there are no
            such weights.
        ImportError: the package with the weights is not installed.
    """
    owner = "build_refiner"
    _checks.at_least(owner, "num_classes", num_classes, 1, "class", "Give one or more.")
    _checks.at_least(owner, "refine", config.refine, 32, "pixels", "128 is a good start.")
    crops = keras.Input((config.refine, config.refine, 3), name="crops")
    extractor = without_memory(config.extractor)
    *_, last = BLOCKS[extractor.block](crops, None, extractor)
    trunk = keras.Model(crops, last)
    if weights is not None:
        _checks.one_of(owner, "weights", weights, ("imagenet",))
        _checks.one_of(owner, "block", extractor.block, LITE)
        load_imagenet(trunk, extractor.block)
    for layer in trunk.layers:
        layer.trainable = not frozen
    by_stride = maps_by_stride(trunk, config.refine)
    maps = [end for stride, end in sorted(by_stride.items()) if STRIDE <= stride <= 2 * STRIDE]
    if not maps:
        raise ValueError(
            f"{owner}: {extractor.block} must have maps of {STRIDE} or {2 * STRIDE} pixels a cell, "
            f"got {', '.join(map(str, sorted(by_stride)))}. Give it more stages."
        )
    said = refiner_head(maps, config, num_classes)
    return keras.Model(crops, said, name="refiner")


def refiner_head(maps: list[tf.Tensor], config: DetectorConfig, num_classes: int) -> tf.Tensor:
    """Adds to a graph what the refiner makes of its CNN's maps, the finest first."""
    x = None
    for number, own in reversed(list(enumerate(maps))):
        name = f"refine{number}"
        own = norm(
            layers.Conv2D(config.channels, 1, use_bias=False, name=f"{name}_conv")(own), name
        )
        if x is not None:
            own = layers.Add(name=f"{name}_add")(
                [own, layers.UpSampling2D(2, name=f"{name}_up")(x)]
            )
        x = layers.ReLU(6.0, name=f"{name}_relu")(own)
        for block in range(2):
            x = inverted_residual(
                x, None, config.channels, memory=0.0, expansion=1, name=f"{name}_block{block}"
            )
    where = layers.Flatten(name="where")(conv(x, 16, 1, name="where_conv"))
    where = layers.Dropout(0.2, name="where_dropout")(where)
    where = layers.Dense(config.channels, activation="relu", name="where_dense")(where)
    # What it is, by the CNN's own features alone: few things are too few to learn better ones from.
    pooled = [
        layers.GlobalAveragePooling2D(name="what_mean")(maps[-1]),
        layers.GlobalMaxPooling2D(name="what_peak")(maps[-1]),
    ]
    what = layers.Concatenate(name="what")(pooled)
    what = layers.BatchNormalization(center=False, scale=False, name="what_spread")(what)
    what = layers.Rescaling(QUIET, name="what_quiet")(what)
    what = layers.Dropout(0.5, name="what_dropout")(what)
    said = [
        layers.Dense(1, name="there")(where),
        layers.Dense(num_classes, kernel_initializer="zeros", name="named")(what),
        layers.Dense(
            4, kernel_initializer=keras.initializers.RandomNormal(stddev=0.01), name="box"
        )(where),
    ]
    return layers.Concatenate(name="said")(said)


def things_of_maps(
    there: tf.Tensor,
    named: tf.Tensor,
    shapes: tf.Tensor,
    pictures: tf.Tensor,
    config: DetectorConfig,
    refiner: keras.Model | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """The things on pictures by what the first stage says of their cells, and by the second stage.

    The likeliest boxes are looked at again. Both stages have a say in whether there is a thing,
    what it is, and where: on films unlike those it learnt from the second errs too, and elsewhere.

    Args:
        there, named, shapes: as `best_cells` takes them.
        pictures: (N, H, W, 3), values 0 to 255.
        config: what the detector was built from.
        refiner: from `build_refiner`; None leaves the boxes as they are.

    Returns:
        Boxes (N, K, 4), and how likely each is a thing of each class (N, K, C): what `best_named`
        takes.
    """
    boxes, there, named = best_cells(there, named, shapes, config.stride, config.most)
    if refiner is not None:
        again = min(config.refined, boxes.shape[1])
        windows = windows_of(boxes[:, :again])  # (N, k, 3)
        crops = crops_of(pictures, windows, config.refine)
        said = refiner(tf.reshape(crops, [-1, *crops.shape[2:]]), training=False)
        said = tf.reshape(said, [-1, again, said.shape[-1]])
        sure, names, shapes = tf.split(said, [1, said.shape[-1] - 5, 4], axis=-1)
        within = boxes_in_windows(shapes) * windows[..., 2:]
        second = tf.concat([within[..., :2] + windows[..., :2], within[..., 2:]], axis=-1)
        boxes = tf.concat([_between(boxes[:, :again], second), boxes[:, again:]], axis=1)
        there = tf.concat([there[:, :again] * tf.sigmoid(sure[..., 0]), there[:, again:]], axis=1)
        named = tf.concat([named[:, :again] + SAY * names, named[:, again:]], axis=1)
    return boxes, named_scores(there, named, config.temperature)


def _between(one, other):
    """Boxes (..., 4) half-way from some to others: the mean middle, sides of the mean logarithm."""
    sides = tf.sqrt(one[..., 2:] * other[..., 2:])
    middles = one[..., :2] + one[..., 2:] / 2 + other[..., :2] + other[..., 2:] / 2
    return tf.concat([(middles - sides) / 2, sides], axis=-1)


@keras.utils.register_keras_serializable(package="sora_tf")
class FoundBoxes(keras.layers.Layer):
    """`things_of_maps` by their names, as a layer of one output.

    Args:
        config: what the detector was built from.
        refiner: as in `things_of_maps`.
    Call arguments:
        inputs: [(N, h, w, 1 + C + 4), what `best_cells` takes, side by side; pictures].
    Output: (N, K, 6): left, top, width, height in pixels, score and number of the class.
    """

    def __init__(self, config: DetectorConfig, refiner: keras.Model | None = None, **kwargs):
        super().__init__(**kwargs)
        self.config = config
        self.refiner = refiner

    def call(self, inputs):
        """Finds the boxes; see the class."""
        maps, pictures = inputs
        there, named, shapes = tf.split(maps, [1, maps.shape[-1] - 5, 4], axis=-1)
        things = things_of_maps(there, named, shapes, pictures, self.config, self.refiner)
        boxes, scores, classes = best_named(*things, self.config.most)
        classes = tf.cast(classes, boxes.dtype)
        return tf.concat([boxes, scores[..., None], classes[..., None]], axis=-1)

    def compute_output_shape(self, input_shape):
        """[(N, h, w, 1 + C + 4), pictures] to (N, K, 6)."""
        (batch, h, w, channels), _ = input_shape
        cells = min(self.config.most, h * w)
        return tf.TensorShape([batch, min(self.config.most, cells * (channels - 5)), 6])

    def get_config(self):
        """All constructor arguments."""
        refiner = self.refiner and keras.saving.serialize_keras_object(self.refiner)
        if refiner:
            refiner.pop("build_config", None)  # a graph is built by its config; a tuple is no JSON
        return {**super().get_config(), "config": asdict(self.config), "refiner": refiner}

    @classmethod
    def from_config(cls, config):
        """A layer of the detector described."""
        config = dict(config)
        refiner = config.pop("refiner")
        made = refiner and keras.saving.deserialize_keras_object(refiner)
        return cls(DetectorConfig.from_dict(config.pop("config")), made, **config)
