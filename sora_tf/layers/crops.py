"""Square parts of pictures, brought to one size: to look closer at what is small."""

import tensorflow as tf


def crops_of(pictures: tf.Tensor, windows: tf.Tensor, side: int) -> tf.Tensor:
    """Cuts squares out of pictures and scales them, bilinearly.

    What lies outside a picture is as its edge. Made of gathers and sums, which every runtime has.

    Args:
        pictures: (N, H, W, C), of any kind of number.
        windows: (N, K, 3) float32, left, top and side of each square, pixels.
        side: of what is made of each, S pixels.
    Output: (N, K, S, S, C) float32.
    """
    count = tf.shape(pictures)[0]
    height, width, channels = pictures.shape[1:]
    steps = (tf.range(side, dtype=tf.float32) + 0.5) / side

    def along(axis, length):
        """The pixels before and behind each place, (N, K, S) each, and how near the second is."""
        places = windows[..., axis, None] + steps * windows[..., 2, None] - 0.5
        places = tf.clip_by_value(places, 0.0, float(length - 1))
        before = tf.floor(places)
        first = tf.cast(before, tf.int32)
        return first, tf.minimum(first + 1, length - 1), places - before

    left, right, across = along(0, width)
    upper, lower, down = along(1, height)
    pixels = tf.reshape(pictures, [-1, channels])
    begin = tf.range(count)[:, None, None] * (height * width)

    def at(rows, columns):
        places = (begin + rows * width)[..., :, None] + columns[..., None, :]  # (N, K, S, S)
        return tf.cast(tf.gather(pixels, places), tf.float32)

    across, down = across[..., None, :, None], down[..., :, None, None]
    top = at(upper, left) * (1 - across) + at(upper, right) * across
    bottom = at(lower, left) * (1 - across) + at(lower, right) * across
    return top * (1 - down) + bottom * down
