"""Tables of questions and answers about films."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sora_tf import _checks
from sora_tf.data import Clip, Problems, is_url, split
from sora_tf.data.index import READERS, _clip
from sora_tf.tasks.answer import checked
from sora_tf.train.run import write_csv

COLUMNS = ("path", "question", "answer")
ALL_COLUMNS = (*COLUMNS, "start", "end", "split", "group")
MOST_SIGNS = 200  # of an answer


@dataclass(frozen=True)
class Asked:
    """A question about a clip, whose label is the answer."""

    question: str
    clip: Clip


def read_questions(source: str | os.PathLike[str], problems: Problems) -> list[Asked]:
    """The rows of a table with the columns path, question and answer.

    `start` and `end` (s) say which stretch of the film is asked about, and `split` and `group` are
    as in `read_index`. A bad row is named, skipped and counted.

    Args:
        source: a CSV or Parquet table; a relative path in it starts at its folder.
        problems: collects the bad rows.
    Raises:
        FileNotFoundError: there is no such table.
        ValueError: a column is missing, or no row is good.
    """
    path = Path(source)
    if not path.is_file():
        raise FileNotFoundError(f"train-answers: there is no table {path}. Correct the name.")
    _checks.one_of("train-answers", "extension", path.suffix.lower(), READERS)
    columns, rows = READERS[path.suffix.lower()](path, ALL_COLUMNS)
    missing = [name for name in COLUMNS if name not in columns]
    if missing:
        raise ValueError(
            f"train-answers: {path} must have the column {missing[0]!r}, got "
            f"{', '.join(map(str, columns)) or 'none'}. Add it, or rename another."
        )
    found = []
    base = os.path.abspath(path.parent)
    for number, row in enumerate(rows, 1):
        try:
            found.append(_asked(row, base))
        except ValueError as error:
            problems.skip(f"{path}, row {number}", str(error))
    if not found:
        reason = f": {problems.lines()[0]}" if len(problems) else ". Add rows"
        raise ValueError(f"train-answers: {path} has no row to learn from{reason}.")
    return found


def divided(asked: Sequence[Asked], seed: int) -> list[Asked]:
    """Rows with their splits: those of one film on one side, as `split` deals them."""
    clips = split([one.clip for one in asked], seed=seed)
    return [replace(one, clip=clip) for one, clip in zip(asked, clips, strict=True)]


def write_questions(asked: Sequence[Asked], path: str | os.PathLike[str]) -> None:
    """Writes rows that `read_questions` reads back."""
    rows: list[dict[str, Any]] = [
        {
            "path": one.clip.path,
            "question": one.question,
            "answer": one.clip.label,
            "start": one.clip.start,
            "end": one.clip.end,
            "split": one.clip.split,
            "group": None if one.clip.group == one.clip.path else one.clip.group,
        }
        for one in asked
    ]
    write_csv(path, ALL_COLUMNS, rows)


def _asked(row: dict[str, Any], base: str) -> Asked:
    answer = str(row.get("answer") or "").strip()
    question = checked(str(row.get("question") or ""))
    if not answer or len(answer) > MOST_SIGNS:
        raise ValueError(
            f"the answer must have 1 to {MOST_SIGNS} signs, got {len(answer)}. Correct it."
        )
    clip = _clip({**row, "label": answer}, base)
    if not is_url(clip.path) and not os.path.exists(clip.path):
        raise ValueError(f"there is no film {clip.path}. Correct the path.")
    return Asked(question, clip)
