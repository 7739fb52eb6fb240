"""From a folder of clips to a run folder, with Keras's own `model.fit`; resumes after a kill."""

import logging
import os
import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import tensorflow as tf

from sora_tf import config as configs
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.data import (
    Augment,
    Clip,
    Problems,
    labels_of,
    read_index,
    split,
    write_index,
)
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.train.batches import frozen_features, labelled_batches, learnt_from, part_of
from sora_tf.train.evaluate import evaluate_run
from sora_tf.train.frozen import feature_batches
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.kernel_decay import KernelDecayAdamW
from sora_tf.train.plots import plot_curves
from sora_tf.train.run import Run, RunConfig, RunError, load_model, versions
from sora_tf.train.settings import TrainConfig, usual_training
from sora_tf.train.start import first_model
from sora_tf.video import VideoError, probe

LOG = logging.getLogger(__name__)
PROBED = 200  # clips looked at to find the usual length


def train_classifier(
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
    """Trains a classifier and writes a run folder.

    Started again on a folder whose run was interrupted, it goes on after the last whole epoch
    with the settings the run was begun with. Before the first epoch is whole, it begins anew.

    Args:
        source: folder of class folders, or a CSV or Parquet table (see `read_index`).
        out: the run folder.
        model: a config, or the name of a preset.
        training: how to train; None is what `usual_training` says.
        augment: how training clips are varied; None is `Augment()`.
        fit: how frames are made to fit: "stretch", "cover" or "contain".
        cache: folder for decoded clips, to share between runs; None keeps them in the run until
            it is finished.
        callbacks: more Keras callbacks.
        verbose: as in `model.fit`.

    Returns:
        The run, evaluated on its test split (on "val" where there is no "test"). "skipped" among
        its metrics are the clips of all splits that did not read.

    Raises:
        RunError: the folder holds a run of something else, or no clip can be read.
        ValueError: the clips cannot be listed or split, or the model cannot be built.
    """
    run = Run(out)
    chosen = training or usual_training(model)
    if run.finished or run.checkpoint():
        config, clips = resume(run, source, model, chosen, augment, fit)
    else:
        clips = split(read_index(source), seed=chosen.seed)
        config = begin(run, source, clips, configs.resolve(model), chosen, augment, fit)
    if run.finished:
        LOG.info("the run in %s is finished; give another --out to train again", run.path)
    complete(run, config, clips, cache=cache, callbacks=callbacks, verbose=verbose)
    return run


def complete(
    run: Run,
    config: RunConfig,
    clips: Sequence[Clip],
    *,
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> None:
    """Trains a run that was begun from its last checkpoint to the end, unless it is finished.

    Args:
        run: the run.
        config: what it was begun with.
        clips: its clips, each with its split.
        cache, callbacks, verbose: as in `train_classifier`.

    Raises:
        RunError: no clip can be read, or the training runs away.
    """
    if not run.finished:
        decoded = cache or run.path / "cache"
        problems = Problems()
        history = _fit(run, config, clips, decoded, problems, callbacks, verbose)
        write_learnt(run, history)
        judge(run, clips, cache, problems)
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)


def write_learnt(run: Run, history: Sequence[dict[str, float]]) -> None:
    """Writes the epochs of a training that came to its end, as a table and as curves."""
    run.write_history(history)  # a kill may have come between checkpoint and table
    plot_curves(history, run.path / "curves.png")


def judge(
    run: Run, clips: Sequence[Clip], cache: str | os.PathLike[str] | None, problems: Problems
) -> dict[str, Any]:
    """Evaluates a run on the split "test" of its clips, on "val" where there is none."""
    part = "test" if part_of(clips, "test") else "val"
    return evaluate_run(run, part=part, cache=cache, problems=problems)


def begin(run, source, clips, model, training, augment, fit):
    """Begins the folder of a run of labelled clips; returns its config.

    Raises:
        ValueError: there are fewer than 2 classes, or the model cannot be built.
    """
    labels = labels_of(clips)
    if len(labels) < 2:
        raise ValueError(
            f"train: there must be at least 2 classes to tell apart, got {', '.join(labels)} in "
            f"{source}. Put each class in a folder of its own."
        )
    # What cannot be is found before any clip is read.
    built = first_model(model, len(labels), training.weights)
    if training.frozen:
        head_of(built)
    return write_begun(run, source, clips, model, labels, training, augment or Augment(), fit)


def write_begun(run, source, clips, model, labels, training, augment, fit):
    """Writes what a run is begun with, its clips first; returns its config."""
    config = RunConfig(
        model=model,
        labels=labels,
        fit=fit,
        clip_seconds=usual_length(part_of(clips, "train")),
        training=asdict(training),
        augment=augment.to_dict(),
        source=os.path.abspath(source),
        versions=versions(),
    )
    run.path.mkdir(parents=True, exist_ok=True)
    write_index(clips, run.path / "split.csv")
    run.write_config(config)
    return config


def resume(run, source, model, training, augment, fit):
    """The config and the clips that a run was begun with; says where they differ from those given.

    Raises:
        RunError: it is a run of another model or of other clips.
    """
    config = run.read_config()
    if config.source != os.path.abspath(source) or config.model != configs.resolve(model):
        raise RunError(
            f"{run.path} holds a run of another model or of {config.source}. Give another --out, "
            "or the same arguments to go on with it."
        )
    asked = {**asdict(training), "augment": (augment or Augment()).to_dict(), "fit": fit}
    varied = Augment.from_dict(config.augment).to_dict()  # with fields that it did not have then
    begun = {**config.training, "augment": varied, "fit": config.fit}
    other = [f"{name} {begun.get(name)}" for name in asked if asked[name] != begun.get(name)]
    if other and not run.finished:
        LOG.warning("going on with what the run was begun with: %s", ", ".join(other))
    return config, read_index(run.path / "split.csv")


def usual_length(clips: Sequence[Clip]) -> float:
    """The median length of some clips, s."""
    lengths = []
    for clip in clips[:: max(1, len(clips) // PROBED)]:
        if clip.end is not None:
            lengths.append(clip.end - (clip.start or 0.0))
            continue
        try:
            duration = probe(clip.path).duration
        except VideoError:
            continue  # the dataset names it
        if duration:
            lengths.append(duration - (clip.start or 0.0))
    return float(statistics.median(lengths)) if lengths else 1.0


def _fit(run, config, clips, cache, problems, callbacks, verbose):
    """Runs `model.fit` from the last checkpoint to the last epoch; returns the history."""
    settings = TrainConfig(**config.training)
    learnt_from(clips, config.source)
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    # A resumed run draws other numbers than the epochs behind it did; kept features stay.
    behind = 0 if settings.frozen else len(history)
    training, validation, learnt = labelled_batches(config, clips, cache, problems, behind)
    weights = class_weights(learnt, config.labels) if settings.class_weights else None
    keras.utils.set_random_seed(settings.seed)
    whole = None
    with strategy().scope(), precision(settings):
        if settings.frozen:
            whole = first_model(config.model, len(config.labels), settings.weights)
            seen, held = frozen_features(pooled_features(whole), config, clips, cache, problems)
            training = feature_batches(
                seen, settings.batch_size, training=True, seed=settings.seed, behind=len(history)
            )
            validation = feature_batches(held, settings.batch_size) if held else None
        if checkpoint:
            model = load_model(checkpoint[0])
        elif settings.frozen:
            model = head_of(whole)
        else:
            model = first_model(config.model, len(config.labels), settings.weights)
        if not checkpoint:
            compile_model(model, settings, settings.steps(len(learnt)))
    model.fit(
        training,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(history),
        class_weight=weights,
        callbacks=[KeepEpochs(run, history, whole), *callbacks],
        verbose=verbose,
    )
    return history


def compile_model(model: keras.Model, settings: TrainConfig, steps: int) -> None:
    """Compiles with AdamW on a warmed-up cosine, cross-entropy and accuracy.

    Args:
        model: from `build_sora`.
        settings: how to train.
        steps: steps of the whole training.
    """
    model.compile(
        optimizer_of(settings, steps),
        keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
        metrics=["accuracy"],
        jit_compile=settings.xla,
    )


def optimizer_of(settings: TrainConfig, steps: int) -> keras.optimizers.Optimizer:
    """AdamW on a warmed-up cosine, for a training of so many steps."""
    warmup = round(steps * settings.warmup)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else settings.learning_rate,
        max(1, steps - warmup),
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    return KernelDecayAdamW(schedule, weight_decay=settings.weight_decay, clipnorm=1.0)


def class_weights(clips: Sequence[Clip], labels: Sequence[str]) -> dict[int, float]:
    """Weights that make every class count the same: N / (C·n_c), as in scikit-learn."""
    counts = [sum(clip.label == label for clip in clips) for label in labels]
    present = sum(count > 0 for count in counts)
    return {i: len(clips) / (present * n) if n else 0.0 for i, n in enumerate(counts)}


def strategy() -> tf.distribute.Strategy:
    """All GPUs where there are several."""
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


@contextmanager
def precision(settings: TrainConfig) -> Iterator[None]:
    """Builds layers under mixed precision where asked for, and puts the policy back."""
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy(
        "mixed_float16" if settings.mixed_precision else "float32"
    )
    try:
        yield
    finally:
        keras.mixed_precision.set_global_policy(before)
