"""From a folder of clips to the run folder of the best settings a search has found."""

import json
import logging
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from sora_tf import _checks
from sora_tf import config as configs
from sora_tf._files import write_json
from sora_tf.config import SoraConfig
from sora_tf.data import Augment, folds, labels_of, read_index, split, write_index
from sora_tf.models.sora import build_sora
from sora_tf.train.fit import train_classifier
from sora_tf.train.run import Run, RunError
from sora_tf.train.settings import TrainConfig, usual_training
from sora_tf.train.tune.budget import Budget, Cost, Costs, Measure
from sora_tf.train.tune.outcome import (
    Outcome,
    outside,
    ranked,
    read_outcome,
    read_outcomes,
    score_of,
    score_outside,
    write_outcome,
    write_table,
)
from sora_tf.train.tune.report import write_report
from sora_tf.train.tune.search import METHODS, WORKER, role, search
from sora_tf.train.tune.space import applied, check_space, default_space, read_space, usual_values
from sora_tf.train.tune.trial import Trainer

LOG = logging.getLogger(__name__)
FOLDS = 3
TUNER, TRIALS, REPORT, CLIPS = "tuner.json", "trials.csv", "report.html", "clips.csv"


def tune(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: SoraConfig | str = "small",
    training: TrainConfig | None = None,
    space: Mapping[str, Any] | None = None,
    method: str = "bayesian",
    trials: int = 30,
    budget: Budget | None = None,
    measure: Measure | None = None,
    augment: Augment | None = None,
    fit: str = "stretch",
    cache: str | os.PathLike[str] | None = None,
    verbose: int | str = "auto",
) -> Run | None:
    """Searches for settings, trains the best and writes a run folder, with tuner.json (what was
    asked and found), trials.csv and report.html beside.

    The first trial is what `model` and `training` say, as far as the space has it.

    The score is the accuracy on clips held out, among equals the loss; "test" is looked at once,
    by the run at the end. Held out are those of the split "val"; where a trial takes seconds, on
    a frozen CNN, a third of "train" and "val" at a time, so that all of them judge: a few dozen
    clips cannot tell good settings from lucky ones. A table's own splits stay as they are.

    With a budget, a model that is outside it scores below all that are inside. What a model takes
    does not depend on what it has learned: models trained whole are measured before, and only
    those inside are trained; on a frozen CNN, where training takes seconds, only those are
    measured that score better than any inside so far.

    Started again, with the same arguments, it goes on after the last trial that ended. Several
    processes with the same arguments search together as KerasTuner's chief and workers (see
    `sora_tf.train.tune.search`); where they share a machine, what they measure is slower.

    Args:
        source, augment, fit, cache, verbose: as in `train_classifier`.
        out: the run folder.
        model: what the space does not name: a config, or the name of a preset.
        training: the same of the training; its epochs are those of a trial ("hyperband": at
            most). None is what `usual_training` says.
        space: what to choose from, as data (see `read_space`); None is `default_space`.
        method: "bayesian" or "hyperband".
        trials: how many, at most.
        budget: what the model may take; None is any.
        measure: tells what a model takes, as `sora_tf.export.budget.TFLiteCost` does.

    Returns:
        The run; None in a worker, whose chief trains it.

    Raises:
        ValueError: a name or value of the space, a number, or clips that cannot be listed.
        RunError: `out` holds something else, no clip can be read, or no trial is good for a model.
    """
    chosen = training or usual_training(model)
    config = configs.resolve(model)
    data = default_space(config, chosen) if space is None else dict(space)
    limits = budget or Budget()
    known = read_space(data)
    check_space(known, config, chosen)
    _checks.one_of("tune", "the search", method, METHODS)
    _checks.at_least("tune", "trials", trials, 1, "trial", "30 is a good start.")
    if method == "hyperband" and "training.epochs" in data:
        raise ValueError(
            "tune: hyperband must choose the epochs itself, got training.epochs in the space. "
            "Leave it out, or search with bayesian."
        )
    if limits and measure is None:
        raise ValueError(
            "tune: measure must be given with a budget, got None. Use "
            "sora_tf.export.budget.TFLiteCost()."
        )
    asked = {
        "source": os.path.abspath(source),
        "model": asdict(config),
        "training": asdict(chosen),
        "space": data,
        "method": method,
        "trials": trials,
        "budget": asdict(limits),
        "measure": measure.name if measure else None,
        "augment": (augment or Augment()).to_dict(),
        "fit": fit,
    }
    folder = Path(out)
    state = _begin(folder, source, asked)
    decoded = Path(cache) if cache else folder / "cache"
    clips = [clip for clip in read_index(folder / CLIPS) if clip.split in ("train", "val")]
    parts = state.get("folds", 1)
    found = Trainer(clips, labels_of(clips), augment or Augment(), fit, decoded, parts)
    if not found.part("val"):
        raise RunError(f"no clip of {source} is in the split 'val', which scores. Add some.")
    trying = _Trying(folder, config, chosen, found, limits, measure)
    try:
        if "best" not in state:
            search(
                folder / "search", known, trying, method=method, trials=trials,
                epochs=chosen.epochs, seed=chosen.seed, first=usual_values(known, config, chosen),
            )  # fmt: skip
    finally:
        if role() != WORKER:
            trying.report(asked)
    if role() == WORKER:
        return None
    if "best" not in state:
        state = {**state, "best": asdict(trying.best())}
        write_json(folder / TUNER, state)
    return _finish(folder, state, trying, decoded, cache is None, verbose)


def _begin(folder, source, asked):
    """The state of the search in a folder: a new one, or the same as before."""
    asked = json.loads(json.dumps(asked))
    path = folder / TUNER
    if path.is_file():
        state = json.loads(path.read_text(encoding="utf-8"))
        before = _plain(state["asked"])
        other = [name for name, value in _plain(asked).items() if before.get(name) != value]
        if other:
            raise RunError(
                f"{folder} must hold the same search, got another {', '.join(other)}. Give "
                "another --out, or the same arguments to go on with it."
            )
        return state
    if Run(folder).exists:
        raise RunError(f"{folder} holds a run that was not tuned. Give another --out.")
    found = read_index(source)
    clips = split(found, seed=asked["training"]["seed"])
    free = not any(clip.split for clip in found)
    state = {"asked": asked, "folds": _folds_of(clips, asked) if free else 1}
    folder.mkdir(parents=True, exist_ok=True)
    write_index(clips, folder / CLIPS)
    write_json(path, state)
    return state


def _folds_of(clips, asked):
    """Into how many parts the clips are dealt that take turns as those held out; 1 is not at all.

    They are where every trial is trained on the same features of the clips as they are.
    """
    training = asked["training"]
    searched = {"training.frozen", "training.views"} & set(asked["space"])
    if searched or training["views"] or not training["frozen"]:
        return 1
    known = [clip for clip in clips if clip.split in ("train", "val")]
    try:
        folds(known, FOLDS, training["seed"])
    except ValueError:
        return 1  # too few
    return FOLDS


def _plain(asked):
    """What was asked, settings of which an older version knew nothing being the usual ones."""
    model, training = SoraConfig.from_dict(asked["model"]), TrainConfig(**asked["training"])
    return {**asked, "model": model, "training": training}


@dataclass
class _Trying:
    """Tries values, as `search` wants it."""

    folder: Path
    model: SoraConfig
    training: TrainConfig
    trainer: Trainer
    budget: Budget
    measure: Measure | None

    def __post_init__(self):
        self.kept = self.folder / "search"

    def __call__(self, name: str, values: dict[str, Any], epochs: int | None) -> float:
        """The score of some values; what has been tried is not tried again."""
        before = read_outcome(self.kept, name, values)
        if before:
            return before.score
        begin = time.perf_counter()
        try:
            outcome = self._try(name, values, epochs)
        except (ValueError, TypeError) as error:
            outcome = Outcome(name, values, reason=str(error))
        except tf.errors.ResourceExhaustedError:
            outcome = Outcome(name, values, reason="more memory needed than there is")
        outcome = replace(outcome, seconds=round(time.perf_counter() - begin, 1))
        write_outcome(self.kept, outcome)
        outcomes = read_outcomes(self.kept)
        write_table(self.folder / TRIALS, outcomes)
        best = ranked(outcomes)[:1]
        LOG.info("trial %s: %s; best so far %s", name, _words(outcome), _words(*best))
        return outcome.score

    def _try(self, name, values, epochs):
        model, training = applied(values, self.model, self.training)
        if epochs is not None:
            training = replace(training, epochs=epochs)
        cost = None
        if self.budget and not training.frozen:
            cost = self._cost(model)
            if outside(cost, self.budget):
                return self._outside(Outcome(name, values), cost)
        row = self.trainer.train(model, training)
        accuracy, loss = row["val_accuracy"], row["val_loss"]
        score = score_of(accuracy, loss, self.trainer.judged)
        outcome = Outcome(name, values, training.epochs, accuracy, loss, cost, score=score)
        if self.budget and training.frozen and self._leads(score):
            cost = self._cost(model)
            if outside(cost, self.budget):
                return self._outside(outcome, cost)
            return replace(outcome, cost=cost)
        return outcome

    def _outside(self, outcome, cost):
        reason, score = outside(cost, self.budget), score_outside(cost, self.budget)
        return replace(outcome, cost=cost, reason=reason, score=score)

    def _leads(self, score):
        """Whether no trial that is known to be inside the budget scores as much."""
        return all(o.score < score for o in ranked(read_outcomes(self.kept)) if o.cost)

    def _cost(self, config):
        """What a model takes, measured unless one like it was."""
        return Costs(self.folder / "costs", self.measured).of(config)

    def measured(self, config: SoraConfig) -> Cost:
        """What a model takes, measured now."""
        assert self.measure is not None, "a budget comes with a measure"
        return self.measure(build_sora(config, len(self.trainer.labels)), config)

    def best(self) -> Outcome:
        """The best trial; with a budget, the best that is inside when it is measured once more.

        Raises:
            RunError: there is none.
        """
        outcomes = read_outcomes(self.kept)
        for outcome in ranked(outcomes):
            if not self.budget:
                return outcome
            config, _ = applied(outcome.values, self.model, self.training)
            cost = self.measured(config)
            if not outside(cost, self.budget):
                return replace(outcome, cost=cost)
            LOG.info(
                "trial %s is %s, when measured again", outcome.name, outside(cost, self.budget)
            )
        near = max(outcomes, key=lambda outcome: outcome.score)
        raise RunError(
            f"not one of {len(outcomes)} trials is good for a model; the nearest: "
            f"{near.reason or _words(near)}. Widen the space or the budget, with another --out."
        )

    def report(self, asked):
        """Writes the report, as far as there is something to report."""
        outcomes = read_outcomes(self.kept)
        if outcomes:
            write_report(self.folder / REPORT, outcomes, read_space(asked["space"]), asked)


def _finish(folder, state, trying, decoded, own_cache, verbose):
    """Trains the best, measures it, and says so."""
    best = state["best"]
    model, training = applied(best["values"], trying.model, trying.training)
    run = train_classifier(
        folder / CLIPS,
        folder,
        model=model,
        training=training,
        augment=trying.trainer.augment,
        fit=trying.trainer.fit,
        cache=decoded,
        verbose=verbose,
    )
    if trying.measure and "measured" not in state:
        cost = trying.measure(run.load_model(), model)
        why = outside(cost, trying.budget)
        write_json(folder / TUNER, {**state, "measured": {**asdict(cost), "inside": not why}})
        if why:
            LOG.warning("the trained model is %s", why)
    if own_cache:
        shutil.rmtree(decoded, ignore_errors=True)
    return run


def _words(outcome: Outcome | None = None) -> str:
    if outcome is None:
        return "none"
    if outcome.reason or outcome.accuracy is None:
        return outcome.reason
    taken = f", {outcome.cost.ms:.2f} ms, {outcome.cost.mb:.2f} MB" if outcome.cost else ""
    return f"{outcome.accuracy:.1%} (loss {outcome.loss:.3f}{taken})"
