"""Tracks in files: the text of the MOT challenge, and JSON."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._files import replacing
from sora_tf.data.boxes import NOBODY, Boxes
from sora_tf.data.mot_text import mot_rows


def read_mot(path: str | os.PathLike[str]) -> Boxes:
    """Reads boxes from a text file of the MOT challenge, all of class 0.

    A row is frame (from 1), identity (or -1), left, top, width, height in pixels, and where
    wanted a score; further columns are not read. Rows of score 0, which are marked to be passed
    over, are left out.

    Raises:
        OSError: the file does not open.
        ValueError: a row is something else; the message names it.
    """
    rows = list(mot_rows(Path(path)))
    for row in rows:
        if min(row.box[2:]) <= 0:
            raise ValueError(
                f"{row.place}: a box must be of some size, got {list(row.box)}. Delete it."
            )
        if not 0 <= row.score <= 1:
            raise ValueError(
                f"{row.place}: a score must be from 0 to 1, got {row.score:g}. Correct it."
            )
    return Boxes(
        np.array([row.frame for row in rows]),
        np.array([row.box for row in rows]),
        np.zeros(len(rows)),
        np.array([row.score for row in rows]),
        np.array([row.identity for row in rows]),
    )


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
