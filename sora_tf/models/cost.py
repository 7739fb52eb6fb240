"""What a model costs: multiply-accumulates, counted on the graph that is run."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

import tensorflow as tf

from sora_tf._keras import keras


@dataclass(frozen=True)
class LayerCost:
    """One layer of a model.

    Args:
        name: the layer's name.
        kind: its class.
        output_shape: with None for the batch.
        parameters: weights, trained or not.
        macs: multiply-accumulates for one clip.
    """

    name: str
    kind: str
    output_shape: tuple[int | None, ...]
    parameters: int
    macs: int


def layer_costs(model: keras.Model) -> list[LayerCost]:
    """The layers of a functional model of fixed T, with the multiply-accumulates of one clip.

    Counted are convolutions and matrix products, as in the literature; additions, norms and
    activations are not.

    Raises:
        ValueError: the model's inputs leave more than the batch open.
    """
    signature = {
        name: tf.TensorSpec([1, *tensor.shape[1:]], tensor.dtype)
        for name, tensor in zip(model.input_names, model.inputs, strict=True)
    }
    if not all(spec.shape.is_fully_defined() for spec in signature.values()):
        raise ValueError(
            f"layer_costs: the inputs of {model.name!r} must have known sizes, got "
            f"{[tuple(t.shape) for t in model.inputs]}. Build the model for a number of frames."
        )
    graph = tf.function(lambda clip: model(clip, training=False)).get_concrete_function(signature)
    macs = dict.fromkeys((layer.name for layer in model.layers), 0)
    for operation in graph.graph.get_operations():
        if operation.type in COUNTERS:
            # Scopes are "model/layer/…"; the outermost that names a layer owns the operation.
            owner = next((part for part in operation.name.split("/") if part in macs), None)
            if owner is not None:
                macs[owner] += COUNTERS[operation.type](operation)
    return [
        LayerCost(
            layer.name,
            layer.__class__.__name__,
            tuple(layer.output.shape),
            layer.count_params(),
            macs[layer.name],
        )
        for layer in model.layers
    ]


def _convolution(operation):
    kernel = operation.inputs[1].shape
    return prod(operation.outputs[0].shape) * prod(kernel[:-1])  # its last axis is what comes out


def _depthwise(operation):
    return prod(operation.outputs[0].shape) * prod(operation.inputs[1].shape[:2])


def _matmul(operation):
    inner = operation.inputs[0].shape[-2 if operation.get_attr("transpose_a") else -1]
    return prod(operation.outputs[0].shape) * inner


def _batch_matmul(operation):
    inner = operation.inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]
    return prod(operation.outputs[0].shape) * inner


def _einsum(operation):
    terms = operation.get_attr("equation").decode().split("->")[0].split(",")
    sizes = {
        letter: size
        for term, tensor in zip(terms, operation.inputs, strict=True)
        for letter, size in zip(term, tensor.shape, strict=True)
    }
    return prod(sizes.values())


COUNTERS: dict[str, Callable[[tf.Operation], int]] = {
    "Conv2D": _convolution,
    "Conv3D": _convolution,
    "DepthwiseConv2dNative": _depthwise,
    "MatMul": _matmul,
    "BatchMatMulV2": _batch_matmul,
    "Einsum": _einsum,
}
