"""Learns what users think important from the scores they gave to films."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import RidgeCV

from sora_tf.data.index import is_url
from sora_tf.tasks.parts import Pace, film_folder, film_parts, work_folder
from sora_tf.tasks.running import FEATURES, Running
from sora_tf.tasks.scorer import Scorer
from sora_tf.video import VideoError

COLUMNS = ("path", "time", "score")
RIDGES = np.logspace(-2, 4, 13)  # tried; the one that leaves least error on frames left out counts
EACH_S = 1.0  # a frame a second is learnt from


def train_importance(
    model: Running, table: str | os.PathLike[str], pace: Pace, out: str | os.PathLike[str], key: str
) -> tuple[Scorer, list[str]]:
    """A scorer that gives frames the mean of users' scores, by ridge regression on features.

    Args:
        model: from `running`.
        table: .csv with the columns path (from the table's folder), time (s) and score, a row a
            user and time; between times, scores are interpolated.
        pace: how to read the films.
        out: what will be made; films that are done are kept beside it until all are.
        key: what the features depend on.
    Returns:
        The scorer, and what was wrong with the films that were left out.
    Raises:
        ValueError: the table is none, or no film in it could be read.
    Reference: Hoerl and Kennard, "Ridge regression", Technometrics 1970.
    """
    rows = _read(table)
    work = work_folder(Path(out), f"{key} {pace}")
    features, targets, skipped = [], [], []
    for name, film in rows.groupby("path", sort=True):
        path = str(name)
        if not is_url(path):
            path = os.path.join(os.path.dirname(os.path.abspath(table)), path)
        means = film.groupby("time")["score"].mean()
        try:
            times, vectors = _sparse(model, path, pace, work)
        except VideoError as error:
            skipped.append(str(error))
            continue
        features.append(vectors)
        targets.append(np.interp(times, means.index.to_numpy(), means.to_numpy()))
    if not features:
        raise ValueError(f"{os.fspath(table)}: no film in it could be read. {skipped[0]}")
    found = RidgeCV(RIDGES).fit(np.concatenate(features), np.concatenate(targets))
    shutil.rmtree(work, ignore_errors=True)
    return Scorer(found.coef_, float(found.intercept_), key), skipped


def _read(table: str | os.PathLike[str]) -> pd.DataFrame:
    name = os.fspath(table)
    remedy = f"Give a .csv with the columns {', '.join(COLUMNS)}."
    try:
        rows = pd.read_csv(table)
    except ValueError as error:
        raise ValueError(f"{name}: users' scores do not read: {error}. {remedy}") from None
    missing = [column for column in COLUMNS if column not in rows]
    if missing or rows.empty:
        what = f"the column {missing[0]} is missing" if missing else "it has no rows"
        raise ValueError(f"{name}: users' scores do not read: {what}. {remedy}")
    numbers = rows[["time", "score"]].apply(pd.to_numeric, errors="coerce")
    bad = numbers.isna().any(axis=1)
    if bad.any():
        line = int(bad.to_numpy().argmax()) + 2
        raise ValueError(f"{name}: line {line} must have a time and a score, as numbers. {remedy}")
    return rows.assign(time=numbers["time"], score=numbers["score"])


def _sparse(model: Running, path: str, pace: Pace, work: Path) -> tuple[np.ndarray, np.ndarray]:
    """A frame a second of a film: times (n,) s and features (n, F)."""
    times, vectors, last = [], [], -np.inf
    for part in film_parts(model, path, pace, film_folder(work, path), [FEATURES]):
        for time, row in zip(part.times, part.vectors.get(FEATURES, []), strict=False):
            if time >= last + EACH_S - 1e-6:
                times.append(float(time))
                vectors.append(row.astype(np.float32))
                last = time
    return np.asarray(times), np.stack(vectors)
