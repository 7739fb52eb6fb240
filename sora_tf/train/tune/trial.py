"""One trial: a model trained with some settings and scored on clips held out."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.data import Augment, Clip, Problems, folds
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.train.batches import frozen_features, labelled_batches, part_of, readable
from sora_tf.train.fit import class_weights, compile_model, precision
from sora_tf.train.frozen import feature_batches
from sora_tf.train.keep import quality
from sora_tf.train.run import RunConfig
from sora_tf.train.settings import TrainConfig
from sora_tf.train.start import first_model


@dataclass(frozen=True)
class _Part:
    """Batches to learn from, of clips held out, the clips learnt from, and how many are held."""

    learning: tf.data.Dataset
    held: tf.data.Dataset | None
    learnt: list[Clip]
    count: int = 1


@dataclass
class Trainer:
    """Trains models on the same clips.

    Args:
        clips: those of the splits "train" and "val".
        labels: class names, in the order of the scores.
        augment: how training clips are varied.
        fit: how frames are made to fit: "stretch", "cover" or "contain".
        cache: folder of decoded clips and of a frozen CNN's features.
        folds: parts of the clips that take turns as those held out, on features of clips as they
            are; 1 holds out those of the split "val".
    """

    clips: Sequence[Clip]
    labels: tuple[str, ...]
    augment: Augment
    fit: str
    cache: Path
    folds: int = 1
    _features: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def part(self, name: str) -> list[Clip]:
        """The clips of a split."""
        return part_of(self.clips, name)

    @property
    def judged(self) -> int:
        """Of how many clips a trial's accuracy is."""
        return len(self.clips) if self.folds > 1 else len(self.part("val"))

    def train(self, model: SoraConfig, training: TrainConfig) -> dict[str, float]:
        """Trains a model as `train_classifier` does, once for each fold, and keeps nothing of it.

        Returns:
            The best epoch: "epoch", "loss", "accuracy", "val_loss", "val_accuracy"; of folds, the
            means.

        Raises:
            ValueError: the model cannot be, or its training runs away.
            RunError: no clip can be read.
        """
        keras.backend.clear_session()
        parts = (self._frozen if training.frozen else self._whole)(model, training)
        made = [self._history(model, training, part) for part in parts]
        counts = [part.count for part in parts]
        epochs = [
            {name: float(np.average([fold[name][epoch] for fold in made], weights=counts))
             for name in made[0]}
            for epoch in range(min(len(fold["loss"]) for fold in made))
        ]  # fmt: skip
        rows = [{"epoch": number, **row} for number, row in enumerate(epochs, 1)]
        if not all(math.isfinite(v) for row in rows for v in row.values()) or not rows:
            raise ValueError(
                f"the training has run away: the loss is no number in epoch {len(rows)}. Lower "
                "the learning rate."
            )
        return max(rows, key=quality)

    def _history(self, model, training, part):
        """The figures of every epoch, by name."""
        # What makes features draws numbers too, so it came before the seed.
        keras.utils.set_random_seed(training.seed)
        with precision(training):
            weights = None if training.frozen else training.weights
            network = first_model(model, len(self.labels), weights)
            if training.frozen:
                network = head_of(network)
            compile_model(network, training, training.steps(len(part.learnt)))
        shares = class_weights(part.learnt, self.labels) if training.class_weights else None
        return network.fit(
            part.learning,
            validation_data=part.held,
            epochs=training.epochs,
            class_weight=shares,
            callbacks=[keras.callbacks.TerminateOnNaN()],
            verbose=0,
        ).history

    def _config(self, model, training):
        return RunConfig(
            model, self.labels, self.fit, 1.0, asdict(training), self.augment.to_dict(), ""
        )

    def _whole(self, model, training):
        config = self._config(model, training)
        return [_Part(*labelled_batches(config, self.clips, self.cache, Problems()))]

    def _frozen(self, model, training):
        """Of the features of clips, which are made where they are missing; one for each fold."""
        # What stands behind the pooled features decides nothing of them.
        cnn = replace(model.extractor, features=0, dropout=0.0)
        depends = (cnn, model.frames, model.size, training.weights, training.views)
        key = f"{depends} {training.mixed_precision}"
        if key not in self._features:
            self._features[key] = self._make_features(model, training)
        seen, held, learnt, judged = self._features[key]
        if self.folds == 1:
            return [self._batches(training, seen, held, learnt)]
        kept = dict(zip([*learnt, *judged], [*seen, *held], strict=True))
        made = []
        for out in folds(list(kept), self.folds, training.seed):
            own = [clip for clip in kept if clip not in out]
            seen, held = ([kept[clip] for clip in part] for part in (own, out))
            made.append(self._batches(training, seen, held, own))
        return made

    def _batches(self, training, seen, held, learnt):
        batch = training.batch_size
        learning = feature_batches(seen, batch, training=True, seed=training.seed)
        return _Part(learning, feature_batches(held, batch), learnt, len(held))

    def _make_features(self, model, training):
        config, problems = self._config(model, training), Problems()
        *_, learnt = labelled_batches(config, self.clips, self.cache, problems)
        keras.utils.set_random_seed(training.seed)
        with precision(training):
            extractor = pooled_features(first_model(model, len(self.labels), training.weights))
        seen, held = frozen_features(extractor, config, self.clips, self.cache, problems)
        return seen, held, learnt, readable(self.part("val"), problems)
