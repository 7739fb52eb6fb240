"""The text of the MOT challenge, a line a box: what trackers write and people annotate.

Reference: Leal-Taixé et al., "MOTChallenge 2015: towards a benchmark for multi-target tracking",
2015.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

COLUMNS = "frame (from 1), identity, left, top, width, height"


class MotRow(NamedTuple):
    """A line.

    Attributes:
        place: where it stands, for errors.
        frame: from 0.
        identity: -1 where it has none.
        box: left, top, width, height in pixels.
        score: 1 where it has none; above 0.
        label: number of the class, from 1; None where it has none.
    """

    place: str
    frame: int
    identity: int
    box: tuple[float, float, float, float]
    score: float
    label: int | None


def mot_rows(path: Path) -> Iterator[MotRow]:
    """The lines of a file; those of score 0, which are marked to be passed over, are left out.

    Raises:
        OSError: the file does not open.
        ValueError: a line is something else; the message names it.
    """
    for number, line in enumerate(text_lines(path), 1):
        cells = next(csv.reader([line]), [])
        if not cells:
            continue
        place = f"{path}, line {number}"
        if len(cells) < 6:
            raise ValueError(f"{place}: a line must be {COLUMNS}, got {line[:60]!r}. Correct it.")
        frame, identity, *box, score, label = _numbers(cells, place)
        if not all(map(math.isfinite, box)):
            raise ValueError(
                f"{place}: a box must be four finite numbers, got {box}. Correct it, or delete it."
            )
        if not (1 <= frame < math.inf and frame == int(frame)):
            raise ValueError(f"{place}: frames are numbered from 1, got {cells[0]}. Correct it.")
        if not (math.isfinite(identity) and identity == int(identity)):
            raise ValueError(
                f"{place}: identities are whole numbers, got {cells[1]}. Correct it, or write -1."
            )
        if score == 0:
            continue
        left, top, width, height = box
        known = math.isfinite(label) and label >= 0
        yield MotRow(
            place,
            int(frame) - 1,
            int(identity),
            (left, top, width, height),
            score,
            int(label) if known else None,
        )


def _numbers(cells: list[str], place: str) -> list[float]:
    """The first eight, those that may be missing as 1 and -1."""
    try:
        return [float(cell) for cell in [*cells[:8], *["1", "-1"][len(cells[6:8]) :]]]
    except ValueError:
        raise ValueError(
            f"{place}: numbers are wanted, got {','.join(cells)[:60]}. Correct it."
        ) from None


def text_lines(path: Path) -> list[str]:
    """The lines of a text.

    Raises:
        OSError: the file does not open.
        ValueError: it is no text in UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must be text in UTF-8, but: {error}. Write it again.") from None
