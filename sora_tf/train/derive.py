"""A run made from another: the same clips and model, trained on with other settings."""

import json
import math
from dataclasses import asdict, replace
from typing import Any

from sora_tf._files import write_json
from sora_tf.data import read_index, write_index
from sora_tf.train.run import Run, RunError, versions
from sora_tf.train.settings import TrainConfig


def usual_rate(run: Run, learning_rate: float | None) -> float:
    """The rate asked for, or a tenth of the run's own."""
    if learning_rate is not None:
        return learning_rate
    return run.read_config().training["learning_rate"] / 10


def begin_from(run: Run, new: Run, kind: str, asked: dict[str, Any], **training: Any) -> None:
    """Begins a new run folder with the clips and the model of another.

    Args:
        run: what it is made from.
        new: the new run.
        kind: file of the new folder that says what was asked for.
        asked: what goes in it.
        training: settings of `TrainConfig` that differ from the run's.
    """
    config = run.read_config()
    settings = replace(TrainConfig(**config.training), **training)
    new.path.mkdir(parents=True, exist_ok=True)
    write_json(new.path / kind, asked)
    write_index(read_index(run.path / "split.csv"), new.path / "split.csv")
    new.write_config(replace(config, training=asdict(settings), versions=versions()))


def check_same(new: Run, kind: str, asked: dict[str, Any], done: str) -> None:
    """Makes sure that a run folder was begun with the same arguments.

    Args:
        new, kind, asked: as in `begin_from`.
        done: what is done to a run, as in "one `done` in another way".

    Raises:
        RunError: it was not.
    """
    try:
        found = json.loads((new.path / kind).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if found != asked:
        raise RunError(
            f"{new.path} holds another run, or one {done} in another way. Give another --out, "
            "or the same arguments to go on with it."
        )


def steps_an_epoch(new: Run, settings: TrainConfig) -> int:
    """Batches of the run's training clips."""
    clips = read_index(new.path / "split.csv")
    return math.ceil(sum(clip.split == "train" for clip in clips) / settings.batch_size)
