"""What a run scores on clips it was not trained on."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from sora_tf._files import write_json
from sora_tf.data import Clip, Problems, clip_dataset, read_index
from sora_tf.models.video_model import clips_at_once
from sora_tf.train.metrics import classification_metrics
from sora_tf.train.plots import plot_confusion
from sora_tf.train.run import Run, RunError, write_csv


def evaluate_run(
    run: Run,
    source: str | os.PathLike[str] | None = None,
    *,
    part: str = "test",
    cache: str | os.PathLike[str] | None = None,
    problems: Problems | None = None,
) -> dict[str, Any]:
    """Scores a run's model and writes metrics.json, predictions.csv and confusion.png into it.

    Args:
        run: a run with a model.
        source: other clips, a folder or a table with the run's labels, all of which are used;
            None takes the run's own split.
        part: the split to use where `source` is None.
        cache: folder of decoded clips; None decodes afresh.
        problems: clips skipped so far, which are counted too; collects more.

    Returns:
        What `classification_metrics` gives, with "part" and "skipped" (clips that did not read).

    Raises:
        RunError: no run, no model, no such clips, labels the run does not know, or no clip reads.
    """
    config = run.read_config()
    clips = read_index(run.path / "split.csv" if source is None else source)
    if source is None:
        clips = [clip for clip in clips if clip.split == part]
        if not clips:
            raise RunError(
                f"the run in {run.path} has no clips in the split {part!r}. Name another."
            )
    unknown = sorted({clip.label for clip in clips} - set(config.labels))
    if unknown:
        raise RunError(
            f"the run in {run.path} does not know the labels {', '.join(unknown)}, only "
            f"{', '.join(config.labels)}. Give clips of its classes."
        )
    model = run.load_model()
    problems = Problems() if problems is None else problems
    dataset = clip_dataset(
        clips,
        config.labels,
        frames=config.model.frames,
        size=config.model.size,
        batch_size=clips_at_once(config.model.frames, config.model.size),
        fit=config.fit,
        cache=cache,
        problems=problems,
    )
    truths, outputs = [], []
    for batch, truth in dataset:
        outputs.append(model.predict_on_batch(batch))
        truths.append(truth.numpy())
    if not outputs:
        raise RunError(f"not one clip could be read; the first: {problems.lines()[0]}")
    truth, scores = np.concatenate(truths).argmax(axis=1), np.concatenate(outputs)
    read = [clip for clip in clips if clip.name not in problems.names()]
    name = part if source is None else os.path.abspath(source)
    return write_judged(run, name, read, truth, scores, config.labels, problems)


def write_judged(
    run: Run,
    part: str,
    clips: Sequence[Clip],
    truth: np.ndarray,
    scores: np.ndarray,
    labels: Sequence[str],
    problems: Problems,
) -> dict[str, Any]:
    """Writes metrics.json, predictions.csv and confusion.png into a run.

    Args:
        run: the run.
        part: what was judged.
        clips: N clips that read.
        truth: (N,) their classes.
        scores: (N, C).
        labels: the C names.
        problems: the clips that did not read.

    Returns:
        As `evaluate_run`.
    """
    metrics = {
        "part": part,
        **classification_metrics(truth, scores, labels),
        "skipped": problems.lines(),
    }
    rows = [
        {
            "path": clip.name,
            "label": clip.label,
            "predicted": labels[int(score.argmax())],
            **{f"p({label})": f"{p:.6f}" for label, p in zip(labels, score, strict=True)},
        }
        for clip, score in zip(clips, scores, strict=True)
    ]
    write_report(run, metrics, rows, labels, "clips")
    return metrics


def write_report(
    run: Run,
    metrics: dict[str, Any],
    rows: Sequence[dict[str, Any]],
    labels: Sequence[str],
    judged: str,
) -> None:
    """Writes predictions.csv, confusion.png and, last, metrics.json into a run.

    Args:
        run: the run.
        metrics: of `classification_metrics`, and more.
        rows: what is said of each row that was judged, N of them.
        labels: class names.
        judged: what the rows are, such as "clips".
    """
    write_csv(run.path / "predictions.csv", list(rows[0]), rows)
    title = f"{metrics['accuracy']:.1%} of {len(rows)} {judged} right"
    plot_confusion(metrics["confusion"], labels, run.path / "confusion.png", title)
    write_json(run.metrics_path, metrics)
