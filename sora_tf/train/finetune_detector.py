"""Fine-tuning a finished detector: the CNN under its head learns too."""

import os
import shutil

from sora_tf._keras import keras
from sora_tf.data import read_index
from sora_tf.data.box_files import read_boxes
from sora_tf.models.detector import scale_maps
from sora_tf.train.detector import complete_detector
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.finetune import (
    TunedRun,
    asked_of,
    begin_tuned,
    stages_asked,
    tuned_folder,
)
from sora_tf.train.stages import CnnStage, detector_stages, frozen_but


def finetune_detector(
    run: DetectorRun,
    out: str | os.PathLike[str] | None = None,
    *,
    unfreeze: int | str | None = None,
    epochs: int = 3,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    mix: float = 0.5,
    cache: str | os.PathLike[str] | None = None,
    verbose: int | str = "auto",
) -> DetectorRun:
    """Trains a detector on, its CNN's last stages too: what a frozen CNN ends up with.

    They learn from the first epoch, on stretches that vary anew in each. All other stages stay as
    they are, and so do all batch norms of the CNN. What is kept lies half-way between the weights
    before and those trained (`mix`). A second stage goes along as it is.

    The new run folder holds the same detector with other weights, and all that
    `sora-tf train-detector` writes; its finetune.json says what was asked for. Started again on a
    folder whose run was interrupted, it goes on after the last whole epoch.

    Args:
        run: a run with a model, whose clips and boxes are still there.
        out: the new run folder; None puts it beside the run, "-finetuned" added.
        unfreeze: how many of the CNN's last stages learn, or the name of the first of them; None
            is from the stage on whose maps the head stands.
        epochs: passes over the training clips.
        learning_rate: at its peak; None is a tenth of the run's.
        batch_size: stretches in a step; None is the run's own.
        mix: see `TunedRun`.
        cache: as in `train_detector`.
        verbose: as in `model.fit`.

    Returns:
        The new run, evaluated on its test split (on "val" where there is no "test").

    Raises:
        ValueError: a number is out of its range, or there is no such stage.
        RunError: there is no run or no model, or `out` holds something else.
    """
    config, model = run.read_config(), run.load_model()
    run.load_refiner()  # says so where it should be there and is not
    stages = detector_stages(model)
    count = _under_the_head(model, stages) if unfreeze is None else stages_asked(unfreeze, stages)
    new = _TunedDetector(tuned_folder(run, out), model, mix)
    known, _ = read_boxes(config.boxes, read_index(run.path / "split.csv"), config.labels)
    asked = asked_of(run, stages, count, mix)
    begin_tuned(run, new, asked, epochs, learning_rate, batch_size, views=0)
    if config.model.refine and not new.refined:
        _take_refiner(run, new)

    def first() -> keras.Model:
        thawed = run.load_model()
        frozen_but(detector_stages(thawed), count)
        return thawed

    complete_detector(new, known, first=first, cache=cache, verbose=verbose)
    return DetectorRun(new.path)


def _take_refiner(run: DetectorRun, new: DetectorRun) -> None:
    """Puts a run's second stage into another run."""
    scratch = new.refiner.path.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.rmtree(new.refiner.path, ignore_errors=True)
    shutil.copytree(run.refiner.path, scratch)
    scratch.rename(new.refiner.path)


class _TunedDetector(TunedRun, DetectorRun):
    """The folder of a detector that keeps models of which no layer is frozen."""


def _under_the_head(model: keras.Model, stages: list[CnnStage]) -> int:
    """How many of the last stages there are from the one whose maps are the head's finest."""
    cells = scale_maps(model).outputs[0].shape[2:4]
    finer = 0
    for stage in stages:
        _, *side, _ = stage.layers[-1].output_shape
        if tuple(side) == tuple(cells):
            break
        finer += 1
    return len(stages) - finer
