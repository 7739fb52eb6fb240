"""What a detector finds on clips it was not trained on."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import DetectorConfig
from sora_tf.data import Clip, Problems, read_index
from sora_tf.data.box_dataset import Stretch, box_dataset
from sora_tf.data.box_files import read_boxes
from sora_tf.data.box_table import write_boxes
from sora_tf.data.boxes import Annotated, Boxes, joined
from sora_tf.models.detector import boxes_of, with_boxes
from sora_tf.models.video_model import clips_at_once
from sora_tf.train.detection_metrics import average_precision, best_threshold
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.run import RunError


def evaluate_detector(
    run: DetectorRun,
    *,
    part: str = "test",
    each: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    problems: Problems | None = None,
) -> dict[str, Any]:
    """Scores a detector and writes metrics.json and boxes.parquet into its run.

    Every known frame of some stretches of each clip is judged, after the frames before it in its
    stretch.

    Args:
        run: a run with a model.
        part: the split of its clips.
        each: most stretches of a clip; None takes as many as it was trained on.
        cache: folder of decoded frames; None decodes afresh.
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
    model = with_boxes(run.load_model(), config.model, run.load_refiner())
    shape = config.model
    try:
        known, _ = read_boxes(config.boxes, clips, config.labels)
        batches, stretches = stretches_of(
            clips, known, shape, each=each or config.each, cache=cache, problems=problems
        )
    except ValueError as error:
        raise RunError(f"the split {part!r} of {run.path} cannot be judged: {error}") from None
    found = found_in_stretches(model, batches, stretches, shape.size, "judging")
    given = {path: known[path].boxes for path in found}
    frames = {
        path: np.array(sorted(set(own) & set(known[path].frames.tolist())), np.int64)
        for path, own in found.items()
    }
    answers = {path: joined(list(own.values())) for path, own in found.items()}
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


def stretches_of(
    clips: Sequence[Clip],
    known: Mapping[str, Annotated],
    model: DetectorConfig,
    *,
    each: int,
    cache: str | os.PathLike[str] | None,
    problems: Problems,
) -> tuple[tf.data.Dataset, list[Stretch]]:
    """The stretches of some clips as a detector is shown them, in their order and as they are.

    Args:
        clips, known, each, cache, problems: as in `box_dataset`.
        model: the detector's config.

    Returns:
        What `box_dataset` returns; of the boxes that are known, one a frame.

    Raises:
        ValueError: as `box_dataset`.
    """
    return box_dataset(
        clips,
        known,
        frames=model.frames,
        step=model.step,
        size=model.size,
        each=each,
        most=1,
        batch_size=clips_at_once(model.frames, model.size),
        cache=cache,
        problems=problems,
    )


def found_in_stretches(
    model: keras.Model,
    batches: tf.data.Dataset,
    stretches: Sequence[Stretch],
    size: tuple[int, int],
    title: str,
) -> dict[str, dict[int, Boxes]]:
    """What a detector finds on stretches of videos.

    Args:
        model: from `with_boxes`.
        batches, stretches: from `stretches_of`.
        size: (H, W) of its frames.
        title: of the progress bar.

    Returns:
        {path: {number of a frame: boxes in pixels of the video, within its picture}}.
    """
    rows = iter(stretches)
    found: dict[str, dict[int, Boxes]] = defaultdict(dict)
    with counting(title) as update:
        for done, (batch, _) in enumerate(batches, 1):
            for answers in model.predict_on_batch(batch):
                stretch = next(rows)
                (width, height), (h, w) = stretch.size, size
                for number, answer in zip(stretch.frames, answers, strict=False):
                    boxes = boxes_of(answer, number).scaled(width / w, height / h)
                    found[stretch.clip.path][int(number)] = boxes.clipped(width, height)
            update(done, int(batches.cardinality()))
    return found
