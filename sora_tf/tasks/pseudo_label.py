"""Boxes that a detector finds on videos nobody has annotated, as labels to train another on.

Reference: Lee, "Pseudo-label: the simple and efficient semi-supervised learning method for deep
neural networks", ICML workshops 2013.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf import _checks
from sora_tf._files import write_json
from sora_tf.data.boxes import Annotated, Boxes, joined
from sora_tf.data.cache import clip_key
from sora_tf.data.index import is_url
from sora_tf.data.problems import Problems
from sora_tf.tasks.detector import Detector, chunks, every_of, found_on
from sora_tf.video import VideoError, probe

LOG = logging.getLogger(__name__)


def pseudo_label(
    detector: Detector,
    videos: Sequence[str],
    classes: Sequence[str],
    threshold: float = 0.5,
    every: int | None = 10,
    *,
    cache: str | os.PathLike[str] | None = None,
    key: str = "",
    problems: Problems | None = None,
) -> dict[str, Annotated]:
    """Asks a detector what is on some frames of each video, spread evenly.

    Args:
        detector: who is asked.
        videos: files or URLs; one that does not read is left out and noted in `problems`.
        classes: the detector's classes that are wanted; boxes are labelled by their place here.
        threshold: smallest score of a box, from 0 to 1.
        every: looks at the first of every so many frames; None leaves it to the detector.
        cache: folder of answers, so that a video is looked at once; made where it is missing.
        key: names the detector in the cache, with all that its boxes depend on.
        problems: where to note what did not read.

    Returns:
        {path: boxes with their scores, and the frames looked at, those without boxes included}.

    Raises:
        ValueError: the detector does not know a class, or a number is out of its range.
    """
    _checks.between("pseudo_label", "threshold", threshold, 0, 1, "Use 0.5.")
    if every is not None:
        _checks.at_least("pseudo_label", "every", every, 1, "frames", "Use 1 for all.")
    for name in classes:
        _checks.one_of("pseudo_label", "classes", name, detector.labels)
    wanted = {detector.labels.index(name): place for place, name in enumerate(classes)}
    problems = Problems() if problems is None else problems
    made = {}
    for path in videos:
        try:
            one_of = every_of(detector, probe(path).fps) if every is None else every
            everything = _looked(detector, path, one_of, cache, key, problems)
        except (VideoError, OSError) as error:
            problems.skip(path, str(error))
            continue
        boxes = everything.boxes
        boxes = boxes.of((boxes.scores >= threshold) & np.isin(boxes.labels, list(wanted)))
        labels = np.array([wanted[int(label)] for label in boxes.labels], np.int64)
        made[path] = Annotated(replace(boxes, labels=labels), everything.frames)
    return made


def write_coco(
    labelled: Mapping[str, Annotated], classes: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Writes boxes of videos as COCO's JSON, which `read_boxes` reads.

    An image is a frame of a video: it has a "video_id" and a "frame_id", from 0. A box found by a
    detector has its "score".

    Raises:
        VideoError: a video does not read; its size is written.
    """
    found: dict[str, list[dict[str, Any]]] = {
        "categories": [{"id": n, "name": name} for n, name in enumerate(classes, 1)],
        "videos": [],
        "images": [],
        "annotations": [],
    }
    for number, (video, known) in enumerate(labelled.items(), 1):
        info = probe(video)
        size = {"width": info.width, "height": info.height}
        name = video if is_url(video) else os.path.abspath(video)  # whatever folder it is read in
        found["videos"].append({"id": number, "name": name, **size})
        first = len(found["images"]) + 1
        numbers = {int(frame): first + n for n, frame in enumerate(known.frames)}
        found["images"] += [
            {"id": image, "video_id": number, "frame_id": frame, "file_name": name, **size}
            for frame, image in numbers.items()
        ]
        found["annotations"] += _annotations(known.boxes, numbers, len(found["annotations"]) + 1)
    write_json(path, found)


def _annotations(boxes: Boxes, images: dict[int, int], first: int) -> list[dict[str, Any]]:
    rows = zip(boxes.frames, boxes.boxes, boxes.labels, boxes.scores, boxes.identities, strict=True)
    return [
        {
            "id": first + n,
            "image_id": images[int(frame)],
            "category_id": int(label) + 1,
            "bbox": [round(float(side), 2) for side in box],
            "area": round(float(box[2] * box[3]), 2),
            "iscrowd": 0,
            "score": round(float(score), 4),
            **({"track_id": int(identity)} if identity >= 0 else {}),
        }
        for n, (frame, box, label, score, identity) in enumerate(rows)
    ]


def _looked(
    detector: Detector,
    path: str,
    every: int,
    cache: str | os.PathLike[str] | None,
    key: str,
    problems: Problems,
) -> Annotated:
    """All that the detector finds on a video, from the cache where it is there."""
    if cache is None:
        return _look(detector, path, every, problems)
    named = f"{clip_key(path, every, detector.size)} {key}"
    entry = Path(cache) / f"{hashlib.sha256(named.encode()).hexdigest()[:40]}.json"
    kept = _kept(entry)
    if kept is None:
        kept = _look(detector, path, every, problems)
        boxes = kept.boxes
        write_json(
            entry,
            {
                "looked": kept.frames.tolist(),
                "frames": boxes.frames.tolist(),
                "boxes": boxes.boxes.tolist(),
                "labels": boxes.labels.tolist(),
                "scores": boxes.scores.tolist(),
            },
        )
    return kept


def _kept(entry: Path) -> Annotated | None:
    try:
        kept = json.loads(entry.read_text(encoding="utf-8"))
        looked = np.array(kept.pop("looked"), np.int64)
        return Annotated(Boxes(**kept), looked)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        LOG.warning("looked at again, for the cache's copy does not read: %s: %s", entry, error)
        return None


def _look(detector: Detector, path: str, every: int, problems: Problems) -> Annotated:
    info = probe(path)
    height, width = detector.size
    frames: list[int] = []
    parts: list[Boxes] = []
    for chunk in chunks(path, every, detector.size, lambda what: problems.damage(path, what)):
        frames += chunk.numbers
        parts.append(found_on(detector, chunk))
    found = joined(parts).scaled(info.width / width, info.height / height)
    return Annotated(found.clipped(info.width, info.height), np.array(frames, np.int64))
