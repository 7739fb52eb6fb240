"""Trains a detector's second stage on crops around its own boxes and around those given."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf._progress import progress
from sora_tf.data import Augment, Clip, Problems
from sora_tf.data.box_dataset import box_dataset
from sora_tf.data.boxes import NOTHING, UNSEEN, Annotated, Boxes, joined
from sora_tf.layers.crops import crops_of
from sora_tf.models.detector import boxes_of, with_boxes
from sora_tf.models.refiner import build_refiner, windows_of
from sora_tf.models.video_model import FRAMES, clips_at_once
from sora_tf.train.batches import part_of
from sora_tf.train.centre_loss import iou
from sora_tf.train.detector_run import DetectorRun, DetectorRunConfig
from sora_tf.train.fit import compile_model, strategy
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.plots import plot_curves
from sora_tf.train.refiner_loss import RefinerLoss
from sora_tf.train.run import load_model
from sora_tf.train.settings import TrainConfig

PROPOSED = 8  # of the detector's own boxes a frame, to draw from
GIVEN, OWN = 2, 2  # crops of a frame around given boxes, moved, and around the detector's own
SHIFT, STRETCH = 0.2, 0.3  # standard deviations: of a side, and of the logarithm of a side
SLIGHT = 1.5  # pixels that every box is moved by besides
THING, NOT_ONE = 0.1, 0.01  # overlaps from which on a box is of a thing, and up to which of none


def train_refiner(
    run: DetectorRun,
    config: DetectorRunConfig,
    clips: Sequence[Clip],
    known: Mapping[str, Annotated],
    *,
    cache: Path,
    problems: Problems,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> None:
    """Trains the second stage of a run's detector; goes on after the last whole epoch.

    Args:
        run: a run with the model of its first stage.
        config: what it was begun with.
        clips: its clips, each with its split.
        known: what is known of their videos.
        cache: folder of decoded frames.
        problems: collects the clips that were skipped.
        callbacks, verbose: as in `train_detector`.
    """
    settings, model, own = TrainConfig(**config.training), config.model, run.refiner
    checkpoint = own.checkpoint()
    history = checkpoint[1] if checkpoint else []
    detector = with_boxes(run.load_model(), replace(model, most=PROPOSED))
    count = len(config.labels)

    def lessons(part: str, training: bool) -> tf.data.Dataset:
        chosen = [clip for clip in part_of(clips, part) if clip.path in known]
        proposed = _proposed(detector, model, chosen, known, config.each, cache, problems, count)
        batches, _ = box_dataset(
            chosen,
            proposed,
            frames=model.frames,
            step=model.step,
            size=model.size,
            each=config.each,
            most=model.most + PROPOSED,
            batch_size=1,
            training=training,
            augment=Augment.from_dict(config.augment),
            cache=cache,
            seed=settings.seed_after(len(history)),
            problems=problems,
        )
        seeds = tf.data.Dataset.random(
            settings.seed_after(len(history)), rerandomize_each_iteration=training
        ).batch(2)
        pairs = tf.data.Dataset.zip((batches, seeds))
        made = pairs.map(
            lambda batch, seed: crops_to_learn(
                batch[0][FRAMES][0], batch[1][0], seed, model.refine, count
            ),
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        made = made.apply(tf.data.experimental.assert_cardinality(batches.cardinality()))
        made = made.batch(settings.batch_size).map(
            lambda crops, told: (
                tf.reshape(crops, [-1, *crops.shape[2:]]),
                tf.reshape(told, [-1, told.shape[-1]]),
            )
        )
        return made.prefetch(2)

    learnt = lessons("train", training=True)
    held = any(clip.path in known for clip in part_of(clips, "val"))
    validation = lessons("val", training=False) if held else None
    keras.utils.set_random_seed(settings.seed)
    with strategy().scope():
        if checkpoint:
            network = load_model(checkpoint[0])
        else:
            network = build_refiner(model, count, settings.weights, frozen=settings.frozen)
            compile_model(network, settings, settings.epochs * int(learnt.cardinality()))
            network.compile(network.optimizer, RefinerLoss(), jit_compile=settings.xla)
    network.fit(
        learnt,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(history),
        callbacks=[KeepEpochs(own, history), *callbacks],
        verbose=verbose,
    )
    own.write_history(history)
    plot_curves(history, own.path / "curves.png")


def _proposed(detector, model, clips, known, each, cache, problems, nobody):
    """What is known of videos, and beside it the detector's own boxes, of a class of their own."""
    batches, stretches = box_dataset(
        clips, known, frames=model.frames, step=model.step, size=model.size, each=each, most=1,
        batch_size=clips_at_once(model.frames, model.size), cache=cache, problems=problems,
    )  # fmt: skip
    rows, (h, w) = iter(stretches), model.size
    found: dict[str, dict[int, Boxes]] = defaultdict(dict)
    for batch, _ in progress(batches, "batches", int(batches.cardinality())):
        for answers in detector.predict_on_batch(batch):
            stretch = next(rows)
            width, height = stretch.size
            for number, answer in zip(stretch.frames, answers, strict=False):
                boxes = boxes_of(answer, number).scaled(width / w, height / h)
                found[stretch.clip.path][int(number)] = boxes.clipped(width, height)
    made = {}
    for path, own in found.items():
        boxes = joined(list(own.values()))
        boxes = boxes.of(np.isin(boxes.frames, known[path].frames))
        boxes = replace(boxes, labels=np.full(len(boxes), nobody))
        made[path] = replace(known[path], boxes=joined([known[path].boxes, boxes]))
    return made


def crops_to_learn(
    pictures: tf.Tensor, rows: tf.Tensor, seed: tf.Tensor, side: int, classes: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Crops of some frames, with what there is to be said of each.

    Args:
        pictures: (T, H, W, 3) uint8.
        rows: (T, M, 5), left, top, width, height in pixels and class: a thing's, or `classes` for
            a box that a detector found, or as in `CentreLoss`.
        seed: (2,) integers: which boxes, and how those given are moved.
        side: of the crops, S pixels.
        classes: classes C of things.

    Returns:
        Crops (T·n, S, S, 3) uint8 and rows (T·n, 5) as `RefinerLoss` takes them.
    """
    seed = tf.cast(seed, tf.int32)
    label = rows[..., 4]
    given = tf.logical_and(label >= 0, label < classes)  # (T, M)
    shape = [pictures.shape[0], GIVEN, 4]
    noise = tf.random.stateless_normal(shape, seed)
    boxes = _drawn(rows, given, GIVEN, seed + 1)
    sides = boxes[..., 2:4]
    slight = SLIGHT * tf.random.stateless_normal([*shape[:2], 2], seed + 2)
    middle = boxes[..., :2] + sides / 2 + SHIFT * sides * noise[..., :2] + slight
    sides *= tf.exp(STRETCH * noise[..., 2:])
    moved = tf.concat([middle - sides / 2, sides], axis=-1)  # (T, GIVEN, 4)
    own = _drawn(rows, label == classes, OWN, seed + 3)
    shown = tf.concat([moved, own[..., :4]], axis=1)  # (T, n, 4)
    there = tf.concat([boxes[..., 4] >= 0, own[..., 4] >= 0], axis=1)

    overlap = iou(shown[:, :, None], rows[:, None, :, :4])  # (T, n, M)
    overlap = tf.where(given[:, None], overlap, 0.0)
    nearest = tf.argmax(overlap, axis=-1)
    most = tf.reduce_max(overlap, axis=-1)
    thing = tf.gather(rows, nearest, batch_dims=1)  # (T, n, 5)
    windows = windows_of(shown)
    place = tf.concat([thing[..., :2] - windows[..., :2], thing[..., 2:4]], -1) / windows[..., 2:]
    told = tf.where(most <= NOT_ONE, NOTHING, UNSEEN)
    told = tf.where(most >= THING, thing[..., 4], told)
    told = tf.where(there, told, UNSEEN)
    crops = crops_of(pictures, windows, side)
    crops = tf.cast(tf.round(crops), tf.uint8)
    rows = tf.concat([place, told[..., None]], axis=-1)
    return tf.reshape(crops, [-1, side, side, 3]), tf.reshape(rows, [-1, 5])


def _drawn(rows, which, count, seed):
    """Some rows (T, n, 5) of each frame, drawn from those that may be; of class -1 if none may."""
    chance = tf.math.log(tf.cast(which, tf.float32) + 1e-9)
    many = tf.random.stateless_uniform([*chance.shape, count], seed, 1e-9, 1.0)
    # The largest of logarithms of chances with Gumbel noise is a draw by those chances.
    places = tf.argmax(chance[..., None] - tf.math.log(-tf.math.log(many)), axis=1)  # (T, n)
    drawn = tf.gather(rows, places, batch_dims=1)
    real = tf.gather(which, places, batch_dims=1)
    none = tf.constant([0.0, 0.0, 8.0, 8.0, NOTHING])
    return tf.where(real[..., None], drawn, none)
