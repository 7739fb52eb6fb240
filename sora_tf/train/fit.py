"""From a folder of clips to a run folder, with Keras's own `model.fit`; resumes after a kill."""

import logging
import math
import os
import shutil
import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import tensorflow as tf

from sora_tf import _checks
from sora_tf import config as configs
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import SoraConfig
from sora_tf.data import (
    Augment,
    Clip,
    Problems,
    clip_dataset,
    labels_of,
    read_index,
    split,
    write_index,
)
from sora_tf.models.sora import build_sora
from sora_tf.train.evaluate import evaluate_run
from sora_tf.train.plots import plot_curves
from sora_tf.train.run import Run, RunConfig, RunError, load_model, versions
from sora_tf.video import VideoError, probe

LOG = logging.getLogger(__name__)
PROBED = 200  # clips looked at to find the usual length


@dataclass(frozen=True)
class TrainConfig:
    """How a model is trained.

    Args:
        epochs: passes over the training clips.
        batch_size: clips in a step.
        learning_rate: at its peak, after the warm-up; falls to 0 along a cosine.
        warmup: share of the steps in which the rate rises from 0.
        weight_decay: of AdamW, on kernels alone.
        label_smoothing: share of the label spread over all classes.
        class_weights: weigh classes against their imbalance.
        mixed_precision: compute in float16 where that is exact enough; for GPUs.
        xla: compile with XLA.
        seed: decides weights, order, augmentation and split.
    """

    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 1e-3
    warmup: float = 0.1
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    class_weights: bool = True
    mixed_precision: bool = False
    xla: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "TrainConfig"
        _checks.at_least(owner, "epochs", self.epochs, 1, "epoch", "30 is a good start.")
        _checks.at_least(owner, "batch_size", self.batch_size, 1, "clip", "8 is a good start.")
        _checks.above(owner, "learning_rate", self.learning_rate, 0, "", "0.001 is a good start.")
        _checks.between(owner, "warmup", self.warmup, 0.0, 0.9, "0.1 is usual.")
        _checks.between(owner, "label_smoothing", self.label_smoothing, 0.0, 0.9, "0 is none.")
        _checks.at_least(owner, "seed", self.seed, 0, "", "0 is as good as any.")


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
        training: how to train; None is `TrainConfig()`.
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
    chosen = training or TrainConfig()
    if run.finished or run.checkpoint():
        config, clips = _resume(run, source, model, chosen, augment, fit)
    else:
        clips = split(read_index(source), seed=chosen.seed)
        config = _begin(run, source, clips, configs.resolve(model), chosen, augment, fit)
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
        run.write_history(history)  # a kill may have come between checkpoint and table
        plot_curves(history, run.path / "curves.png")
        part = "test" if any(clip.split == "test" for clip in clips) else "val"
        evaluate_run(run, part=part, cache=cache, problems=problems)
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)


def _begin(run, source, clips, model, training, augment, fit):
    labels = labels_of(clips)
    if len(labels) < 2:
        raise ValueError(
            f"train: there must be at least 2 classes to tell apart, got {', '.join(labels)} in "
            f"{source}. Put each class in a folder of its own."
        )
    build_sora(model, len(labels))  # a model that cannot be is found before any clip is read
    config = RunConfig(
        model=model,
        labels=labels,
        fit=fit,
        clip_seconds=_usual_length([clip for clip in clips if clip.split == "train"]),
        training=asdict(training),
        augment=(augment or Augment()).to_dict(),
        source=os.path.abspath(source),
        versions=versions(),
    )
    run.path.mkdir(parents=True, exist_ok=True)
    write_index(clips, run.path / "split.csv")
    run.write_config(config)
    return config


def _resume(run, source, model, training, augment, fit):
    config = run.read_config()
    if config.source != os.path.abspath(source) or config.model != configs.resolve(model):
        raise RunError(
            f"{run.path} holds a run of another model or of {config.source}. Give another --out, "
            "or the same arguments to go on with it."
        )
    asked = {**asdict(training), "augment": (augment or Augment()).to_dict(), "fit": fit}
    begun = {**config.training, "augment": config.augment, "fit": config.fit}
    other = [f"{name} {begun.get(name)}" for name in asked if asked[name] != begun.get(name)]
    if other and not run.finished:
        LOG.warning("going on with what the run was begun with: %s", ", ".join(other))
    return config, read_index(run.path / "split.csv")


def _usual_length(clips: Sequence[Clip]) -> float:
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
    parts = {name: [c for c in clips if c.split == name] for name in ("train", "val")}
    if not parts["train"]:
        raise RunError(f"no clip of {config.source} is in the split 'train'. Correct the table.")
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    shape = {
        "frames": config.model.frames,
        "size": config.model.size,
        "batch_size": settings.batch_size,
        "fit": config.fit,
        "cache": cache,
        "problems": problems,
    }
    with counting("decoding clips") as update:
        training = clip_dataset(
            parts["train"],
            config.labels,
            training=True,
            augment=Augment.from_dict(config.augment),
            # A resumed run draws other numbers than the epochs behind it did.
            seed=settings.seed + 100_003 * len(history),
            progress=update,
            **shape,
        )
    readable = [clip for clip in parts["train"] if clip.name not in problems.names()]
    if not readable:
        raise RunError(f"not one training clip could be read; the first: {problems.lines()[0]}")
    validation = clip_dataset(parts["val"], config.labels, **shape) if parts["val"] else None
    weights = class_weights(readable, config.labels) if settings.class_weights else None
    steps = settings.epochs * math.ceil(len(readable) / settings.batch_size)
    keras.utils.set_random_seed(settings.seed)
    with _strategy().scope(), precision(settings):
        if checkpoint:
            model = load_model(checkpoint[0])
        else:
            model = build_sora(config.model, len(config.labels))
            compile_model(model, settings, steps)
    model.fit(
        training,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(history),
        class_weight=weights,
        callbacks=[KeepEpochs(run, history), *callbacks],
        verbose=verbose,
    )
    if not run.model_path.is_file():  # somebody took it away: the last epoch is what is left
        run.write_model(model)
    return history


class KeepEpochs(keras.callbacks.Callback):
    """Writes checkpoint, history and the best model after every epoch.

    Args:
        run: where to.
        history: rows of the epochs so far; grows.
    """

    def __init__(self, run: Run, history: list[dict[str, float]]):
        super().__init__()
        self.run = run
        self.history = history

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keeps the epoch, whole or not at all.

        Raises:
            RunError: the loss is no number any more, which no further epoch would mend.
        """
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        for name in ("loss", "val_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                raise RunError(
                    f"{name} must be a number, got {row[name]} in epoch {epoch + 1}: the training "
                    "has run away. Lower the learning rate, in another run folder."
                )
        self.history.append(row)
        # Best first: a kill in between costs an epoch, not the best model.
        if quality(row) >= max(map(quality, self.history)):
            self.run.write_model(self.model)
        self.run.write_checkpoint(self.model, self.history)
        self.run.write_history(self.history)


def quality(row: dict[str, float]) -> tuple[float, float]:
    """Validation accuracy, then loss; the training figures where nothing is held out."""
    accuracy = row.get("val_accuracy", row.get("accuracy", 0.0))
    return accuracy, -row.get("val_loss", row.get("loss", 0.0))


def compile_model(model: keras.Model, settings: TrainConfig, steps: int) -> None:
    """Compiles with AdamW on a warmed-up cosine, cross-entropy and accuracy.

    Args:
        model: from `build_sora`.
        settings: how to train.
        steps: steps of the whole training.
    """
    warmup = round(steps * settings.warmup)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else settings.learning_rate,
        max(1, steps - warmup),
        warmup_target=settings.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=settings.weight_decay, clipnorm=1.0)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer,
        keras.losses.CategoricalCrossentropy(label_smoothing=settings.label_smoothing),
        metrics=["accuracy"],
        jit_compile=settings.xla,
    )


def class_weights(clips: Sequence[Clip], labels: Sequence[str]) -> dict[int, float]:
    """Weights that make every class count the same: N / (C·n_c), as in scikit-learn."""
    counts = [sum(clip.label == label for clip in clips) for label in labels]
    present = sum(count > 0 for count in counts)
    return {i: len(clips) / (present * n) if n else 0.0 for i, n in enumerate(counts)}


def _strategy() -> tf.distribute.Strategy:
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
