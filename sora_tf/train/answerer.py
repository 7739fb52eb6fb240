"""From a table of questions and answers about films to a finished run of a head."""

import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.data import Problems, labels_of
from sora_tf.models.answerer import (
    ATTENTION,
    PLACES,
    SCORES,
    WHOLE,
    AnswererConfig,
    acquaint_answerer,
    build_answerer,
)
from sora_tf.models.video_model import MASK
from sora_tf.tasks.answer import moments_of
from sora_tf.tasks.quote import Encode
from sora_tf.train.answer_rows import Batches, Rows, look_at, place_of
from sora_tf.train.answer_run import AnswerRun, AnswerRunConfig
from sora_tf.train.answer_table import Asked, divided, read_questions, write_questions
from sora_tf.train.evaluate import write_report
from sora_tf.train.fit import compile_model, usual_length, write_learnt
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.metrics import classification_metrics
from sora_tf.train.run import RunError, load_model, versions
from sora_tf.train.settings import TrainConfig

LOG = logging.getLogger(__name__)
USUAL = TrainConfig(epochs=20, batch_size=32, learning_rate=3e-3, weights="imagenet", frozen=True)


def train_answers(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    encode: Encode,
    *,
    model: AnswererConfig | None = None,
    training: TrainConfig | None = None,
    cache: str | os.PathLike[str] | None = None,
    blind: bool = False,
    verbose: int | str = "auto",
) -> AnswerRun:
    """Trains a head on a table of questions and answers, and writes a run folder.

    Every answer to a question counts as much as its others, however often it is right, so that the
    question alone says little. Started again on a folder whose run was interrupted, it goes on
    after the last whole epoch.

    Args:
        source: see `read_questions`. Subtitles beside or inside the films are what is said.
        out: the run folder.
        encode: N texts to their vectors (N, 384), of length 1, as `SentenceEncoder.encode`.
        model: the head; None is the usual.
        training: how to train; None is what suits a head.
        cache: folder for what is seen in clips, to share between runs; None keeps it in the run
            until it is finished.
        blind: show the head nothing but the question, to know what the question alone says.
        verbose: as in `model.fit`.

    Returns:
        The run, evaluated on its test split (on "val" where there is no "test").

    Raises:
        RunError: the folder holds a run of something else, or no film can be read.
        ValueError: the table does not read, or there are fewer than 2 answers.
        FileNotFoundError: there is no such table.
    """
    run = AnswerRun(out)
    problems = Problems()
    if run.finished or run.checkpoint():
        config = run.read_config()
        if config.source != os.path.abspath(source):
            raise RunError(
                f"{run.path} holds a run of {config.source}. Give another --out, or the same table "
                "to go on with it."
            )
        asked = read_questions(run.path / "split.csv", problems)
    else:
        asked = divided(read_questions(source, problems), (training or USUAL).seed)
        asked = _known(asked, problems)
        config = _begin(run, source, asked, model or AnswererConfig(), training or USUAL)
    if run.finished:
        LOG.info("the run in %s is finished; give another --out to train again", run.path)
        return run
    clips = look_at(
        [one.clip for one in asked], config.model, encode, cache or run.path / "cache", problems
    )
    asked = [one for one in asked if place_of(one.clip) in clips]
    if not _part(asked, "train"):
        raise RunError(f"not one training clip could be read; the first: {problems.lines()[0]}")
    table = Rows(asked, clips, encode, config.labels, blind)
    history = _fit(run, config, table, verbose)
    write_learnt(run, history)
    evaluate_answers(run, table, problems)
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)
    return run


def _known(asked: list[Asked], problems: Problems) -> list[Asked]:
    """Rows without those whose answer no training row has."""
    answers = {one.clip.label for one in _part(asked, "train")}
    for one in asked:
        if one.clip.label not in answers:
            problems.skip(
                f"{one.clip.name}, {one.question!r}",
                f"no training row has the answer {one.clip.label!r}",
            )
    return [one for one in asked if one.clip.label in answers]


def _begin(run, source, asked, model, training):
    learnt = _part(asked, "train")
    answers = labels_of(one.clip for one in learnt)
    if len(answers) < 2:
        raise ValueError(
            f"train-answers: there must be at least 2 answers to choose from, got "
            f"{', '.join(answers) or 'none'} in {source}. Add rows of the split 'train'."
        )
    config = AnswerRunConfig(
        model=model,
        labels=answers,
        clip_seconds=usual_length([one.clip for one in learnt]),
        training=asdict(training),
        source=os.path.abspath(source),
        versions=versions(),
    )
    run.path.mkdir(parents=True, exist_ok=True)
    write_questions(asked, run.path / "split.csv")
    run.write_questions(sorted({one.question for one in learnt}))
    run.write_config(config)
    return config


def _fit(run, config, table, verbose):
    """Runs `model.fit` from the last checkpoint to the last epoch; returns the history."""
    settings = TrainConfig(**config.training)
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    keras.utils.set_random_seed(settings.seed_after(len(history)))
    whole = build_answerer(config.model, len(config.labels))
    batches = Batches(table, settings.batch_size, settings.seed_after(len(history)), training=True)
    if checkpoint:
        scores = load_model(checkpoint[0])
    else:
        shown = {id(one): one for one in map(table.shown, batches.order)}.values()
        real = [(one.inputs, one.inputs[MASK]) for one in shown]
        acquaint_answerer(
            whole,
            np.concatenate([x[PLACES][m].reshape(-1, x[PLACES].shape[-1]) for x, m in real]),
            np.concatenate([x[WHOLE][m] for x, m in real]),
        )
        scores = keras.Model(whole.inputs, whole.output[SCORES])
        compile_model(scores, settings, settings.steps(len(batches.order)))
    validation = Batches(table, settings.batch_size, 0, training=False)
    scores.fit(
        batches,
        validation_data=validation if len(validation) else None,
        epochs=settings.epochs,
        initial_epoch=len(history),
        callbacks=[KeepEpochs(run, history, whole)],
        verbose=verbose,
    )
    return history


def evaluate_answers(run: AnswerRun, table: Rows, problems: Problems) -> dict[str, Any]:
    """Scores a run on its test rows ("val" where there are none) and writes what it found.

    Returns:
        What `classification_metrics` gives, with "per_question", "part" and "skipped".
    """
    part = next((name for name in ("test", "val", "train") if len(table.rows(name))), "train")
    rows = table.rows(part)
    config = run.read_config()
    model = run.load_model()
    found = model.predict(table.inputs(rows), batch_size=64, verbose=0)
    truth = table.truth(rows).argmax(axis=1)
    predicted = found[SCORES].argmax(axis=1)
    lines: list[dict[str, Any]] = []
    hits: dict[str, list[bool]] = {}
    for row, own, best, scores, attention in zip(
        rows, truth, predicted, found[SCORES], found[ATTENTION], strict=True
    ):
        one, shown = table.asked[row], table.shown(row)
        hits.setdefault(one.question, []).append(bool(own == best))
        moment = moments_of(attention, shown.seen, shown.said)[0]
        lines.append(
            {
                "path": one.clip.name,
                "question": one.question,
                "answer": one.clip.label,
                "predicted": config.labels[best],
                "score": f"{scores[best]:.6f}",
                "moment_start": f"{moment.start:.3f}",
                "moment_end": f"{moment.end:.3f}",
            }
        )
    metrics = {
        "part": part,
        **classification_metrics(truth, found[SCORES], config.labels),
        "per_question": {
            question: {"accuracy": float(np.mean(own)), "rows": len(own)}
            for question, own in sorted(hits.items())
        },
        "skipped": problems.lines(),
    }
    write_report(run, metrics, lines, config.labels, "answers")
    return metrics


def _part(asked: Sequence[Asked], name: str) -> list[Asked]:
    return [one for one in asked if one.clip.split == name]
