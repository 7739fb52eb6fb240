"""One trial: a model trained with some settings and scored on the validation clips."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import SoraConfig
from sora_tf.data import Augment, Clip, Problems, clip_dataset
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.train.fit import class_weights, compile_model, precision
from sora_tf.train.frozen import FeatureViews, features_key
from sora_tf.train.keep import quality
from sora_tf.train.run import RunConfig, RunError
from sora_tf.train.settings import TrainConfig
from sora_tf.train.start import first_model


@dataclass
class Trainer:
    """Trains models on the same clips.

    Args:
        clips: those of the splits "train" and "val".
        labels: class names, in the order of the scores.
        augment: how training clips are varied.
        fit: how frames are made to fit: "stretch", "cover" or "contain".
        cache: folder of decoded clips and of a frozen CNN's features.
    """

    clips: Sequence[Clip]
    labels: tuple[str, ...]
    augment: Augment
    fit: str
    cache: Path
    _features: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def part(self, name: str) -> list[Clip]:
        """The clips of a split."""
        return [clip for clip in self.clips if clip.split == name]

    def train(self, model: SoraConfig, training: TrainConfig) -> dict[str, float]:
        """Trains a model as `train_classifier` does, and keeps nothing of it.

        Returns:
            The best epoch: "epoch", "loss", "accuracy", "val_loss", "val_accuracy".

        Raises:
            ValueError: the model cannot be, or its training runs away.
            RunError: no clip can be read.
        """
        keras.backend.clear_session()
        # What makes features draws numbers too, so it comes before the seed.
        data = (self._frozen if training.frozen else self._whole)(model, training)
        learning, validation, readable = data
        keras.utils.set_random_seed(training.seed)
        with precision(training):
            weights = None if training.frozen else training.weights
            network = first_model(model, len(self.labels), weights)
            if training.frozen:
                network = head_of(network)
            steps = training.epochs * math.ceil(len(readable) / training.batch_size)
            compile_model(network, training, steps)
        shares = class_weights(readable, self.labels) if training.class_weights else None
        history = network.fit(
            learning,
            validation_data=validation,
            epochs=training.epochs,
            class_weight=shares,
            callbacks=[keras.callbacks.TerminateOnNaN()],
            verbose=0,
        ).history
        rows = [
            {"epoch": number, **dict(zip(history, map(float, values), strict=True))}
            for number, values in enumerate(zip(*history.values(), strict=False), 1)
        ]
        if not all(math.isfinite(v) for row in rows for v in row.values()) or not rows:
            raise ValueError(
                f"the training has run away: the loss is no number in epoch {len(rows)}. Lower "
                "the learning rate."
            )
        return max(rows, key=quality)

    def _whole(self, model, training):
        """Batches of training clips, of validation clips, and the training clips that read."""
        problems = Problems()
        with counting("decoding clips") as update:
            learning = self._clips("train", model, training, problems, training=True, on=update)
        return learning, self._clips("val", model, training, problems), self._readable(problems)

    def _frozen(self, model, training):
        """The same for the features of the clips, which are made where they are missing."""
        # What stands behind the pooled features decides nothing of them.
        cnn = replace(model.extractor, features=0, dropout=0.0)
        depends = (cnn, model.frames, model.size, training.weights, training.views)
        key = f"{depends} {training.mixed_precision}"
        if key not in self._features:
            self._features[key] = self._make_features(model, training)
        learning, validation, readable = self._features[key]
        batch = training.batch_size
        return (
            learning.dataset(batch, training=True, seed=training.seed),
            validation.dataset(batch),
            readable,
        )

    def _make_features(self, model, training):
        problems = Problems()
        varied = training.views > 0
        with counting("decoding clips") as update:
            learning = self._clips("train", model, training, problems, training=varied, on=update)
        validation = self._clips("val", model, training, problems)
        readable = self._readable(problems)
        keras.utils.set_random_seed(training.seed)
        with precision(training):
            extractor = pooled_features(first_model(model, len(self.labels), training.weights))
        run = RunConfig(
            model, self.labels, self.fit, 1.0, asdict(training), self.augment.to_dict(), ""
        )
        found = []
        for clips, dataset, views in (
            (readable, learning, training.views),
            (self.part("val"), validation, 0),
        ):
            folder = self.cache / "features" / features_key(extractor, clips, run, views > 0)
            with counting("features") as update:
                found.append(FeatureViews(folder, extractor, dataset, max(1, views), update))
        return (*found, readable)

    def _clips(self, part, model, settings, problems, training=False, on=None) -> tf.data.Dataset:
        return clip_dataset(
            self.part(part),
            self.labels,
            frames=model.frames,
            size=model.size,
            batch_size=settings.batch_size,
            training=training,
            augment=self.augment,
            seed=settings.seed,
            fit=self.fit,
            cache=self.cache,
            problems=problems,
            progress=on,
        )

    def _readable(self, problems):
        readable = [clip for clip in self.part("train") if clip.name not in problems.names()]
        if not readable:
            raise RunError(f"not one training clip could be read; the first: {problems.lines()[0]}")
        return readable
