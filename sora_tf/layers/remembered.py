"""Things remembered from frame to frame inside a graph, so that phones have it.

The same rule as `tasks.thing_memory.ThingMemory`, on boxes whose names are side by side.
"""

import tensorflow as tf

REACH = 1.0  # longest sides of the larger box that a thing moves at most from frame to frame
LIKELY = 0.05  # score from which on there is something to remember
FAR = 1e6  # from nobody
TINY = 1e-3  # pixels


def width_of_things(classes: int) -> int:
    """What is known of a thing: box (4), mean log width and height (2), scores (C), weight (1)."""
    return 7 + classes


def remembered(
    boxes: tf.Tensor, scores: tf.Tensor, state: tf.Tensor, keep: float
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """What is known of the things on the next frame.

    A box goes on with the thing on the frame before whose middle is nearest to its own, where that
    thing has no box nearer to it; see `ThingMemory`.

    Args:
        boxes: (B, K, 4), left, top, width and height; one without a side is none.
        scores: (B, K, C), of each class.
        state: (B, K, 7 + C), the things on the frame before; zeros are none.
        keep: share of what was known that stays from frame to frame, below 1.

    Returns:
        Boxes (B, K, 4) of the mean sides, mean scores (B, K, C), and the new state.
    """
    classes, most = scores.shape[-1], state.shape[1]
    sides = boxes[..., 2:]
    real = tf.reduce_min(sides, axis=-1) > TINY  # (B, K)
    scores *= tf.cast(real, scores.dtype)[..., None]
    likely = real & (tf.reduce_sum(scores, axis=-1) >= LIKELY)
    means = tf.concat([tf.math.log(tf.maximum(sides, TINY)), scores], axis=-1)  # (B, K, 2 + C)
    last, known, weight = tf.split(state, [4, 2 + classes, 1], axis=-1)
    away = _away(boxes, last)  # (B, K, K), from each box to each thing
    nobody = ~likely[..., None] | (weight[:, None, :, 0] <= 0)
    away = tf.where(nobody, FAR, away)
    # As masks, for graphs on phones: the nearest thing of a box, and the nearest box of a thing.
    nearest = tf.one_hot(tf.argmin(away, axis=2, output_type=tf.int32), most)
    back = tf.one_hot(tf.argmin(away, axis=1, output_type=tf.int32), boxes.shape[1], axis=1)
    goes_on = nearest * back * tf.cast(away < REACH, boxes.dtype)  # (B, K, K)
    old = keep * tf.matmul(goes_on, weight)  # (B, K, 1), 0 where it is new
    means += old / (1 + old) * (tf.matmul(goes_on, known) - means)
    new = tf.concat([boxes, means, 1 + old], axis=-1)
    new *= tf.cast(likely, new.dtype)[..., None]
    mean_sides = tf.exp(means[..., :2])
    corner = boxes[..., :2] + (sides - mean_sides) / 2
    return tf.concat([corner, mean_sides], axis=-1), means[..., 2:], new


def _away(boxes, last):
    """Between the middles of boxes (B, K, 4) and others, in the longest sides of the larger."""
    middles, others = boxes[..., :2] + boxes[..., 2:] / 2, last[..., :2] + last[..., 2:] / 2
    apart = middles[:, :, None] - others[:, None]  # (B, K, K, 2)
    longest = tf.maximum(
        tf.reduce_max(boxes[..., 2:], axis=-1)[:, :, None],
        tf.reduce_max(last[..., 2:], axis=-1)[:, None],
    )
    return tf.sqrt(tf.reduce_sum(apart**2, axis=-1)) / tf.maximum(longest, TINY)
