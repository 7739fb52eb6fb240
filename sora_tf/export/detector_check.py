"""What an exported detector finds, held against its model and against what is there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf.data.boxes import UNSEEN, Boxes, joined, overlaps
from sora_tf.export.clips import ClipSet
from sora_tf.export.detector_signature import BOXES, CLASSES, SCORES
from sora_tf.export.errors import ExportError
from sora_tf.export.measure import Arrays
from sora_tf.export.receipt import measured, milliseconds
from sora_tf.train.detection_metrics import HALF, average_precision

SAID = 0.05  # score of a box of the model that an artefact must find again


@dataclass(frozen=True)
class Bound:
    """How far an artefact may be from its model.

    Args:
        agreement: least share of the model's boxes that are found again, of the same class and
            overlapping by half; one box less on few.
        overlap: least overlap of those, in the mean.
        scores: largest difference of their scores.
        map50: largest loss of mean average precision, 0 to 1; on few frames, what one is worth.
    """

    agreement: float
    overlap: float = HALF
    scores: float | None = None
    map50: float | None = None


EXACT = Bound(agreement=1.0, overlap=0.999, scores=1e-3)
ROUGH = Bound(agreement=0.8, overlap=0.75, map50=0.02)
BOUNDS = {
    "saved_model": EXACT,
    "onnx": EXACT,
    "float32": EXACT,
    "float16": Bound(agreement=0.98, overlap=0.97, scores=0.1),
    "dynamic": ROUGH,
    "int8": ROUGH,
    "int16x8": ROUGH,
}


def judge(
    path: Path,
    name: str,
    clips: ClipSet,
    truth: Arrays,
    labels: Sequence[str],
    bound: Bound,
    scratch: Path,
) -> dict[str, Any]:
    """Measures an artefact and checks it.

    Args:
        path: the artefact.
        name: what to call it.
        clips: what to run it on; their `truth` is boxes (N, T, M, 5), as `box_dataset` gives them.
        truth: what Keras says of them: boxes (N, T, K, 4), scores and classes (N, T, K).
        labels: class names.
        bound: what is allowed.
        scratch: a folder for what is needed in between.

    Raises:
        ExportError: it does not run, or is too far from its model.
    """
    answers, figures = measured(path, clips, scratch)
    own = {kind: answers[f"step_{kind}"] for kind in (BOXES, SCORES, CLASSES)}
    found = compare(own, truth, clips, labels)
    check(name, found, bound)
    stated = {key: value for key, value in vars(bound).items() if value is not None}
    return {**found, "bound": stated, **figures}


def compare(own: Arrays, truth: Arrays, clips: ClipSet, labels: Sequence[str]) -> dict[str, Any]:
    """Holds an artefact's boxes against its model's and against those that are there.

    Returns:
        {"frames", "boxes": of the model with a score that says something, "agreement", "overlap",
        "score_difference", "map50", "map50_change"}; the last two None where no box is there.
    """
    overlap, gaps, said = [], [], 0
    for place in np.argwhere(clips.mask):
        model, mine = (_of(side, tuple(place)) for side in (truth, own))
        model = model.of(model.scores >= SAID)
        said += len(model)
        alike = overlaps(model.boxes, mine.boxes) * (model.labels[:, None] == mine.labels)
        for score, row in zip(model.scores, alike, strict=True):
            best = int(row.argmax()) if len(row) else -1
            if best >= 0 and row[best] >= HALF:
                overlap.append(float(row[best]))
                gaps.append(abs(float(score) - float(mine.scores[best])))
    precise = [_map50(side, clips, labels) for side in (own, truth)]
    changed = None if precise[0] is None or precise[1] is None else precise[0] - precise[1]
    return {
        "frames": int(clips.mask.sum()),
        "boxes": said,
        "agreement": len(overlap) / said if said else 1.0,
        "overlap": float(np.mean(overlap)) if overlap else 1.0,
        "score_difference": max(gaps, default=0.0),
        "map50": precise[0],
        "map50_change": changed,
    }


def _of(side, place):
    """The boxes on a frame, (clip, number), but those that are none."""
    boxes, scores, classes = (side[name][place] for name in (BOXES, SCORES, CLASSES))
    real = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1) & np.isfinite(scores)
    frame = np.full(int(real.sum()), place[1])
    return Boxes(frame, boxes[real], classes[real].astype(np.int64), scores[real])


def _there(rows, frame):
    """The boxes of `box_dataset` (T, M, 5) on a frame."""
    own = rows[frame][rows[frame, :, 4] >= 0]
    return Boxes(
        np.full(len(own), frame), own[:, :4], own[:, 4].astype(np.int64), np.ones(len(own))
    )


def _map50(side, clips, labels):
    """The mean average precision on the frames whose boxes are known; None without a box."""
    given, found, frames = {}, {}, {}
    for number, (rows, mask) in enumerate(zip(clips.truth, clips.mask, strict=True)):
        own = np.flatnonzero(mask & (rows[..., 4] != UNSEEN).all(axis=1))
        if len(own):
            frames[str(number)] = own
            given[str(number)] = joined([_there(rows, frame) for frame in own])
            found[str(number)] = joined([_of(side, (number, frame)) for frame in own])
    if not any(len(boxes) for boxes in given.values()):
        return None
    return average_precision(given, found, labels, frames)["map50"]


def check(name: str, found: dict[str, Any], bound: Bound) -> None:
    """Refuses an artefact that is further from its model than its bound."""
    said = found["boxes"]
    lost = said - round(found["agreement"] * said)
    if lost > max((1 - bound.agreement) * said, 1 if bound.agreement < 1 else 0) + 1e-9:
        raise ExportError(
            f"{name} misses {lost} of {said} boxes of its model, more than the "
            f"{1 - bound.agreement:.0%} allowed. Take another format."
        )
    if found["overlap"] < bound.overlap:
        raise ExportError(
            f"{name} gives boxes that overlap its model's by {found['overlap']:.3f} in the mean, "
            f"less than the {bound.overlap:g} allowed. Take another format."
        )
    if bound.scores is not None and not found["score_difference"] <= bound.scores:
        raise ExportError(
            f"{name} differs from its model by {found['score_difference']:.2g} in a score, more "
            f"than the {bound.scores:g} allowed. Take another format."
        )
    change = found["map50_change"]
    if bound.map50 is None or change is None:
        return
    allowed = max(bound.map50, 1 / found["frames"])
    if -change > allowed:
        raise ExportError(
            f"{name} loses {-change:.3f} of mean average precision on {found['frames']} frames, "
            f"more than the {allowed:.3f} allowed. Take another format."
        )


def table(artefacts: dict[str, dict[str, Any]]) -> str:
    """Artefacts as a Markdown table."""
    head = (
        "artefact", "MB", "boxes found again", "overlap", "max. difference of scores", "mAP@0.5",
        "change", "ms a frame (1, 2 threads)", "peak MB",
    )  # fmt: skip
    rows: list[Sequence[str]] = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for name, entry in artefacts.items():
        known = entry["map50"] is not None
        rows.append(
            (
                name,
                f"{entry['bytes'] / 1e6:.2f}",
                f"{entry['agreement']:.1%} of {entry['boxes']}",
                f"{entry['overlap']:.3f}",
                f"{entry['score_difference']:.1e}",
                f"{entry['map50']:.3f}" if known else "–",
                f"{entry['map50_change']:+.3f}" if known else "–",
                milliseconds(entry, "step"),
                f"{entry['peak_memory_bytes'] / 1e6:.0f}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
