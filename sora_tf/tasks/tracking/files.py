"""Tracks in files: the text of the MOT challenge, and JSON.

Reference: Leal-Taixé et al., "MOTChallenge 2015: towards a benchmark for multi-target tracking",
2015.
"""

import csv
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_tf._files import replacing
from sora_tf.data.boxes import NOBODY, Boxes

COLUMNS = "frame (from 1), identity, left, top, width, height and score"


def read_mot(path: str | os.PathLike[str]) -> Boxes:
    """Reads boxes from a text file of the MOT challenge, all of class 0.

    A row is frame (from 1), identity (or -1), left, top, width, height in pixels, and where
    wanted a score; further columns are not read. Rows of score 0, which are marked to be passed
    over, are left out.

    Raises:
        OSError: the file does not open.
        ValueError: a row is something else; the message names it.
    """
    rows: list[list[float]] = []
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if row:
                    rows.append(_row(row, number))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} must be a MOT file, but: {error}. Save it as text.") from None
    except ValueError as error:
        raise ValueError(f"{path} must be a MOT file, but: {error}.") from None
    values = np.array([row for row in rows if row[6] > 0]).reshape(-1, 7)
    return Boxes(
        values[:, 0] - 1, values[:, 2:6], np.zeros(len(values)), values[:, 6], values[:, 1]
    )


def _row(row: Sequence[str], number: int) -> list[float]:
    if len(row) < 6:
        raise ValueError(f"row {number} has {len(row)} columns. It must have {COLUMNS}")
    try:
        values = [float(text) for text in (*row[:6], row[6] if len(row) > 6 else "1")]
    except ValueError:
        raise ValueError(f"row {number} is {','.join(row)!r:.60}. It must hold numbers") from None
    frame, identity, _, _, width, height, score = values
    if not np.isfinite(values).all() or width <= 0 or height <= 0:
        raise ValueError(
            f"row {number} has the box {values[2:6]}. It must be finite and of some size"
        )
    if frame < 1 or frame != int(frame) or identity != int(identity):
        raise ValueError(
            f"row {number} has frame {frame:g} and identity {identity:g}. They must be whole "
            "numbers, and frames count from 1"
        )
    if not 0 <= score <= 1:
        raise ValueError(f"row {number} has the score {score:g}. It must be from 0 to 1")
    return values


def write_mot(boxes: Boxes, path: str | os.PathLike[str]) -> None:
    """Writes the boxes that have an identity as the MOT challenge wants them; classes are lost."""
    boxes = boxes.of(boxes.identities != NOBODY)
    order = np.lexsort((boxes.identities, boxes.frames))
    with replacing(path) as beside, open(beside, "w", encoding="utf-8") as file:
        for row in order:
            box = ",".join(f"{side:.2f}" for side in boxes.boxes[row])
            frame, identity = boxes.frames[row] + 1, boxes.identities[row]
            file.write(f"{frame},{identity},{box},{boxes.scores[row]:.4f},-1,-1,-1\n")


def tracks_of(boxes: Boxes, labels: Sequence[str]) -> list[dict[str, Any]]:
    """A dict a track, ready for JSON: identity, class, score (mean), first, last (frames from 0),
    and rows [frame, left, top, width, height, score].
    """
    tracks = []
    for identity in np.unique(boxes.identities[boxes.identities != NOBODY]):
        own = boxes.of(boxes.identities == identity)
        own = own.of(np.argsort(own.frames, kind="stable"))
        tracks.append(
            {
                "identity": int(identity),
                "class": labels[
                    int(own.labels[-1])
                ],  # all that was seen of it has a say in the last
                "score": round(float(own.scores.mean()), 4),
                "first": int(own.frames[0]),
                "last": int(own.frames[-1]),
                "rows": [
                    [int(frame), *(round(float(v), 2) for v in box), round(float(score), 4)]
                    for frame, box, score in zip(own.frames, own.boxes, own.scores, strict=True)
                ],
            }
        )
    return tracks
