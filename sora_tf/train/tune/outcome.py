"""What came of a trial, kept in a file of its own."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sora_tf._files import write_json
from sora_tf.train.run import write_csv
from sora_tf.train.tune.budget import Budget, Cost

IMPOSSIBLE = -2.0


@dataclass(frozen=True)
class Outcome:
    """A trial that has ended.

    Args:
        name: its number in the search.
        values: what was chosen from the space.
        epochs: how many it was trained for; 0 where it was not.
        accuracy, loss: on clips held out, of its best epoch; None where it was not trained.
        cost: what it takes; None where that was not measured.
        reason: why it does not count; "" where it does.
        score: what the search goes by; see `score_of`.
        seconds: time it took, s.
    """

    name: str
    values: dict[str, Any]
    epochs: int = 0
    accuracy: float | None = None
    loss: float | None = None
    cost: Cost | None = None
    reason: str = ""
    score: float = IMPOSSIBLE
    seconds: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it may be chosen."""
        return not self.reason


def score_of(accuracy: float, loss: float, clips: int) -> float:
    """Accuracy, and among equals the lower loss: a - (l / (1 + l)) / N, above -1.

    Args:
        accuracy: share of the N clips held out that is right.
        loss: mean loss, 0 or more; its term is below the share of one clip.
        clips: N.
    """
    return accuracy - loss / (1 + loss) / clips


def score_outside(cost: Cost, budget: Budget) -> float:
    """Below every score of `score_of`, the lower the further outside: -1 - x / (1 + x)."""
    excess = budget.excess(cost)
    return -1 - excess / (1 + excess)


def outside(cost: Cost, budget: Budget) -> str:
    """Says what is above the budget; "" where nothing is."""
    found = []
    if budget.ms is not None and cost.ms > budget.ms:
        found.append(f"{cost.ms:.2f} ms a frame, more than {budget.ms:g}")
    if budget.mb is not None and cost.mb > budget.mb:
        found.append(f"{cost.mb:.2f} MB, more than {budget.mb:g}")
    return "outside the budget: " + ", ".join(found) if found else ""


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Keeps an outcome in the folder of its trial."""
    write_json(_path(folder, outcome.name), asdict(outcome))


def read_outcome(folder: Path, name: str, values: dict[str, Any]) -> Outcome | None:
    """The outcome of a trial with these values; None where there is none."""
    path = _path(folder, name)
    if not path.is_file():
        return None
    found = _read(path)
    return found if found.values == json.loads(json.dumps(values)) else None


def read_outcomes(folder: Path) -> list[Outcome]:
    """All outcomes of a search, in the order of their numbers."""
    return [_read(path) for path in sorted(folder.glob("trial_*/outcome.json"))]


def ranked(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Those that count, the best first; among equals those that were measured, then the first."""
    counting = [outcome for outcome in outcomes if outcome.counts]
    return sorted(counting, key=lambda o: (-o.score, o.cost is None))


def write_table(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes outcomes as a CSV table, a row a trial."""
    names = list(dict.fromkeys(name for outcome in outcomes for name in outcome.values))
    rows = [
        {
            "trial": outcome.name,
            "val_accuracy": outcome.accuracy,
            "val_loss": outcome.loss,
            "epochs": outcome.epochs,
            "ms_a_frame": outcome.cost and outcome.cost.ms,
            "megabytes": outcome.cost and outcome.cost.mb,
            "reason": outcome.reason,
            "seconds": outcome.seconds,
            **outcome.values,
        }
        for outcome in outcomes
    ]
    columns = ["trial", "val_accuracy", "val_loss", "epochs", "ms_a_frame", "megabytes", "reason"]
    write_csv(path, [*columns, "seconds", *names], rows)


def _path(folder, name):
    return folder / f"trial_{name}" / "outcome.json"


def _read(path: Path) -> Outcome:
    found = json.loads(path.read_text(encoding="utf-8"))
    cost = found.pop("cost")
    return Outcome(cost=cost and Cost(**cost), **found)
