"""Training on real clips, and what a run leaves behind."""

from sora_tf.train.evaluate import evaluate_run
from sora_tf.train.fit import compile_model, train_classifier
from sora_tf.train.metrics import classification_metrics
from sora_tf.train.run import Run, RunConfig, RunError
from sora_tf.train.settings import TrainConfig

__all__ = [
    "Run",
    "RunConfig",
    "RunError",
    "TrainConfig",
    "classification_metrics",
    "compile_model",
    "evaluate_run",
    "train_classifier",
]
