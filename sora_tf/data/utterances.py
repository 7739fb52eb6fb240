"""Tables of utterances: what is said, by whom, in which dialogue, and what is felt."""

import io
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sora_tf import _checks
from sora_tf.data.sentences import read_text

COLUMNS = ("text", "label", "dialogue", "order", "speaker", "split")
NEEDED = ("text", "label")
MOST_BYTES = 2**30  # of a CSV table
ENDINGS = (".csv", ".parquet")


@dataclass(frozen=True)
class Utterance:
    """What somebody said.

    Args:
        text: in any language.
        label: what is felt; empty where it is not known.
        dialogue: what it is part of; utterances of one follow on each other.
        speaker: who said it; empty where it is not known.
        split: "train", "val" or "test"; None when not decided.
    """

    text: str
    label: str = ""
    dialogue: str = ""
    speaker: str = ""
    split: str | None = None


def read_utterances(
    path: str | os.PathLike[str], columns: Mapping[str, str] | None = None
) -> list[Utterance]:
    """The utterances of a table, those of a dialogue together and in their order.

    Args:
        path: .csv in any common encoding (see `video.subtitles.decoded`) or .parquet, with the
            columns text and label and, where wanted, dialogue (without one a row stands alone),
            order (a number; without it rows are in order), speaker and split.
        columns: names that columns have in this table, such as {"text": "Utterance"}.
    Raises:
        FileNotFoundError: there is no such file.
        VideoError: it does not open.
        ValueError: it is no table, a column is missing, or it has no row with text and label.
    """
    place = Path(path)
    _checks.one_of("read_utterances", "the ending of the table", place.suffix.lower(), ENDINGS)
    if not place.is_file():
        raise FileNotFoundError(f"read_utterances: there is no table {place}. Check the path.")
    unknown = sorted(set(columns or {}) - set(COLUMNS))
    if unknown:
        _checks.one_of("read_utterances", "columns", unknown[0], COLUMNS)
    rows = _read(place)
    named = {}
    for column in COLUMNS:
        name = (columns or {}).get(column, column)
        if name in rows.columns:
            named[column] = rows[name]
        elif column in NEEDED or column in (columns or {}):
            raise ValueError(
                f"read_utterances: {place} must have the column {name!r}, got "
                f"{', '.join(map(str, rows.columns)) or 'none'}. Add it, or name another."
            )
    table = pd.DataFrame(named)
    if "order" in table:
        order = pd.to_numeric(table["order"], errors="coerce")
        if order.isna().any():
            row = int(order.isna().to_numpy().argmax()) + 1
            raise ValueError(
                f"read_utterances: {place}, row {row}: order must be a number, got "
                f"{table['order'].iloc[row - 1]!r}. Correct it, or leave the column out."
            )
        table = table.assign(order=order).sort_values("order", kind="stable")
    text = {name: _texts(table[name]) for name in table if name != "order"}
    alone = [f"row {number}" for number in range(1, len(table) + 1)]
    given = text.get("dialogue", alone)
    text["dialogue"] = [name or own for name, own in zip(given, alone, strict=True)]
    found = [
        Utterance(**dict(zip(text, row, strict=True))) for row in zip(*text.values(), strict=True)
    ]
    found = [replace(one, split=one.split or None) for one in found]
    kept = [one for one in found if one.text and one.label]
    if not kept:
        raise ValueError(
            f"read_utterances: {place} must have rows with text and label, got none. Fill it in."
        )
    first = {dialogue: n for n, dialogue in enumerate(dict.fromkeys(u.dialogue for u in kept))}
    return sorted(kept, key=lambda one: first[one.dialogue])


def dialogues(utterances: Sequence[Utterance]) -> list[np.ndarray]:
    """The numbers of the utterances of each dialogue, in the order of the first of each."""
    found: dict[str, list[int]] = {}
    for number, one in enumerate(utterances):
        found.setdefault(one.dialogue, []).append(number)
    return [np.array(numbers) for numbers in found.values()]


def _read(place: Path) -> pd.DataFrame:
    try:
        if place.suffix.lower() == ".parquet":
            return pd.read_parquet(place)
        content = io.StringIO(read_text(place, MOST_BYTES))
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            return pd.read_csv(content, dtype=str, keep_default_na=False, index_col=False)
    except (ValueError, OSError, pd.errors.ParserWarning) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"read_utterances: {place} must be a table, but: {reason}. Write it again."
        ) from None


def _texts(column: pd.Series) -> list[str]:
    return [str(value).strip() for value in column.astype(object).where(column.notna(), "")]
