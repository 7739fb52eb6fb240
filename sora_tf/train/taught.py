"""Batches of clips with what a student is taught about each."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from sora_tf.data import Clip
from sora_tf.models.sora import SCORES
from sora_tf.models.video_model import MASK
from sora_tf.train.answers import Answers
from sora_tf.train.lessons import FEATURES_OF_FRAMES, LOGITS, VECTOR
from sora_tf.train.teacher import RELATIONS

WEIGHT = "weight"


def label_rows(
    clips: Sequence[Clip], labels: Sequence[str], weights: Mapping[int, float]
) -> tuple[np.ndarray, np.ndarray]:
    """One-hot labels (N, C) of clips, and how much each counts (N,).

    Args:
        clips: N clips; one whose label is not among `labels` counts nothing.
        labels: the C classes.
        weights: class number → how much its clips count; 0 where it is left out.
    """
    rows = np.zeros((len(clips), len(labels)), np.float32)
    counts = np.zeros(len(clips), np.float32)
    for number, clip in enumerate(clips):
        if clip.label in labels:
            place = labels.index(clip.label)
            rows[number, place] = 1.0
            counts[number] = weights.get(place, 0.0)
    return rows, counts


def with_answers(
    batches: tf.data.Dataset,
    labels: tuple[np.ndarray, np.ndarray],
    answers: Answers,
    terms: dict[str, float],
    frames: int,
) -> tf.data.Dataset:
    """Batches with what a learner is taught.

    Args:
        batches: of ({"frames", "mask"}, shares (B, N)), the share of each of N clips in a clip.
        labels: one-hot labels (N, C) and the weight of each (N,).
        answers: the teacher's on the N clips.
        terms: what is taught.
        frames: T of the student.

    Returns:
        Batches of (clip, {output: target}, {"scores": (B,) weights of the labels}), the targets
        blended as the clips are; with frame vectors, the mask is their weight.
    """
    tables = {SCORES: labels[0], WEIGHT: labels[1]}
    for term, output, table in (
        ("scores", LOGITS, answers.scores),
        ("vector", VECTOR, answers.vectors),
    ):
        if term in terms and table is not None:
            tables[output] = table

    by_frame = {"relations": answers.relations_among, "features": answers.features_among}

    def look_up(shares, mask):
        places = [np.flatnonzero(row) for row in shares]
        both = [(row[at], at) for row, at in zip(shares, places, strict=True)]
        found = [
            np.stack([np.tensordot(share, table[at], 1) for share, at in both])
            for table in tables.values()
        ]
        for term, among in by_frame.items():
            if term in terms:
                real = zip(places, mask.sum(axis=1), strict=True)
                found.append(np.stack([among(at[0], n, frames) for at, n in real]))
        return [np.asarray(values, np.float32) for values in found]

    shapes = {name: table.shape[1:] for name, table in tables.items()}
    if "relations" in terms:
        shapes[RELATIONS] = (frames, frames)
    if "features" in terms and answers.features is not None:
        shapes[FEATURES_OF_FRAMES] = (frames, answers.features.shape[-1])

    def attach(clip, shares):
        found = tf.numpy_function(look_up, [shares, clip[MASK]], [tf.float32] * len(shapes))
        targets = {
            name: tf.ensure_shape(values, (None, *shape))
            for (name, shape), values in zip(shapes.items(), found, strict=True)
        }
        weights = {SCORES: targets.pop(WEIGHT)}
        if FEATURES_OF_FRAMES in targets:
            weights[FEATURES_OF_FRAMES] = tf.cast(clip[MASK], tf.float32)
        return clip, targets, weights

    return batches.map(attach, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def in_turn(make: Callable[[int], tf.data.Dataset], count: int, first: int) -> tf.data.Dataset:
    """A dataset that is another one in every epoch.

    Args:
        make: number of a dataset → the dataset; made anew for each epoch, for one that is read
            again varies its clips in another way.
        count: how many there are, taken in turn.
        first: epochs already behind.
    """
    epochs = itertools.count(first)
    sample = make(0)
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(make(next(epochs) % count)), output_signature=sample.element_spec
    )
    return dataset.apply(tf.data.experimental.assert_cardinality(sample.cardinality()))
