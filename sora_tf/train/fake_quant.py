"""The twin of a model that computes as its int8 version will, and the way back."""

from collections import defaultdict

from sora_tf._keras import keras
from sora_tf.layers.fake_quant import FakeQuantized
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.memory import FrameMemory

layers = keras.layers

# What only moves or drops values, which stay on the levels they are on; and the scores, whose
# range is fixed and which training must be free to drive to 0 and 1.
UNROUNDED = (
    layers.Dropout,
    layers.Flatten,
    layers.InputLayer,
    layers.MaxPooling2D,
    layers.Reshape,
    layers.Softmax,
    FoldFrames,
    FrameMemory,
    UnfoldFrames,
)
# What the converter makes one operation of with the layer before it.
FUSED_AFTER = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense, layers.BatchNormalization)
FUSED = (layers.BatchNormalization, layers.ReLU)


def fake_quantised(model: keras.Model, fixed_norms: bool = True) -> keras.Model:
    """A model that computes as the int8 version of another will, near enough to train it.

    Args:
        model: made by `build_sora`.
        fixed_norms: leave the batch norms' means and variances as they are.

    Returns:
        A model of the same inputs, outputs, names of layers and weights, which are copies; layers
        that compute are inside `FakeQuantized`. Its ranges are yet to be seen, in training.
    """
    followers = _followers(model)

    def wrapped(layer):
        copy = type(layer).from_config(layer.get_config())
        linear = getattr(layer, "activation", None) is keras.activations.linear
        if isinstance(layer, UNROUNDED) or (isinstance(layer, layers.Activation) and linear):
            return copy
        after = followers[layer.name]
        fused = isinstance(layer, FUSED_AFTER) and all(isinstance(f, FUSED) for f in after)
        return FakeQuantized(copy, not (after and fused), fixed_norm=fixed_norms)

    twin = keras.models.clone_model(model, clone_function=wrapped)
    copy_weights(model, twin)
    return twin


def _followers(model):
    """Layer's name → the layers that take its outputs."""
    found = defaultdict(list)
    for layer in model.layers:
        for node in layer.inbound_nodes:
            for parent in node.parent_nodes:
                found[parent.layer.name].append(layer)
    return found


def inner(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The layer itself, out of its `FakeQuantized`."""
    return layer.layer if isinstance(layer, FakeQuantized) else layer


def copy_weights(source: keras.Model, target: keras.Model) -> None:
    """Gives a model the weights of one with layers of the same names, either in twin form."""
    for layer in target.layers:
        inner(layer).set_weights(inner(source.get_layer(layer.name)).get_weights())
