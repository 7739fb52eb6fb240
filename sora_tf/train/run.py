"""A run folder: everything a training run leaves, in files people can open.

config.json, labels.txt, split.csv, model.keras (the best epoch), history.csv, metrics.json,
predictions.csv, curves.png, confusion.png, and checkpoint/ (the last epoch, to go on from).
"""

import csv
import importlib.metadata
import json
import os
import platform
import shutil
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import sora_tf.layers  # noqa: F401, all layers, which Keras knows once they are imported
from sora_tf._files import replacing, write_json
from sora_tf._keras import keras
from sora_tf.config import SoraConfig

KIND = "kind"  # of a run that is none of a classifier
PACKAGES = ("sora_tf", "tensorflow", "tf_keras", "tensorflow_gnn", "av", "numpy", "scikit-learn")


Made = TypeVar("Made")


class RunError(Exception):
    """A run folder that cannot be used, said in one line."""


@dataclass(frozen=True)
class RunConfig:
    """What a run was asked to do and with what.

    Args:
        model: the model.
        labels: class names, in the order of the scores.
        fit: how frames are made to fit the model's size: "stretch", "cover" or "contain".
        clip_seconds: median length of the training clips, s; long files are cut into windows of
            this length.
        training: the settings of `TrainConfig`, as a dict.
        augment: the settings of `Augment`, as a dict.
        source: the folder or table trained on.
        versions: package → version.
    """

    model: SoraConfig
    labels: tuple[str, ...]
    fit: str
    clip_seconds: float
    training: dict[str, Any]
    augment: dict[str, Any]
    source: str
    versions: dict[str, str] = field(default_factory=dict)


def versions(more: Sequence[str] = ()) -> dict[str, str]:
    """The versions a result depends on: Python, this package, what it stands on, and `more`."""
    found = {"python": platform.python_version()}
    for name in (*PACKAGES, *more):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "unknown"
    return found


class Run:
    """The folder of one training run.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = Path(path)

    @property
    def model_path(self) -> Path:
        """The best model so far."""
        return self.path / "model.keras"

    @property
    def metrics_path(self) -> Path:
        """What the finished run scored."""
        return self.path / "metrics.json"

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "config.json").is_file()

    @property
    def finished(self) -> bool:
        """Whether training came to its end: metrics alone may be those of `evaluate` before it."""
        return all(
            path.is_file()
            for path in (self.model_path, self.path / "curves.png", self.metrics_path)
        )

    @property
    def kind(self) -> str | None:
        """What tells the run from one that names clips by their pictures; None where it is one."""
        try:
            values = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return values.get(KIND) if isinstance(values, dict) else None

    def write_config(self, config: Any) -> None:
        """Begins the run."""
        (self.path / "checkpoint").mkdir(parents=True, exist_ok=True)
        with replacing(self.path / "labels.txt") as beside:
            beside.write_text("".join(f"{label}\n" for label in config.labels), encoding="utf-8")
        write_json(self.path / "config.json", asdict(config))

    def read_config(self) -> RunConfig:
        """What the run was asked to do.

        Raises:
            RunError: there is no run here, or its config does not read.
        """

        def made(values: dict[str, Any]) -> RunConfig:
            values["model"] = SoraConfig.from_dict(values["model"])
            return RunConfig(**values)

        return self._config(made, "train")

    def _config(
        self, made: Callable[[dict[str, Any]], Made], verb: str, kind: str | None = None
    ) -> Made:
        """What is made of config.json, which that verb writes for runs of that kind."""
        try:
            values = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
            if values.get(KIND) != kind:
                raise RunError(
                    f"the run in {self.path} is of a {values.get(KIND) or 'classifier'}, not of "
                    f"a {kind or 'classifier'}. Give one that `sora-tf {verb}` wrote."
                )
            values["labels"] = tuple(values["labels"])
            return made(values)
        except OSError:
            raise RunError(
                f"there is no run in {self.path} (no config.json). Give a folder that "
                f"`sora-tf {verb}` wrote."
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise RunError(
                f"the config of the run in {self.path} does not read: {error}. Train again into "
                "another folder."
            ) from None

    def read_metrics(self) -> dict[str, Any]:
        """What the finished run scored.

        Raises:
            RunError: it is not finished, or they do not read.
        """
        if not self.finished:
            raise RunError(
                f"the run in {self.path} is not finished. Start `sora-tf train` again with the "
                "same arguments to go on with it."
            )
        try:
            metrics: dict[str, Any] = json.loads(self.metrics_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(
                f"{self.metrics_path} does not read: {error}. `sora-tf evaluate` writes it anew."
            ) from None
        return metrics

    def load_model(self) -> keras.Model:
        """The best model of the run.

        Raises:
            RunError: there is none, or it does not load.
        """
        self.read_config()  # says so where this is no run at all
        if not self.model_path.is_file():
            raise RunError(
                f"the run in {self.path} has no model.keras yet. Let `sora-tf train` finish an "
                "epoch first."
            )
        return load_model(self.model_path)

    def checkpoint(self) -> tuple[Path, list[dict[str, float]]] | None:
        """The model and the history of the last whole epoch, or None before the first.

        Raises:
            RunError: the history does not read.
        """
        done = sorted((self.path / "checkpoint").glob("epoch-*[0-9]"))
        if not done:
            return None
        try:
            return done[-1] / "model.keras", json.loads((done[-1] / "history.json").read_text())
        except (OSError, ValueError) as error:
            raise RunError(
                f"the checkpoint {done[-1]} does not read: {error}. Train again into another "
                "folder."
            ) from None

    def write_checkpoint(self, model: keras.Model, history: Sequence[dict[str, float]]) -> None:
        """Keeps the state after an epoch, whole or not at all, in place of the one before."""
        folder = self.path / "checkpoint"
        for left_over in folder.glob("*.partial"):
            shutil.rmtree(left_over, ignore_errors=True)
        name = f"epoch-{len(history):05d}"
        partial = folder / f"{name}.partial"
        partial.mkdir(parents=True)
        model.save(partial / "model.keras")
        write_json(partial / "history.json", list(history))
        os.replace(partial, folder / name)
        for older in folder.glob("epoch-*[0-9]"):
            if older.name != name:
                shutil.rmtree(older, ignore_errors=True)

    def write_model(self, model: keras.Model) -> None:
        """Keeps a model as the best so far."""
        with replacing(self.model_path) as beside:
            model.save(beside)

    def write_history(self, history: Sequence[dict[str, float]]) -> None:
        """Writes history.csv, a row an epoch."""
        if history:
            write_csv(self.path / "history.csv", list(history[0]), history)


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """A `.keras` file, without running code from it.

    Raises:
        RunError: the file does not load.
    """
    # Keras takes what is no zip for the older HDF5 form, to which `safe_mode` does not apply.
    if not zipfile.is_zipfile(path):
        raise RunError(f"{path} is not a .keras file. Train again into another folder.")
    try:
        return keras.models.load_model(path, safe_mode=True)
    except Exception as error:  # Keras raises nearly anything on a damaged file
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RunError(
            f"{path} does not load: {reason}. Train again into another folder."
        ) from error


def write_csv(
    path: str | os.PathLike[str], columns: Sequence[str], rows: Sequence[dict[str, Any]]
) -> None:
    """Writes rows as a CSV table, whole or not at all."""
    with replacing(path) as beside, open(beside, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
