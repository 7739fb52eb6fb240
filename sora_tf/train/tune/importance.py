"""How much each setting of a search decides the score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sora_tf.train.tune.outcome import Outcome
from sora_tf.train.tune.space import Space

METHOD = (
    "A random forest of 300 trees learns the score of the trials that were trained from their "
    "settings; a setting's importance is how much of the forest's R² is lost when its column is "
    "shuffled (permutation importance, Breiman 2001; mean of 20 shuffles), as a share of all. "
    "R² out of bag, on trials a tree has not seen, says how far to trust it."
)
LEAST = 5  # trials
EPOCHS = "epochs"


@dataclass(frozen=True)
class Importance:
    """What decides the score.

    Args:
        shares: setting → its share, the largest first; they add up to 1.
        r2: out of bag: 1 explains all, 0 nothing, below 0 is worse than the mean.
    """

    shares: dict[str, float]
    r2: float


def importance(outcomes: Sequence[Outcome], space: Space) -> Importance | None:
    """The importance of the settings; see METHOD.

    Args:
        outcomes: those of a search.
        space: what it chose from.

    Returns:
        None for fewer than 5 trained trials, or where all score the same.
    """
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    trained = [outcome for outcome in outcomes if outcome.accuracy is not None and outcome.counts]
    if len(trained) < LEAST or len({outcome.score for outcome in trained}) == 1:
        return None
    columns = {
        name: [kind.place(outcome.values[name]) for outcome in trained]
        for name, kind in space.items()
    }
    columns[EPOCHS] = [outcome.epochs for outcome in trained]
    columns = {name: column for name, column in columns.items() if len(set(column)) > 1}
    x, y = np.array(list(columns.values())).T, np.array([outcome.score for outcome in trained])
    forest = RandomForestRegressor(300, oob_score=True, random_state=0).fit(x, y)
    lost = permutation_importance(forest, x, y, n_repeats=20, random_state=0).importances_mean
    lost = np.maximum(lost, 0)
    shares = dict(zip(columns, (lost / (lost.sum() or 1)).tolist(), strict=True))
    ordered = dict(sorted(shares.items(), key=lambda item: -item[1]))
    return Importance(ordered, float(forest.oob_score_))
