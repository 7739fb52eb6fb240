"""Going through a functional model's layer calls, to run a part of it on other tensors."""

import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from sora_tf._keras import keras

STAGE = re.compile(r"(stage\d+)_")


def maps_by_stride(model: keras.Model, height: int) -> dict[int, tf.Tensor]:
    """The last maps of each size, {pixels of a cell: (B·T, h, w, C)}.

    Args:
        model: with the layers of an extractor.
        height: of its pictures, pixels.
    """
    ends = {match[1]: layer.output for layer in model.layers if (match := STAGE.match(layer.name))}
    return {height // end.shape[1]: end for _, end in sorted(ends.items())}


def in_order(model: keras.Model) -> Iterator[Any]:
    """The layer calls of a functional model, first to last."""
    for depth in sorted(model._nodes_by_depth, reverse=True):
        yield from (node for node in model._nodes_by_depth[depth] if not node.is_input)


def remember(table: dict[int, tf.Tensor], olds: Any, news: Any) -> None:
    """Notes in `table`, by the identity of the old, what stands for each tensor."""
    for old, new in zip(tf.nest.flatten(olds), tf.nest.flatten(news), strict=True):
        table[id(old)] = new


def go_on(model: keras.Model, table: dict[int, tf.Tensor]) -> None:
    """Runs every layer call whose inputs all are known and whose outputs are not.

    Args:
        model: a functional model; its layers are shared, not copied.
        table: identity of a tensor of the model → what stands for it; grows.
    """
    for node in in_order(model):
        given = tf.nest.flatten(node.call_args)
        if id(tf.nest.flatten(node.outputs)[0]) in table:
            continue
        if given and all(id(tensor) in table for tensor in given):
            args, kwargs = tf.nest.map_structure(
                lambda tensor: table.get(id(tensor), tensor), (node.call_args, node.call_kwargs)
            )
            remember(table, node.outputs, node.layer(*args, **kwargs))
