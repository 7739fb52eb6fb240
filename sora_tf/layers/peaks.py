"""From maps of centres to boxes, without non-maximum suppression."""

import numpy as np
import tensorflow as tf

SIZES = 4.0  # cells; the side of a box whose size is 0 on the map
LARGEST = 5.0  # e to its power is the most that a side can be of `SIZES`


def boxes_at_cells(shape: tf.Tensor, stride: int) -> tf.Tensor:
    """The box that each cell of a map speaks of.

    centre = (cell + ½ + offset)·stride, side = exp(size)·`SIZES`·stride.

    Args:
        shape: (N, h, w, 4), offsets across and down in cells, then sizes across and down.
        stride: pixels of a cell.
    Output: (N, h, w, 4), left, top, width, height in pixels.
    """
    h, w = shape.shape[1:3]
    across, down = np.meshgrid(np.arange(w), np.arange(h))
    cells = tf.constant(np.stack([across, down], -1)[None], shape.dtype)  # (1, h, w, 2)
    return _boxes(cells, shape, stride)


def _boxes(cells, shape, stride):
    """Boxes (..., 4) that cells (..., 2), numbered across and down, speak of by `shape`."""
    centre = (cells + 0.5 + shape[..., :2]) * stride
    side = tf.exp(tf.clip_by_value(shape[..., 2:], -LARGEST, LARGEST)) * (SIZES * stride)
    return tf.concat([centre - side / 2, side], axis=-1)


def best_cells(
    there: tf.Tensor, named: tf.Tensor, shapes: tf.Tensor, stride: int, most: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The boxes at the highest peaks of a map of centres, whatever they are called.

    A cell is a peak where none of its eight neighbours is more likely to be a centre; so a thing
    gives one box, and boxes need not be compared with one another.

    Args:
        there: (N, h, w, 1), logits of a centre.
        named: (N, h, w, C), logits of the classes.
        shapes: (N, h, w, 4), as `boxes_at_cells` takes them.
        stride: pixels of a cell.
        most: boxes a picture, K.

    Returns:
        Left, top, width and height in pixels (N, K, 4), how likely each is a thing (N, K), and
        logits of the classes (N, K, C), the likeliest first.
    Reference: Zhou, Wang and Krähenbühl, "Objects as Points", 2019, sections 3 and 4.
    """
    h, w, classes = named.shape[1:]
    centre = tf.sigmoid(there)
    around = tf.nn.max_pool2d(centre, 3, 1, "SAME")
    centre *= tf.cast(centre >= around, centre.dtype)  # (N, h, w, 1), 0 beside the peaks
    best, cell = tf.math.top_k(tf.reshape(centre, [-1, h * w]), min(most, h * w))  # (N, K)
    shapes = tf.gather(tf.reshape(shapes, [-1, h * w, 4]), cell, batch_dims=1)  # (N, K, 4)
    names = tf.gather(tf.reshape(named, [-1, h * w, classes]), cell, batch_dims=1)  # (N, K, C)
    cells = tf.cast(tf.stack([cell % w, cell // w], axis=-1), shapes.dtype)
    return _boxes(cells, shapes, stride), best, names


def named_scores(there: tf.Tensor, named: tf.Tensor, temperature: float) -> tf.Tensor:
    """How likely each box is a thing of each class: there·softmax(named / temperature), (N, K, C).

    Args:
        there, named: as `best_cells` gives them.
        temperature: of the names; above 1 makes less sure of them.
    """
    return there[..., None] * tf.nn.softmax(named / temperature)


def best_named(
    boxes: tf.Tensor, scores: tf.Tensor, most: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """The likeliest boxes with their names; a box of two likely names is there twice.

    Args:
        boxes: (N, K, 4).
        scores: (N, K, C), as `named_scores` gives them.
        most: boxes a picture, M.

    Returns:
        Left, top, width and height in pixels (N, M, 4), scores from 0 to 1 (N, M) and numbers of
        classes (N, M) int32, the best first.
    """
    count, classes = scores.shape[1:]
    flat = tf.reshape(scores, [-1, count * classes])
    best, places = tf.math.top_k(flat, min(most, count * classes))  # (N, M)
    return tf.gather(boxes, places // classes, batch_dims=1), best, places % classes
