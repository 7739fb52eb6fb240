"""Learning from clips alone: a model is asked what order and what speed their frames have.

What it learns for that is kept, a model without a classifier, for training to begin with.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sora_tf import config as configs
from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import SoraConfig
from sora_tf.data import Augment, Problems, clip_dataset, split
from sora_tf.models.sora import build_sora
from sora_tf.train.batches import learnt_from, part_of, readable
from sora_tf.train.fit import (
    compile_model,
    precision,
    resume,
    strategy,
    write_begun,
    write_learnt,
)
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.questions import FASTER, ORDER, SPEED, asked_model, with_questions
from sora_tf.train.run import Run, RunError, load_model
from sora_tf.train.settings import TrainConfig, usual_training
from sora_tf.train.start import first_model
from sora_tf.train.unlabelled import NO_LABEL, read_unlabelled

LOG = logging.getLogger(__name__)
PARTS = {"train": 0.85, "val": 0.15}
KIND = "pretrain.json"


def pretrain(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: SoraConfig | str = "small",
    training: TrainConfig | None = None,
    augment: Augment | None = None,
    fit: str = "stretch",
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> Run:
    """Trains a model on clips without labels, and writes a folder like a run's.

    Its model.keras gives the global vector; there are no labels and no predictions. metrics.json
    says how often the model is right about clips held out (chance is 0.5). Started again on a
    folder that was interrupted, it goes on after the last whole epoch.

    Args:
        source: a folder of videos or a table, see `read_unlabelled`. Clips of a table that have
            the split "test" are left out.
        out: the folder to write.
        model: a config, or the name of a preset.
        training: how to train; None is what `usual_training` says. The whole model is trained,
            whatever `frozen` is.
        augment: how clips are varied; None is `Augment()`. "speed", "time_jitter" and "mixup" do
            not apply: time is what is asked about.
        fit, cache, callbacks, verbose: as in `train_classifier`.

    Raises:
        RunError: the folder holds something else, or no clip can be read.
        ValueError: the clips cannot be listed or split, or the model cannot be built.
    """
    run = Run(out)
    chosen = replace(training or usual_training(model), frozen=False, views=0)
    varied = replace(augment or Augment(), speed=0.0, time_jitter=0.0, mixup=0.0)
    if run.exists and not (run.path / KIND).is_file():
        raise RunError(f"{run.path} holds a run of another kind. Give another --out.")
    if run.finished or run.checkpoint():
        config, clips = resume(run, source, model, chosen, varied, fit)
    else:
        clips = [clip for clip in read_unlabelled(source) if clip.split != "test"]
        clips = split(clips, PARTS, chosen.seed)
        config = _begin(run, source, clips, configs.resolve(model), chosen, varied, fit)
    if run.finished:
        LOG.info("%s is finished; give another --out to train again", run.path)
    else:
        problems = Problems()
        history = _fit(
            run, config, clips, cache or run.path / "cache", problems, callbacks, verbose
        )
        write_learnt(run, history)
        write_json(run.metrics_path, _metrics(history, clips, problems))
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)
    return run


class _Keep(KeepEpochs):
    """Keeps the model without its answers; the best epoch is that with most of them right."""

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the epoch, whole or not at all."""
        logs = dict(logs or {})
        for part in ("", "val_"):
            names = [f"{part}{name}_accuracy" for name in (ORDER, SPEED)]
            if all(name in logs for name in names):
                logs[f"{part}accuracy"] = float(np.mean([logs[name] for name in names]))
        super().on_epoch_end(epoch, logs)


def _begin(run, source, clips, model, training, augment, fit):
    build_sora(model)  # a model that cannot be is found before any clip is read
    run.path.mkdir(parents=True, exist_ok=True)
    write_json(run.path / KIND, {"asked": [ORDER, SPEED], "faster": FASTER})
    return write_begun(run, source, clips, model, (), training, augment, fit)


def _fit(run, config, clips, cache, problems, callbacks, verbose):
    """Runs `model.fit` from the last checkpoint to the last epoch; returns the history."""
    settings = TrainConfig(**config.training)
    shown, held = learnt_from(clips, config.source), part_of(clips, "val")
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    seed = settings.seed_after(len(history))
    frames = config.model.frames

    def questions(which, training):
        with counting("decoding clips") as update:
            batches = clip_dataset(
                which,
                [NO_LABEL],
                frames=FASTER * frames,
                size=config.model.size,
                batch_size=settings.batch_size,
                training=training,
                augment=Augment.from_dict(config.augment),
                seed=seed,
                oversample=1,
                fit=config.fit,
                cache=cache,
                problems=problems,
                progress=update,
            )
        return with_questions(batches, frames, seed if training else 0, training=training)

    batches = questions(shown, True)
    steps = settings.steps(len(readable(shown, problems)))
    validation = questions(held, False) if held else None
    keras.utils.set_random_seed(settings.seed)
    with strategy().scope(), precision(settings):
        plain = first_model(config.model, None, settings.weights)
        if checkpoint:
            model = load_model(checkpoint[0])
        else:
            model = asked_model(plain)
            compile_model(model, settings, steps)  # for its optimizer
            model.compile(
                model.optimizer,
                {name: keras.losses.BinaryCrossentropy() for name in (ORDER, SPEED)},
                weighted_metrics=dict.fromkeys((ORDER, SPEED), "accuracy"),
                jit_compile=settings.xla,
            )
    model.fit(
        batches,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(history),
        callbacks=[_Keep(run, history, plain), *callbacks],
        verbose=verbose,
    )
    return history


def _metrics(history, clips, problems):
    """The best epoch's answers on the clips held out, or on those trained on where none are."""
    part = "val" if any(clip.split == "val" for clip in clips) else "train"
    prefix = "val_" if part == "val" else ""
    best = max(history, key=lambda row: row[f"{prefix}accuracy"])
    return {
        "part": part,
        "clips": sum(clip.split == part for clip in clips),
        **{name: best[f"{prefix}{name}_accuracy"] for name in (ORDER, SPEED)},
        "chance": 0.5,
        "skipped": problems.lines(),
    }
