"""KerasTuner's searches, made to survive a kill, and its chief and workers.

The environment says who a process is: without KERASTUNER_ORACLE_IP it searches alone; with it,
and KERASTUNER_ORACLE_PORT, a process whose KERASTUNER_TUNER_ID has "chief" in it hands out the
trials, and all others run them. They share the folder.
"""

import contextlib
import io
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sora_tf import _checks
from sora_tf._files import write_json
from sora_tf.train.run import RunError
from sora_tf.train.tune.space import Range, Space

# isort: split
# KerasTuner picks its Keras while it is imported, so ours, which the run needs, comes first.
import grpc
from sklearn.exceptions import ConvergenceWarning

with contextlib.redirect_stdout(io.StringIO()):  # it greets
    import keras_tuner
    from keras_tuner.engine.base_tuner import BaseTuner

ALONE, CHIEF, WORKER = "alone", "chief", "worker"
OBJECTIVE = "score"
FACTOR = 3  # Hyperband: of so many models one goes on, with so many times the epochs
RANDOM_SHARE = 1 / 3  # Bayesian search: of the trials, drawn before the first is reasoned

# A trial's name, the values of the space and its epochs (None: as many as usual) to its score.
Attempt = Callable[[str, dict[str, Any], int | None], float]


def role() -> str:
    """What this process is: ALONE, CHIEF or WORKER."""
    if "KERASTUNER_ORACLE_IP" not in os.environ:
        return ALONE
    return CHIEF if "chief" in os.environ.get("KERASTUNER_TUNER_ID", "") else WORKER


def search(
    folder: Path,
    space: Space,
    attempt: Attempt,
    *,
    method: str = "bayesian",
    trials: int = 30,
    epochs: int = 30,
    seed: int = 0,
    first: dict[str, Any] | None = None,
) -> None:
    """Searches for the values with the highest score, from where it stopped.

    Args:
        folder: what is known so far; the same for all processes of a search.
        space: what to choose from.
        attempt: scores a choice. What it raises ends the search, which goes on when it is begun
            again.
        method: a key of `METHODS`.
        trials: how many, at most.
        epochs: most epochs of a trial.
        seed: decides what is drawn.
        first: the values of the first trial; None draws them too.

    Raises:
        RunError: this process is a worker and its chief has gone.
        ValueError: there is no such method.
    """
    _checks.one_of("tune", "the search", method, METHODS)
    oracle = METHODS[method](_hyperparameters(space), trials, epochs, seed + 1)  # 0 is "any"
    oracle.first = first and {name: _place(space[name], value) for name, value in first.items()}
    oracle.verbose = 0
    with contextlib.redirect_stdout(io.StringIO()):  # it tells where it goes on from
        tuner = _Tuner(oracle, space, attempt, folder)
    try:
        with warnings.catch_warnings():
            # Said of a trial whose score was kept before a kill, and its end was not.
            warnings.filterwarnings("ignore", "The use case of calling")
            tuner.search()
    except keras_tuner.errors.FatalError as error:
        raise (error.__cause__ or error) from None
    except grpc.RpcError as error:
        raise RunError(
            "the chief of the search must answer at "
            f"{os.environ['KERASTUNER_ORACLE_IP']}:{os.environ['KERASTUNER_ORACLE_PORT']}, "
            f"got {error.code().name}. Start it again, and this worker."
        ) from None


class _Tuner(BaseTuner):
    """Runs trials by a function."""

    def __init__(self, oracle, space, attempt, folder):
        self._space = space
        self._attempt = attempt
        super().__init__(oracle, directory=str(folder.parent), project_name=folder.name)

    def run_trial(self, trial):
        found = trial.hyperparameters.values
        values = {name: _decoded(kind, found[name]) for name, kind in self._space.items()}
        try:
            return {OBJECTIVE: self._attempt(trial.trial_id, values, found.get("tuner/epochs"))}
        except Exception as error:  # KerasTuner would go on with the next trial
            raise keras_tuner.errors.FatalError(str(error)) from error

    def _get_tuner_fname(self):
        # A tuner's own file says nothing, comes late, and from a chief never; yet without it
        # KerasTuner begins anew. What there is to go on from is the oracle's.
        return self.oracle._get_oracle_fname()

    def save(self):
        if not self._is_worker():
            self.oracle.save()


class _Durable(keras_tuner.Oracle):
    """An oracle whose files are whole at any time, and fit each other after a kill."""

    trials: dict[str, Any]
    first: dict[str, Any] | None = None

    def _random_values(self):
        drawn = super()._random_values()
        return drawn if self.trials or self.first is None else {**drawn, **self.first}

    def save(self):
        write_json(self._get_oracle_fname(), self.get_state())

    def _save_trial(self, trial):
        write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())

    def reload(self):
        super().reload()
        # A kill may have come between a trial's file and the oracle's: what the oracle does not
        # know was never begun, and what has ended is not run again.
        self.trials = {name: self.trials[name] for name in self.start_order if name in self.trials}
        ended = {name for name, trial in self.trials.items() if trial.status == "COMPLETED"}
        self._retry_queue = [name for name in self.trials if name not in ended]
        self.end_order = [name for name in self.trials if name in ended]


class _Bayesian(_Durable, keras_tuner.oracles.BayesianOptimizationOracle):
    def populate_space(self, trial_id):
        with warnings.catch_warnings():
            # Among few trials a length of the kernel may not settle; a guess is good enough.
            warnings.simplefilter("ignore", ConvergenceWarning)
            found = super().populate_space(trial_id)
        if found["values"] and self._duplicate(found["values"]):
            return self._random_populate_space()
        return found


class _Hyperband(_Durable, keras_tuner.oracles.HyperbandOracle):
    pass


def _bayesian(hyperparameters, trials, epochs, seed):
    return _Bayesian(
        hyperparameters=hyperparameters,
        max_trials=trials,
        num_initial_points=max(2, round(trials * RANDOM_SHARE)),
        **_common(seed),
    )


def _hyperband(hyperparameters, trials, epochs, seed):
    oracle = _Hyperband(
        hyperparameters=hyperparameters,
        max_epochs=epochs,
        factor=FACTOR,
        hyperband_iterations=trials,  # so many are never needed
        **_common(seed),
    )
    oracle.max_trials = trials
    return oracle


def _common(seed):
    return {"objective": keras_tuner.Objective(OBJECTIVE, "max"), "seed": seed}


# A Gaussian process tells where to look next. Many models are trained for few epochs, the best
# of them for more; each time from the start, along a cosine of its own.
# Reference: Li, Jamieson, DeSalvo, Rostamizadeh and Talwalkar, "Hyperband", JMLR 18, 2018.
METHODS: dict[str, Callable[..., Any]] = {"bayesian": _bayesian, "hyperband": _hyperband}


def _hyperparameters(space: Space) -> Any:
    found = keras_tuner.HyperParameters()
    for name, kind in space.items():
        if not isinstance(kind, Range):
            found.Choice(name, _encoded(kind))
        elif kind.whole:
            found.Int(name, kind.low, kind.high, kind.step, _scale(kind))
        else:
            found.Float(name, float(kind.low), float(kind.high), kind.step, _scale(kind))
    return found


def _scale(kind):
    return "log" if kind.log else "linear"


def _encoded(choice):
    """Choices as KerasTuner takes them: text, or, where there is an order, their numbers in it.

    Not the values: between chief and workers they would be rounded to float32.
    """
    if choice.ordered:
        return list(range(len(choice.values)))
    return [json.dumps(value) for value in choice.values]


def _place(kind, value):
    return value if isinstance(kind, Range) else _encoded(kind)[kind.values.index(value)]


def _decoded(kind, value):
    return value if isinstance(kind, Range) else kind.values[_encoded(kind).index(value)]
