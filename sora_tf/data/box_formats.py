"""How files write boxes down: COCO's JSON, MOT's and YOLO's texts, and a list of boxes a frame."""

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sora_tf.data.mot_text import mot_rows, text_lines

MOST_BYTES = 2**30  # of an annotation file
NAMES = ("classes.txt", "labels.txt", "obj.names")


@dataclass(frozen=True)
class Row:
    """One box as a file gives it, or a frame that somebody looked at.

    Args:
        video: what the file calls the video; None where it names none.
        frame: from 0.
        box: left, top, width, height, in pixels or, if `relative`, in shares of the picture; None
            says no more than that the boxes of this frame are known.
        label: name of the class; None where the file names none.
        identity: None where it gives none.
        relative: whether the box is in shares of the picture.
        place: where in the file it stands, for errors.
    """

    video: str | None
    frame: int
    box: tuple[float, float, float, float] | None = None
    label: str | None = None
    identity: int | None = None
    relative: bool = False
    place: str = ""


def read_rows(path: Path) -> list[Row]:
    """All boxes of a file or folder, and all frames without that it speaks of.

    Args:
        path: COCO or plain JSON, MOT text, or a folder of MOT or YOLO texts.

    Raises:
        FileNotFoundError: there is nothing of that name.
        ValueError: it is of no form that is known, or a row of it is wrong.
    """
    if not path.exists():
        raise FileNotFoundError(
            f"read_boxes: there is no file or folder {path}. Give COCO JSON, a JSON of boxes a "
            "frame, a MOT text, or a folder of MOT or YOLO texts."
        )
    if path.is_dir():
        rows = _folder(path)
    elif path.suffix.lower() == ".json":
        rows = _json(path)
    else:
        rows = _mot(path, None, _class_names(path.parent))
    for row in rows:
        _check(row)
    return rows


def _check(row):
    if row.box is not None and not all(math.isfinite(value) for value in row.box):
        raise ValueError(
            f"read_boxes: {row.place}: a box must be four finite numbers, got {row.box}. Correct "
            "it, or delete it."
        )


def _json(path):
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES} bytes")
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError and JSONDecodeError are some
        raise ValueError(
            f"read_boxes: {path} must be JSON in UTF-8, but: {error}. Write it again."
        ) from None
    if not isinstance(found, dict):
        raise ValueError(
            f"read_boxes: {path} must hold an object, got a {type(found).__name__}. Give COCO "
            'JSON, or {"video": [boxes of frame 0, boxes of frame 1, ...]}.'
        )
    if {"images", "annotations"} <= found.keys():
        return _coco(path, found)
    return _plain(path, found)


def _coco(path, found):
    """COCO's JSON; an image is a frame of a video if it has "video_id", else a file of its own."""
    try:
        labels = {c["id"]: str(c["name"]) for c in found.get("categories", ())}
        videos = {v["id"]: str(v.get("name") or v["file_name"]) for v in found.get("videos", ())}
        images = {
            image["id"]: (videos[image["video_id"]], int(image.get("frame_id", 0)))
            if "video_id" in image
            else (str(image["file_name"]), 0)
            for image in found["images"]
        }
        rows = [Row(video, frame) for video, frame in images.values()]
        rows += [
            Row(
                *images[a["image_id"]],
                _four(a["bbox"]),
                labels[a["category_id"]],
                _identity(a.get("track_id", a.get("instance_id"))),
                place=f"{path}, annotation {a.get('id', n)}",
            )
            for n, a in enumerate(found["annotations"])
        ]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"read_boxes: {path} must be COCO JSON, but: {what}. See cocodataset.org for the form."
        ) from None
    return rows


def _plain(path, found):
    """{"video": [for each frame null, a box, or boxes]}; a box may have its class at its end."""
    rows = []
    for video, frames in found.items():
        if not isinstance(frames, list):
            raise ValueError(
                f"read_boxes: {path}: {video!r} must be a list with the boxes of each frame, got "
                f"{str(frames)[:40]}. Give null for a frame without."
            )
        for number, given in enumerate(frames):
            place = f"{path}, {video}, frame {number}"
            rows.append(Row(video, number))
            boxes = [] if not given else given if isinstance(given[0], list) else [given]
            for box in boxes:
                label = box[4] if isinstance(box, list) and len(box) == 5 else None
                rows.append(Row(video, number, _four(box[:4], place), label, place=place))
    return rows


def _folder(path):
    names = _class_names(path)
    rows: list[Row] = []
    texts = 0
    for file in sorted(path.rglob("*.txt")):
        if file.name in NAMES or file.name.startswith("."):
            continue
        texts += 1
        if _is_mot(file):
            sequence = file.parent.name == "gt" and file.name == "gt.txt"
            video = file.parent.parent.name if sequence else file.stem
            own = names or (_class_names(file.parent) if sequence else {})
            rows += _mot(file, video, own)
        else:
            rows += _yolo(file, names)
    if not texts:
        raise ValueError(
            f"read_boxes: {path} must hold texts of boxes, got none. Give a folder of MOT or YOLO "
            ".txt files."
        )
    return rows


def _yolo(path, names):
    """Lines of class number, centre and size in shares of the picture; a file for each picture."""
    rows = [Row(path.stem, 0, relative=True)]
    for number, line in enumerate(text_lines(path), 1):
        place = f"{path}, line {number}"
        cells = line.split()
        if not cells:
            continue
        if len(cells) < 5:
            raise ValueError(
                f"read_boxes: {place}: a line must be class, x, y, width and height, got "
                f"{line[:60]!r}. Correct it."
            )
        x, y, w, h = _four(cells[1:5], place)
        label = names.get(int(_numbers(cells[:1], place)[0]), cells[0])
        box = (x - w / 2, y - h / 2, w, h)
        rows.append(Row(path.stem, 0, box, label, relative=True, place=place))
    return rows


def _is_mot(path):
    return any("," in line for line in text_lines(path)[:1])


def _mot(path, video, names):
    return [
        Row(
            video,
            row.frame,
            row.box,
            None if row.label is None else names.get(row.label - 1, str(row.label)),
            _identity(row.identity),
            place=row.place,
        )
        for row in mot_rows(path)
    ]


def _class_names(folder):
    """Number → name, from 0, of the file of names in the folder; none where there is no file."""
    for name in NAMES:
        if (folder / name).is_file():
            lines = [line.strip() for line in text_lines(folder / name)]
            return dict(enumerate(line for line in lines if line))
    return {}


def _identity(value: Any) -> int | None:
    if value is None or value < 0:
        return None
    return int(value)


def _four(values: Any, place: str = "") -> tuple[float, float, float, float]:
    if not isinstance(values, list | tuple) or len(values) != 4:
        raise ValueError(f"read_boxes: {place}: a box must be four numbers, got {values!r}.")
    x, y, w, h = _numbers(values, place)
    return x, y, w, h


def _numbers(cells: Iterable[Any], place: str) -> list[float]:
    cells = list(cells)
    try:
        return [float(cell) for cell in cells]
    except (TypeError, ValueError):
        given = ", ".join(map(str, cells))
        raise ValueError(
            f"read_boxes: {place}: numbers are wanted, got {given[:60]}. Correct it."
        ) from None
