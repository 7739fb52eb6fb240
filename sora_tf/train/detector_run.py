"""The run folder of a detector: a run whose model says where things are.

config.json, labels.txt, split.csv, model.keras (the best epoch), history.csv, metrics.json,
boxes.parquet (what was found on the test clips), curves.png, found.png, and checkpoint/. A second
stage has a folder of its own, refiner/, with model.keras, history.csv and curves.png.
"""

import os
from dataclasses import dataclass, field
from typing import Any

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.train.run import Run, load_model

DETECTOR = "detector"


@dataclass(frozen=True)
class DetectorRunConfig:
    """What a detector's run was asked to do and with what.

    Args:
        model: the detector.
        labels: class names, by whose place boxes are labelled.
        each: most stretches of a clip.
        training: the settings of `TrainConfig`, as a dict.
        augment: the settings of `Augment`, as a dict.
        source: the folder, table or video trained on.
        boxes: the file or folder of boxes.
        versions: package → version.
        kind: tells this run from a classifier's.
    """

    model: DetectorConfig
    labels: tuple[str, ...]
    each: int
    training: dict[str, Any]
    augment: dict[str, Any]
    source: str
    boxes: str
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = DETECTOR


def is_detector(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds the run of a detector."""
    return Run(path).kind == DETECTOR


class DetectorRun(Run):
    """The folder of the training run of a detector."""

    @property
    def refiner(self) -> Run:
        """What its second stage's training leaves."""
        return Run(self.path / "refiner")

    @property
    def refined(self) -> bool:
        """Whether the training of its second stage came to its end."""
        return self.refiner.model_path.is_file() and (self.refiner.path / "curves.png").is_file()

    def load_refiner(self) -> keras.Model | None:
        """The best second stage of the run; None where its detector has none.

        Raises:
            RunError: it is not there yet, or does not load.
        """
        return load_model(self.refiner.model_path) if self.read_config().model.refine else None

    def read_config(self) -> DetectorRunConfig:  # type: ignore[override]
        """What the run was asked to do.

        Raises:
            RunError: there is no detector's run here, or its config does not read.
        """

        def made(values: dict[str, Any]) -> DetectorRunConfig:
            values["model"] = DetectorConfig.from_dict(values["model"])
            return DetectorRunConfig(**values)

        return self._config(made, "train-detector", DETECTOR)
