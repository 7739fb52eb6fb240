"""Training on real clips, and what a run leaves behind."""

from sora_tf.train.detector import train_detector
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.evaluate import evaluate_run
from sora_tf.train.evaluate_detector import evaluate_detector
from sora_tf.train.fit import compile_model, train_classifier
from sora_tf.train.metrics import classification_metrics
from sora_tf.train.run import Run, RunConfig, RunError
from sora_tf.train.settings import TrainConfig

__all__ = [
    "DetectorRun",
    "Run",
    "RunConfig",
    "RunError",
    "TrainConfig",
    "classification_metrics",
    "compile_model",
    "evaluate_detector",
    "evaluate_run",
    "train_classifier",
    "train_detector",
]
