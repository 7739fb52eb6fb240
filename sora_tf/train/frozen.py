"""Training on top of a frozen extractor: its features are made once, the rest learns in seconds."""

import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.data import Clip
from sora_tf.data.cache import clip_key
from sora_tf.models.video_model import FRAMES, MASK
from sora_tf.train.run import RunConfig


class FeatureViews:
    """What a frozen CNN makes of a dataset of clips, kept in a folder, some files for each view.

    A view is one epoch of the dataset: of training clips, each in a variation of its own. A view
    that is there is not made again, so a killed run goes on with the next. Half precision.

    Args:
        folder: made where it is missing; named by what the features depend on (`features_key`).
        extractor: clips to features (B, T, ...), from `pooled_features`, or to a dict of several.
        clips: batches of ({"frames", "mask"}, labels), from `clip_dataset` with a cache.
        views: epochs taken of it.
        progress: called with (batches done, batches in all).
    Raises:
        ValueError: there is not one batch.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        extractor: keras.Model,
        clips: tf.data.Dataset,
        views: int = 1,
        progress: Callable[[int, int], None] | None = None,
    ):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.paths = [self.folder / f"view{view}.npz" for view in range(views)]  # written last
        run = tf.function(lambda clip: _named(extractor(clip, training=False)))
        batches = int(clips.cardinality())
        for view, path in enumerate(self.paths):
            if path.is_file():
                # Epochs differ by number, so that one which is there must be counted off.
                next(iter(clips), None)
                continue
            told = progress and partial(_tell, progress, view * batches, views * batches)
            _write(path, ((run(clip), clip[MASK], label) for clip, label in clips), told)

    def dataset(
        self, batch_size: int, *, training: bool = False, seed: int = 0, behind: int = 0
    ) -> tf.data.Dataset:
        """Batches of ({name: features (B, T, ...) float32, "mask": (B, T)}, labels), view by view.

        The one output of an extractor goes by the name "frames".

        Args:
            batch_size: clips in a batch.
            training: give the views in turn, an epoch each, and shuffle; otherwise the first alone.
            seed: of the order.
            behind: epochs of training already done, with which views and orders go on.
        """
        views = [_read(path) for path in (self.paths if training else self.paths[:1])]
        epoch = itertools.count(behind)

        def rows():
            number = next(epoch) if training else 0
            features, mask, labels = views[number % len(views)]
            order = np.arange(len(labels))
            if training:
                np.random.default_rng((seed, number)).shuffle(order)
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                batch = {name: kept[chosen].astype(np.float32) for name, kept in features.items()}
                yield {**batch, MASK: mask[chosen]}, labels[chosen]

        features, mask, labels = views[0]
        signature = (
            {
                **{
                    name: tf.TensorSpec([None, *kept.shape[1:]], tf.float32)
                    for name, kept in features.items()
                },
                MASK: tf.TensorSpec([None, *mask.shape[1:]], tf.bool),
            },
            tf.TensorSpec([None, *labels.shape[1:]], tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(rows, output_signature=signature)
        batches = -(-len(labels) // batch_size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
        return dataset.prefetch(tf.data.AUTOTUNE)


def features_key(
    extractor: keras.Model, clips: Sequence[Clip], config: RunConfig, varied: bool
) -> str:
    """Names features by all that decides them: CNN, clips, and how they are read and varied.

    What stands behind the pooled features decides nothing, so that many heads share them.
    """
    model, training = config.model, config.training
    digest = hashlib.sha256()
    # Memory and changes have no weights of their own.
    digest.update(f"{replace(model.extractor, features=0, dropout=0.0)} {config.labels}".encode())
    digest.update(f"{training.get('mixed_precision', False)}".encode())
    for weight in extractor.get_weights():
        digest.update(weight.tobytes())
    for clip in clips:
        key = clip_key(clip.path, model.frames, model.size, clip.start, clip.end, config.fit)
        digest.update(f"{key} {clip.label}".encode())
    if varied:
        digest.update(f"{config.augment} {training['seed']}".encode())
    return digest.hexdigest()[:40]


def share_weights(source: keras.Model, target: keras.Model) -> keras.Model:
    """Copies the weights of all layers that both models have, by name; returns the target."""
    names = {layer.name for layer in target.layers}
    for layer in source.layers:
        if layer.weights and layer.name in names:
            target.get_layer(layer.name).set_weights(layer.get_weights())
    return target


def _named(outputs):
    return outputs if isinstance(outputs, dict) else {FRAMES: outputs}


def _tell(progress, behind, total, done):
    progress(behind + done, total)


def _write(path, batches, told):
    """Writes the features of a view batch by batch, then what says that they are all there."""
    shapes: dict[str, tuple[int, ...]] = {}
    rows = []
    with ExitStack() as stack:
        files: dict[str, Any] = {}
        for done, (features, mask, labels) in enumerate(batches, 1):
            for name, values in features.items():
                if name not in files:
                    beside = stack.enter_context(replacing(_place(path, name)))
                    files[name] = stack.enter_context(open(beside, "wb"))
                    shapes[name] = values.shape[1:]
                files[name].write(values.numpy().astype(np.float16).tobytes())
            rows.append((mask.numpy(), labels.numpy()))
            if told:
                told(done)
        if not rows:
            raise ValueError(
                "FeatureViews: clips must hold one batch or more, got none. Check that the clips "
                "can be read."
            )
    masks, labels = (np.concatenate(column) for column in zip(*rows, strict=True))
    with replacing(path) as beside, open(beside, "wb") as file:
        shapes_of = {f"shape_{name}": np.array(shape) for name, shape in shapes.items()}
        np.savez(file, mask=masks, labels=labels, **shapes_of)


def _read(path):
    with np.load(path, allow_pickle=False) as view:
        mask, labels = view["mask"], view["labels"]
        shapes = {key[6:]: view[key] for key in view.files if key.startswith("shape_")}
    features = {
        name: np.memmap(_place(path, name), np.float16, "r", shape=(len(labels), *shape))
        for name, shape in shapes.items()
    }
    return features, mask, labels


def _place(path, name):
    return path.with_name(f"{path.stem}-{name}.f16")
