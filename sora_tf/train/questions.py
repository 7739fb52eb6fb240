"""Questions about a clip that it answers itself: are its frames in order, how fast do they go?"""

from typing import Any

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.models.sora import GLOBAL_VECTOR
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

ORDER = "order"
SPEED = "speed"
FASTER = 2  # times as fast, as in SpeedNet; frames decoded for each frame shown


def with_questions(
    batches: tf.data.Dataset, frames: int, seed: int, *, training: bool
) -> tf.data.Dataset:
    """Shows a part of each clip, in order or shuffled, at its speed or twice as fast.

    Both speeds show the same number of frames, so that the number says nothing.

    Args:
        batches: of ({"frames": (B, N, H, W, 3), "mask": (B, N)}, anything), N = 2·T.
        frames: T.
        seed: of what is asked about which clip.
        training: ask anew in every epoch; otherwise every epoch asks the same.

    Returns:
        Batches of ({"frames": (B, T, H, W, 3), "mask": (B, T)}, {"order": (B, 1), 1 where in
        order, "speed": (B, 1), 1 where fast}, {"speed": (B,)} the weight, 0 where shuffled, for
        frames out of order have no speed).
    Reference: order: Misra, Zitnick, Hebert 2016; speed: Benaim et al. 2020 (SpeedNet).
    """
    seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=training).batch(2)

    def ask(batch: tuple[dict[str, tf.Tensor], Any], seed: tf.Tensor) -> tuple[Any, ...]:
        clip = batch[0]
        size = tf.shape(clip[MASK])[0]
        u = tf.random.stateless_uniform([size, 3 + frames], tf.cast(seed, tf.int32))
        real = tf.reduce_sum(tf.cast(clip[MASK], tf.int32), axis=1)
        places, mask, ordered, fast = choose(real, frames, u)
        shown = {FRAMES: tf.gather(clip[FRAMES], places, batch_dims=1), MASK: mask}
        answers = {ORDER: tf.cast(ordered, tf.float32)[:, None]}
        answers[SPEED] = tf.cast(fast, tf.float32)[:, None]
        return shown, answers, {SPEED: tf.cast(ordered, tf.float32)}

    asked = tf.data.Dataset.zip((batches, seeds)).map(ask, num_parallel_calls=tf.data.AUTOTUNE)
    count = batches.cardinality()
    if count >= 0:  # the endless seeds hide it
        asked = asked.apply(tf.data.experimental.assert_cardinality(count))
    return asked.prefetch(tf.data.AUTOTUNE)


def choose(
    real: tf.Tensor, frames: int, u: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Which frames of each clip are shown.

    Args:
        real: (B,) int, frames there are, at most 2·T.
        frames: T.
        u: (B, 3 + T), random numbers from 0 to 1: order, speed, beginning, places in a shuffle.

    Returns:
        places (B, T) int; mask (B, T) bool; ordered (B,) bool; fast (B,) bool.
    """
    count = tf.maximum(real // FASTER, 1)[:, None]  # (B, 1)
    ordered, fast = u[:, 0] < 0.5, u[:, 1] < 0.5
    step = tf.where(fast, FASTER, 1)[:, None]
    beginnings = real[:, None] - step * (count - 1)  # how many there are
    start = tf.cast(u[:, 2:3] * tf.cast(beginnings, tf.float32), tf.int32)
    start = tf.minimum(start, beginnings - 1)
    along = tf.range(frames)[None]  # (1, T)
    mask = along < count
    # Sorting random keys shuffles; padding stays behind.
    keys = tf.where(mask, u[:, 3:], 2.0)
    shuffled = tf.argsort(keys, axis=1, stable=True)
    along = tf.where(ordered[:, None], along, shuffled)
    places = tf.minimum(start + step * along, real[:, None] - 1)
    return places, mask, ordered, fast


def asked_model(model: keras.Model) -> VideoModel:
    """A model with the two answers on top of its global vector; its layers are shared.

    Args:
        model: from `build_sora`.

    Returns:
        A model from clips to {"order": (B, 1), "speed": (B, 1)}, probabilities.
    """
    vector = model.get_layer(GLOBAL_VECTOR).output
    outputs = {
        name: keras.layers.Dense(1, activation="sigmoid", name=name, dtype="float32")(vector)
        for name in (ORDER, SPEED)
    }
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    return VideoModel(clip, outputs, name="asked")
