"""A student learns from a teacher: a run, or a table of vectors, on clips with and without labels.

The teacher is asked once about every clip as it is; the student sees the clips varied. What it is
taught are ordinary Keras losses on outputs of its own (`lessons`), which are gone afterwards.
"""

import json
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from sora_tf import config as configs
from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import SoraConfig
from sora_tf.data import Augment, Problems, clip_dataset, labels_of, read_index, split, write_index
from sora_tf.models.sora import SCORES
from sora_tf.train.answers import Directions
from sora_tf.train.batches import learnt_from, part_of, readable
from sora_tf.train.derive import check_same
from sora_tf.train.fit import (
    begin,
    class_weights,
    compile_model,
    judge,
    precision,
    resume,
    strategy,
    write_learnt,
)
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.lessons import (
    FEATURES_OF_FRAMES,
    LOGITS,
    VECTOR,
    Lesson,
    compile_learner,
    learner,
    possible,
)
from sora_tf.train.run import Run, RunError, load_model
from sora_tf.train.settings import TrainConfig, usual_training
from sora_tf.train.start import first_model
from sora_tf.train.taught import in_turn, label_rows, with_answers
from sora_tf.train.teacher import RELATIONS, View, ask_run, ask_table, numbered
from sora_tf.train.unlabelled import NO_LABEL, apart_from, read_unlabelled, real

LOG = logging.getLogger(__name__)
ASKED = "distill.json"
MORE = "unlabelled.csv"
# Slower or faster play would show the student other moments than those the teacher relates.
AUGMENT = Augment(speed=0.0)
PARTS = {"train": 0.85, "val": 0.15}  # of clips none of which has a label


def distill(
    source: str | os.PathLike[str] | None,
    out: str | os.PathLike[str],
    teacher: str | os.PathLike[str],
    *,
    unlabelled: str | os.PathLike[str] | None = None,
    model: SoraConfig | str = "small",
    lesson: Lesson | None = None,
    training: TrainConfig | None = None,
    augment: Augment | None = None,
    fit: str = "stretch",
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> Run:
    """Trains a student on what a teacher says, and writes a run folder.

    The folder is that of `train_classifier`, with distill.json for what was asked and, among the
    metrics, "distilled". Started again on a folder whose run was interrupted, it goes on after
    the last whole epoch. Where the teacher was trained on the same `source`, its split is used;
    otherwise a warning says if it has seen clips that the student is tested on.

    Args:
        source: labelled clips, as in `train_classifier`; None where there are none. Then the
            classes are the teacher's, and its best one stands for the label when the student is
            judged: the accuracy is how often both agree.
        out: the run folder.
        teacher: a run folder, or a Parquet table from `sora-tf embed` with all the clips that
            are taught, which gives vectors and no scores.
        unlabelled: more clips to learn from, a folder or a table (see `read_unlabelled`). Files
            that are among the clips of `source` are left out.
        model: the student: a config, or the name of a preset.
        lesson: what it is taught; None is `Lesson()`. What the teacher cannot teach is left out,
            and the log says so.
        training: how to train; None is what `usual_training` says. The whole student is trained,
            whatever `frozen` is.
        augment: how the student's clips are varied; None is the usual without "speed". With speed
            or mixup, relations and features are not taught.
        fit, cache, callbacks, verbose: as in `train_classifier`.

    Returns:
        The run, evaluated.

    Raises:
        RunError: the folder holds another run, there is no teacher, or no clip can be read.
        ValueError: the clips cannot be listed or split, the teacher does not fit them, or the
            model cannot be built.
    """
    lesson = lesson or Lesson()
    where = source if source is not None else unlabelled
    if where is None:
        raise ValueError("distill: source or unlabelled must be given, got neither. Give clips.")
    chosen = replace(training or usual_training(model), frozen=False, views=0)
    varied = AUGMENT if augment is None else augment
    asked = {
        "teacher": os.path.abspath(teacher),
        "unlabelled": unlabelled and os.path.abspath(unlabelled),
        "labelled": source is not None,
        **asdict(lesson),
    }
    run = _Student(out)
    kept = cache or run.path / "cache"
    if run.finished or run.checkpoint():
        check_same(run, ASKED, asked, "taught")
        config, clips = resume(run, where, model, chosen, varied, fit)
    else:
        clips, more = _clips(source, unlabelled, teacher, kept, chosen.seed)
        _check_teacher(teacher, [*part_of(clips, "train"), *more], lesson)
        config = begin(run, where, clips, configs.resolve(model), chosen, varied, fit)
        (run.path / MORE).unlink(missing_ok=True)  # of a run that did not get far
        if more:
            write_index(more, run.path / MORE)
        write_json(run.path / ASKED, asked)
    if run.finished:
        LOG.info("the run in %s is finished; give another --out to train again", run.path)
    else:
        problems = Problems()
        history, terms = _fit(run, config, clips, asked, lesson, kept, problems, callbacks, verbose)
        write_learnt(run, history)
        metrics = judge(run, clips, cache, problems)
        write_json(run.metrics_path, {**metrics, "distilled": {**asked, "taught": terms}})
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)
    return Run(run.path)


class _Student(Run):
    """A run that is finished when its metrics say what it was taught."""

    @property
    def finished(self) -> bool:
        """Whether all is written."""
        try:
            return super().finished and "distilled" in json.loads(self.metrics_path.read_text())
        except ValueError:
            return False


class _Keep(KeepEpochs):
    """Keeps the plain student, and what is known of an epoch under the usual names.

    Args:
        run, history, student: as `KeepEpochs`.
        names: whether the student is taught to name classes. Where it is not, its accuracy means
            nothing, and the epoch of the least loss is the best.
    """

    def __init__(self, run, history, student, names):
        super().__init__(run, history, student)
        self.names = names

    def on_epoch_end(self, epoch, logs=None):
        """Keeps the epoch, whole or not at all."""
        usual = {f"{SCORES}_accuracy": "accuracy", f"val_{SCORES}_accuracy": "val_accuracy"}
        # The teacher says nothing of the clips held out, of which Keras makes losses of 0.
        idle = {f"val_{name}_loss" for name in (LOGITS, VECTOR, RELATIONS, FEATURES_OF_FRAMES)}
        kept = {usual.get(k, k): v for k, v in (logs or {}).items() if k not in idle}
        if not self.names:
            kept = {name: kept[name] for name in kept if name not in ("accuracy", f"{SCORES}_loss")}
        super().on_epoch_end(epoch, kept)


def _clips(source, unlabelled, teacher, cache, seed):
    """The run's clips, each with label and split, and those that have neither."""
    more = [] if unlabelled is None else read_unlabelled(unlabelled)
    is_run = os.path.isdir(teacher)
    if source is None:
        if not is_run:
            raise ValueError(
                f"distill: without labelled clips the teacher must be a run with classes, got "
                f"{teacher}. Give labelled clips as well, or a run."
            )
        return _named_by(Run(teacher), more, cache, seed), []
    if not is_run:
        clips = split(read_index(source), seed=seed)
    elif Run(teacher).read_config().source == os.path.abspath(source):
        clips = read_index(Path(teacher) / "split.csv")
    else:
        clips = split(read_index(source), seed=seed)
        _warn_of_seen(Run(teacher), clips)
    return clips, apart_from(more, clips)


def _named_by(teacher, clips, cache, seed):
    """Clips that have the teacher's best class for a label, with a split."""
    labels = teacher.read_config().labels
    problems = Problems()
    with counting("asking the teacher") as update:
        answers = ask_run(teacher, clips, cache, problems, update)
    if answers.scores is None:
        raise RunError(
            f"the teacher in {teacher.path} has no classifier. Give labelled clips as well."
        )
    best = answers.scores.argmax(axis=1)
    named = [replace(clip, label=labels[best[i]]) for i, clip in enumerate(clips)]
    return split([c for c, known in zip(named, answers.known, strict=True) if known], PARTS, seed)


def _warn_of_seen(teacher, clips):
    trained = {real(c.path) for c in read_index(teacher.path / "split.csv") if c.split == "train"}
    seen = sum(clip.split in ("val", "test") and real(clip.path) in trained for clip in clips)
    if seen:
        LOG.warning(
            "the teacher was trained on %d of the clips that the student is judged on, which "
            "flatters the student; train the teacher on the same folder or table",
            seen,
        )


def _check_teacher(teacher, clips, lesson):
    """A teacher that does not fit the clips is found before anything is written."""
    if not os.path.isdir(teacher):
        if lesson.views:
            raise ValueError(
                f"distill: views must be 0 with a table as the teacher, got {lesson.views}. Give a "
                "run to ask about varied clips."
            )
        ask_table(teacher, clips)
        return
    known, wanted = Run(teacher).read_config().labels, set(labels_of(clips)) - {NO_LABEL}
    if lesson.scores and known and set(known) != wanted:
        raise ValueError(
            f"distill: the teacher must know the classes {', '.join(sorted(wanted))}, got one of "
            f"{', '.join(known)}. Give scores the weight 0 to learn from its vectors alone."
        )


def _ask(asked, clips, labels, cache, problems, views):
    """The teacher's answers on clips, a set for each view, its scores in the order of the labels.

    A clip that the teacher cannot read is skipped.
    """
    features = asked["features"] > 0
    if not os.path.isdir(asked["teacher"]):
        answers = ask_table(asked["teacher"], clips, features).standardised()
        return _shortened([answers])
    teacher = Run(asked["teacher"])
    known = teacher.read_config().labels
    order = [known.index(label) for label in labels] if set(known) == set(labels) else None
    found = []
    for number, view in enumerate(views, 1):
        with counting(f"asking the teacher, {number} of {len(views)}") as update:
            answers = ask_run(teacher, clips, cache, problems, update, view, features)
        for clip, read in zip(clips, answers.known, strict=True):
            if not read and clip.name not in problems.names():
                problems.skip(clip.name, "the teacher could not read it")
        scores = answers.scores
        if scores is not None:
            scores = None if order is None else scores[:, order]
        found.append(replace(answers, scores=scores).standardised())
    return _shortened(found)


def _shortened(views):
    """Views with frame vectors in the directions of the first one's."""
    if views[0].features is None:
        return views
    directions = Directions.of(views[0])
    return [directions.short(answers) for answers in views]


def _fit(run, config, clips, asked, lesson, cache, problems, callbacks, verbose):
    """Runs `model.fit` from the last checkpoint on; returns the history and what was taught."""
    settings = TrainConfig(**config.training)
    augment = Augment.from_dict(config.augment)
    more = read_unlabelled(run.path / MORE) if (run.path / MORE).is_file() else []
    taught, held = [*learnt_from(clips, config.source), *more], part_of(clips, "val")
    views = [View(augment, settings.seed_after(n)) for n in range(lesson.views)]
    answers = _ask(asked, taught, config.labels, cache, problems, views or [None])
    terms = possible(lesson, answers[0], augment)
    if not terms:
        raise RunError("the teacher can teach nothing of what is asked for; see the lines above.")
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
    apart, numbers = numbered(taught)

    def varied(seed, update=None):
        return clip_dataset(
            apart,
            numbers,
            training=True,
            augment=augment,
            seed=seed,
            progress=update,
            **shape,
        )

    with counting("decoding clips") as update:
        batches = varied(settings.seed_after(len(history)), update)
    validation = clip_dataset(held, config.labels, **shape) if held else None
    learnt = readable(taught, problems)
    weights = dict.fromkeys(range(len(config.labels)), 1.0)
    if settings.class_weights:
        weights = class_weights([c for c in learnt if c.label in config.labels], config.labels)
    keras.utils.set_random_seed(settings.seed)
    with strategy().scope(), precision(settings):
        student = first_model(config.model, len(config.labels), settings.weights)
        if checkpoint:
            model = load_model(checkpoint[0])
        else:
            model = learner(student, answers[0], terms)
            compile_model(model, settings, settings.steps(len(learnt)))  # for its optimizer
            compile_learner(
                model, model.optimizer, lesson, terms, settings.label_smoothing, settings.xla
            )
    labels = label_rows(taught, config.labels, weights if asked["labelled"] else {})
    names = "scores" in terms or bool(asked["labelled"] and lesson.labels)

    def lessons(view):
        clips = varied(views[view].seed) if views else batches
        return with_answers(clips, labels, answers[view], terms, config.model.frames)

    model.fit(
        in_turn(lessons, len(views), len(history)) if views else lessons(0),
        validation_data=validation.map(_as_scores) if validation and names else None,
        epochs=settings.epochs,
        initial_epoch=len(history),
        callbacks=[_Keep(run, history, student, names), *callbacks],
        verbose=verbose,
    )
    return history, terms


def _as_scores(clip, label):
    return clip, {SCORES: label}
