"""How a model is trained: the settings, and those that suit a preset."""

import math
from dataclasses import dataclass

from sora_tf import _checks
from sora_tf import config as configs
from sora_tf.config import SoraConfig
from sora_tf.models.backbones import LITE
from sora_tf.models.sora import WEIGHTS


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    Args:
        epochs: passes over the training clips.
        batch_size: clips in a step.
        learning_rate: at its peak, after the warm-up; falls to 0 along a cosine.
        warmup: share of the steps in which the rate rises from 0.
        weight_decay: of AdamW, on kernels alone.
        label_smoothing: share of the label spread over all classes.
        class_weights: weigh classes against their imbalance.
        mixed_precision: compute in float16 where that is exact enough; for GPUs.
        xla: compile with XLA.
        weights: "imagenet" begins with the CNN's ImageNet weights (see `build_sora`), a `.keras`
            file with those of a model of the same config, such as `sora-tf pretrain` writes; None
            with random ones.
        frozen: leave the CNN as it is. Its features of every clip are made once and kept, and
            the rest is trained on them in seconds.
        views: with `frozen`, variations of each training clip to make features of, an epoch each
            in turn; 0 takes the clips as they are.
        seed: decides weights, order, augmentation and split.
    """

    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    class_weights: bool = True
    mixed_precision: bool = False
    xla: bool = False
    weights: str | None = None
    frozen: bool = False
    views: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "TrainConfig"
        _checks.at_least(owner, "epochs", self.epochs, 1, "epoch", "30 is a good start.")
        _checks.at_least(owner, "batch_size", self.batch_size, 1, "clip", "8 is a good start.")
        _checks.above(owner, "learning_rate", self.learning_rate, 0, "", "0.001 is a good start.")
        _checks.between(owner, "warmup", self.warmup, 0.0, 0.9, "0.1 is usual.")
        _checks.between(owner, "label_smoothing", self.label_smoothing, 0.0, 0.9, "0 is none.")
        if self.weights is not None and not self.weights.endswith(".keras"):
            _checks.one_of(owner, "weights", self.weights, (*WEIGHTS, "a .keras file"))
        _checks.at_least(owner, "views", self.views, 0, "", "0 takes the clips as they are.")
        _checks.at_least(owner, "seed", self.seed, 0, "", "0 is as good as any.")

    def steps(self, clips: int) -> int:
        """Steps of the whole training on that many clips."""
        return self.epochs * math.ceil(clips / self.batch_size)

    def seed_after(self, epochs: int) -> int:
        """Decides what is drawn after some epochs: other numbers than those behind drew."""
        return self.seed + 100_003 * epochs


def usual_training(model: SoraConfig | str) -> TrainConfig:
    """How a model is trained where nothing else is asked for.

    EfficientNet-Lite begins with ImageNet's weights and keeps them: a few hundred clips are too
    few to change three million weights for the better.
    """
    if configs.resolve(model).extractor.block in LITE:
        return TrainConfig(epochs=20, batch_size=16, weights="imagenet", frozen=True)
    return TrainConfig()
