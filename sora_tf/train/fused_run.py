"""The run folder of a model that fuses what is seen, heard and said.

config.json, labels.txt, split.csv, model.keras (the best epoch, from nodes to scores), history.csv,
metrics.json, predictions.csv, curves.png, confusion.png, and checkpoint/ (the last epoch).
"""

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.data.sound import MelConfig
from sora_tf.models import yamnet
from sora_tf.models.fusion import FRAME, SENTENCE, SOUND, FusionConfig
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.models.sora import build_sora
from sora_tf.models.sound import SoundConfig
from sora_tf.tasks.nodes import WINDOWS, NodeReader
from sora_tf.train.run import Run
from sora_tf.train.settings import usual_training

FUSED = "fusion"
YAMNET = "yamnet"  # an encoder of sound that has learnt before
SETS = (FRAME, SOUND, SENTENCE)


@dataclass(frozen=True)
class FusedRunConfig:
    """What the run was asked to do and with what.

    Args:
        sets: which of "frame", "sound" and "sentence" it knows.
        model: the video model whose frame vectors are the nodes that are seen.
        fusion: how the sets are fused.
        sound: the encoder of sound that learns with the rest; "yamnet" where its vectors, as they
            are, are the nodes that are heard.
        labels: class names, in the order of the scores.
        fit: how frames are made to fit.
        training: the settings of `TrainConfig`, as a dict.
        source: the folder or table trained on.
        versions: package → version.
        kind: tells this run from a classifier's of pictures alone.
    """

    sets: tuple[str, ...]
    model: SoraConfig
    fusion: FusionConfig
    sound: SoundConfig | str
    labels: tuple[str, ...]
    fit: str
    training: dict[str, Any]
    source: str
    versions: dict[str, str] = field(default_factory=dict)
    kind: str = FUSED


def is_fused(path: str | os.PathLike[str]) -> bool:
    """Whether a folder holds the run of a model that fuses."""
    return Run(path).kind == FUSED


class FusedRun(Run):
    """The folder of the training run of such a model."""

    def read_config(self) -> FusedRunConfig:  # type: ignore[override]
        """What the run was asked to do.

        Raises:
            RunError: there is no such run here, or its config does not read.
        """

        def made(values: dict[str, Any]) -> FusedRunConfig:
            values["sets"] = tuple(values["sets"])
            values["model"] = SoraConfig.from_dict(values["model"])
            values["fusion"] = FusionConfig(**values["fusion"])
            values["sound"] = _sound(values["sound"])
            return FusedRunConfig(**values)

        return self._config(made, "fuse", FUSED)


def reader_of(config: FusedRunConfig, folder: Path | None = None) -> NodeReader:
    """What reads clips as the run's nodes.

    Args:
        config: the run's.
        folder: where nodes are kept.

    Raises:
        ImportError: what it needs is not installed: the extra "pretrained" or "text", or YAMNet.
    """
    weights = usual_training(config.model).weights
    mel = config.sound.mel if isinstance(config.sound, SoundConfig) else yamnet.MEL
    return NodeReader(
        build_sora(config.model, weights=weights) if FRAME in config.sets else None,
        config.fit,
        mel if SOUND in config.sets else None,
        SentenceEncoder() if SENTENCE in config.sets else None,
        json.dumps([asdict(config.model), weights]),
        folder,
        hearing_of(config),
    )


def hearing_of(config: FusedRunConfig) -> keras.Model | None:
    """The encoder whose vectors the run's model hears; None where it takes windows of sound.

    Raises:
        ImportError: the weights of YAMNet are not installed, and it needs them.
    """
    if SOUND in config.sets and config.sound == YAMNET:
        return yamnet.build_yamnet(windows=WINDOWS)
    return None


def _sound(values: dict[str, Any] | str) -> SoundConfig | str:
    if isinstance(values, str):
        return _checks.one_of("FusedRunConfig", "sound", values, (YAMNET,))
    mel = MelConfig(**values["mel"])
    return SoundConfig(**{**values, "mel": mel, "channels": tuple(values["channels"])})
