"""What a detector finds on clips it was not trained on."""

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sora_tf._files import write_json
from sora_tf._progress import progress
from sora_tf.data import Clip, Problems, read_index
from sora_tf.data.box_files import read_boxes
from sora_tf.data.box_table import write_boxes
from sora_tf.data.boxes import Annotated, Boxes, joined
from sora_tf.data.stretches import Stretch, walks
from sora_tf.models.detector import FAINT
from sora_tf.tasks.detect import StreamingDetector
from sora_tf.tasks.detector import CHUNK, Detector
from sora_tf.train.detection_metrics import average_precision, best_threshold
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.run import RunError
from sora_tf.video import VideoError, frames_of

IN_A_ROW = 8  # frames of a stretch, so that there is something to remember


def evaluate_detector(
    run: DetectorRun,
    *,
    part: str = "test",
    each: int | None = None,
    problems: Problems | None = None,
) -> dict[str, Any]:
    """Scores a detector and writes metrics.json and boxes.parquet into its run.

    It is shown some stretches of each clip, in one piece where they meet, as `sora-tf detect` shows
    it videos; every frame of them whose boxes are known is judged.

    Args:
        run: a run with a model.
        part: the split of its clips.
        each: most stretches of a clip; None takes as many as it was trained on.
        problems: clips skipped so far; collects more.

    Returns:
        What `average_precision` gives, with "part", "threshold" (the score from which on boxes
        are best kept: that of the highest F1 at an overlap of 0.5), "f1" there, and "skipped".

    Raises:
        RunError: no run, no model, or no clip of the split with known boxes.
    """
    config = run.read_config()
    clips = [clip for clip in read_index(run.path / "split.csv") if clip.split == part]
    problems = Problems() if problems is None else problems
    refiner = run.load_refiner()
    detector = StreamingDetector(run.load_model(), config.model, config.labels, FAINT, refiner)
    try:
        known, _ = read_boxes(config.boxes, clips, config.labels)
        answers, frames = found_by(
            detector, clips, known, each or config.each, detector.step, problems
        )
    except ValueError as error:
        raise RunError(f"the split {part!r} of {run.path} cannot be judged: {error}") from None
    given = {path: known[path].boxes for path in answers}
    threshold, f1 = best_threshold(given, answers, frames)
    metrics = {
        "part": part,
        **average_precision(given, answers, config.labels, frames),
        "threshold": threshold,
        "f1": f1,
        "skipped": problems.lines(),
    }
    write_boxes(answers, config.labels, run.path / "boxes.parquet")
    write_json(run.metrics_path, metrics)
    return metrics


def found_by(
    detector: Detector,
    clips: Sequence[Clip],
    known: Mapping[str, Annotated],
    each: int,
    step: float,
    problems: Problems,
) -> tuple[dict[str, Boxes], dict[str, np.ndarray]]:
    """What a detector finds on clips of which something is known.

    Args:
        detector: any.
        clips, known: as in `box_dataset`.
        each: most stretches of a clip.
        step: time between the frames it is shown, s; 0 shows every frame.
        problems: collects the clips that were skipped.

    Returns:
        {path: boxes in pixels of the video}, {path: numbers of the frames that were shown and whose
        boxes are known}.

    Raises:
        ValueError: there is not one such frame.
    """
    found: dict[str, list[Boxes]] = defaultdict(list)
    shown: dict[str, list[int]] = defaultdict(list)
    h, w = detector.size
    of_known = [clip for clip in clips if clip.path in known]
    for clip in progress(of_known, "clips", len(of_known)):
        try:
            rows = walks(clip, known[clip.path], IN_A_ROW, step, each)
            for place, numbers, pictures in _walked(clip.path, rows, detector.size):
                boxes = detector.detect(np.stack(pictures), place)
                boxes = replace(boxes, frames=np.array(numbers)[boxes.frames - place])
                width, height = rows[0].size
                found[clip.path].append(boxes.scaled(width / w, height / h))
                shown[clip.path] += numbers
        except VideoError as error:
            problems.skip(clip.name, str(error))
    frames = {path: np.intersect1d(own, known[path].frames) for path, own in shown.items()}
    if not sum(map(len, frames.values())):
        raise ValueError(
            f"there must be one frame whose boxes are known, got none of {len(clips)} clips. Check "
            "that the boxes are of these videos and times."
        )
    return {path: joined(found[path]) for path in frames}, frames


def _walked(
    path: str, rows: Sequence[Stretch], size: tuple[int, int]
) -> Iterator[tuple[int, list[int], list[np.ndarray]]]:
    """The frames of some stretches, a few at a time: the first's place in its own, numbers, frames.

    Goes through the video once where no stretch begins before the end of the one before.
    """
    passes: list[list[Stretch]] = []
    for row in rows:
        if not passes or row.frames[0] <= passes[-1][-1].frames[-1]:
            passes.append([])
        passes[-1].append(row)
    some = False
    for own in passes:
        numbers = np.concatenate([row.frames for row in own])
        film = frames_of(path, size=size, numbers=numbers.tolist())
        for row in own:
            for place in range(0, len(row.frames), CHUNK):
                wanted = row.frames[place : place + CHUNK].tolist()
                pictures = [picture for _, picture in itertools.islice(film, len(wanted))]
                if pictures:
                    some = True
                    yield place, wanted[: len(pictures)], pictures
    if rows and not some:
        raise VideoError(path, "no frames", "it ends before the first frame whose boxes are known")
