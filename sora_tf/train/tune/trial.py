"""One trial: a model trained with some settings and scored on the validation clips."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.data import Augment, Clip, Problems
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.train.batches import frozen_features, labelled_batches, part_of
from sora_tf.train.fit import class_weights, compile_model, precision
from sora_tf.train.frozen import feature_batches
from sora_tf.train.keep import quality
from sora_tf.train.run import RunConfig
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
        return part_of(self.clips, name)

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
        learning, validation, learnt = data
        keras.utils.set_random_seed(training.seed)
        with precision(training):
            weights = None if training.frozen else training.weights
            network = first_model(model, len(self.labels), weights)
            if training.frozen:
                network = head_of(network)
            compile_model(network, training, training.steps(len(learnt)))
        shares = class_weights(learnt, self.labels) if training.class_weights else None
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

    def _config(self, model, training):
        return RunConfig(
            model, self.labels, self.fit, 1.0, asdict(training), self.augment.to_dict(), ""
        )

    def _whole(self, model, training):
        """Batches of training clips, of validation clips, and the training clips that read."""
        config = self._config(model, training)
        return labelled_batches(config, self.clips, self.cache, Problems())

    def _frozen(self, model, training):
        """The same for the features of the clips, which are made where they are missing."""
        # What stands behind the pooled features decides nothing of them.
        cnn = replace(model.extractor, features=0, dropout=0.0)
        depends = (cnn, model.frames, model.size, training.weights, training.views)
        key = f"{depends} {training.mixed_precision}"
        if key not in self._features:
            self._features[key] = self._make_features(model, training)
        seen, held, learnt = self._features[key]
        batch = training.batch_size
        return (
            feature_batches(seen, batch, training=True, seed=training.seed),
            feature_batches(held, batch),
            learnt,
        )

    def _make_features(self, model, training):
        config, problems = self._config(model, training), Problems()
        *_, learnt = labelled_batches(config, self.clips, self.cache, problems)
        keras.utils.set_random_seed(training.seed)
        with precision(training):
            extractor = pooled_features(first_model(model, len(self.labels), training.weights))
        seen, held = frozen_features(extractor, config, self.clips, self.cache, problems)
        return seen, held, learnt
