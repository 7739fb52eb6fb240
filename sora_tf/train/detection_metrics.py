"""Mean average precision of boxes, by pycocotools."""

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sora_tf.data.boxes import Boxes, overlaps

HALF = 0.5  # overlap of a box that is right
Pictures = Mapping[str, Boxes]


def average_precision(
    given: Pictures, found: Pictures, labels: Sequence[str], frames: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """How well boxes were found: COCO's average precision, 0 to 1.

    Args:
        given: video → the boxes that are there.
        found: video → boxes with scores.
        labels: class names, by whose place boxes are labelled.
        frames: video → the frames that are judged; boxes on others count for nothing.

    Returns:
        "map50", at an overlap of 0.5, the mean over the classes that are there; "map", the mean
        over overlaps from 0.5 to 0.95 as well; "ap50" by class, None where there is none of it;
        "found50", the same as map50 with all classes taken for one; "pictures" and "boxes", how
        many were judged.

    Raises:
        ImportError: pycocotools is not installed.
        ValueError: not one box is given on the frames that are judged.
    Reference: Lin et al., "Microsoft COCO", 2014; its evaluation code.
    """
    truths: list[tuple] = []
    answers: list[tuple] = []
    pictures = {
        (video, int(frame)): number
        for number, (video, frame) in enumerate(
            ((video, frame) for video in sorted(frames) for frame in frames[video]), 1
        )
    }
    for rows, boxes in ((truths, given), (answers, found)):
        for video, own in boxes.items():
            for frame, box, label, score in zip(
                own.frames, own.boxes, own.labels, own.scores, strict=True
            ):
                if picture := pictures.get((video, int(frame))):
                    rows.append((picture, int(label), float(score), box.astype(float).tolist()))
    if not truths:
        raise ValueError(
            "average_precision: there must be one box on the frames that are judged, got none. "
            "Give frames with boxes."
        )
    count = max(pictures.values())
    precision = _precision(truths, answers, len(labels), count)  # (overlaps, classes)
    alike = [(picture, 0, *rest) for picture, _, *rest in truths]
    found_alike = [(picture, 0, *rest) for picture, _, *rest in answers]
    there = ~np.isnan(precision[0])
    return {
        "map50": float(precision[0][there].mean()),
        "map": float(precision[:, there].mean()),
        "ap50": {
            label: float(value) if known else None
            for label, value, known in zip(labels, precision[0], there, strict=True)
        },
        "found50": float(_precision(alike, found_alike, 1, count)[0, 0]),
        "pictures": count,
        "boxes": len(truths),
    }


def best_threshold(
    given: Pictures, found: Pictures, frames: Mapping[str, np.ndarray]
) -> tuple[float, float]:
    """The score from which on boxes are best kept, and the F1 of those that are.

    A box is right if it overlaps a given one of its class by half, which no better box does.

    Args:
        given, found, frames: as in `average_precision`.

    Returns:
        (score, F1 from 0 to 1); (0.5, 0.0) where nothing is found rightly.
    """
    scores: list[float] = []
    right: list[bool] = []
    total = 0
    for video, numbers in frames.items():
        truth = given.get(video, Boxes.none())
        answers = found.get(video, Boxes.none())
        for number in numbers:
            there, own = truth.on(number), answers.on(number)
            own = own.of(np.argsort(-own.scores, kind="stable"))
            total += len(there)
            free = np.ones(len(there), bool)
            alike = overlaps(own.boxes, there.boxes) * (own.labels[:, None] == there.labels)
            for score, row in zip(own.scores, alike, strict=True):
                fits = row * free
                hit = bool(len(row)) and fits.max() >= HALF
                if hit:
                    free[fits.argmax()] = False
                scores.append(float(score))
                right.append(hit)
    if not any(right):
        return 0.5, 0.0
    order = np.argsort(-np.array(scores), kind="stable")
    hits = np.cumsum(np.array(right)[order])
    f1 = 2 * hits / (np.arange(1, len(order) + 1) + total)
    best = int(f1.argmax())
    # Half-way to what is left out, so that the last bits of a score do not decide.
    around = order[best : best + 2]
    return float(np.mean([scores[place] for place in around])), float(f1[best])


def _precision(truths, answers, classes, pictures):
    """Average precision by overlap and class, NaN where a class is not there."""
    try:
        from pycocotools.coco import COCO
        from pycocotools.cocoeval import COCOeval
    except ImportError as error:
        raise ImportError(
            "judging boxes needs pycocotools. Run: pip install 'sora_tf[detection]'"
        ) from error
    if not answers:
        there = np.isin(np.arange(classes), [label for _, label, *_ in truths])
        return np.tile(np.where(there, 0.0, np.nan), (10, 1))
    table = COCO()
    table.dataset = {
        "images": [{"id": number} for number in range(1, pictures + 1)],
        "categories": [{"id": label} for label in range(classes)],
        "annotations": [
            {
                "id": number,
                "image_id": picture,
                "category_id": label,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
            }
            for number, (picture, label, _, box) in enumerate(truths, 1)
        ],
    }
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        table.createIndex()
        results = table.loadRes(
            [
                {"image_id": picture, "category_id": label, "score": score, "bbox": box}
                for picture, label, score, box in answers
            ]
        )
        judge = COCOeval(table, results, "bbox")
        judge.evaluate()
        judge.accumulate()
    # (overlaps, recalls, classes, sizes, boxes a picture); all sizes, 100 boxes.
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return np.where(precision[:, 0] < 0, np.nan, precision.mean(axis=1))
