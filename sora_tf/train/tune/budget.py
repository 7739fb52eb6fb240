"""What a model may cost on the device it is for, and what it costs: measured, and measured once."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol

from sora_tf import _checks
from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.config import SoraConfig


@dataclass(frozen=True)
class Cost:
    """What an exported model takes.

    Args:
        ms: time for a frame, in ms.
        mb: size of the file, in 10⁶ bytes.
    """

    ms: float
    mb: float


class Measure(Protocol):
    """Tells what a model takes.

    Attributes:
        name: what is measured, for the report.
    """

    @property
    def name(self) -> str:
        """See the class."""

    def __call__(self, model: keras.Model, config: SoraConfig) -> Cost:
        """The cost of a model, trained or not, that was built from `config`."""


@dataclass(frozen=True)
class Budget:
    """What a model may take at most.

    Args:
        ms: time for a frame, in ms; None is any.
        mb: size of the file, in 10⁶ bytes; None is any.
    """

    ms: float | None = None
    mb: float | None = None

    def __post_init__(self) -> None:
        """Checks the ranges."""
        for name, unit in (("ms", "ms"), ("mb", "MB")):
            if getattr(self, name) is not None:
                _checks.above("Budget", name, getattr(self, name), 0, unit, "Leave it out for any.")

    def __bool__(self) -> bool:
        return self.ms is not None or self.mb is not None

    def excess(self, cost: Cost) -> float:
        """How far a cost is above the budget, as a share of it; 0 or less is inside."""
        pairs = [(cost.ms, self.ms), (cost.mb, self.mb)]
        return max((had / allowed - 1 for had, allowed in pairs if allowed is not None), default=0)


class Costs:
    """The costs of models, kept in a folder, so that none is measured twice.

    Args:
        folder: a JSON file for each model.
        measured: the cost of a model that is not there yet.
    """

    def __init__(self, folder: Path, measured: Callable[[SoraConfig], Cost]):
        self.folder = folder
        self.measured = measured

    def of(self, config: SoraConfig) -> Cost:
        """The cost of a model, measured unless one of the same layers was."""
        path = self.folder / f"{_key(config)}.json"
        try:
            return Cost(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            cost = self.measured(config)
            write_json(path, asdict(cost))
            return cost


def _key(config: SoraConfig) -> str:
    """Names what is left of a model when it is exported."""
    kept = replace(config, dropout=0.0, extractor=replace(config.extractor, dropout=0.0))
    if kept.relation is not None:
        kept = replace(kept, relation=replace(kept.relation, dropout=0.0))
    return hashlib.sha256(kept.to_json().encode()).hexdigest()[:40]
