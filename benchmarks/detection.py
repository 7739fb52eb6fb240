"""Finding small flying things: ours fine-tuned, by two stages, one, on single frames; COCO's.

python benchmarks/detection.py DRONE --out DIR [--models NAME ...] [--coco TGZ] [--folds N]
    [--each N] [--epochs N]

DRONE is the folder of class folders with boxes.json. Clips are dealt into five parts of
neighbouring numbers, for neighbours share footage; four train, nothing is chosen by the fifth,
which is tested after the last epoch. DIR gets a run per fold and model, and table.md; what is
there already is not made again. A fine-tuned detector begins with the one on a frozen CNN, and its
second stage is the one trained behind that. COCO's detector is judged on the classes it knows,
airplane and bird. The last lines say what a frame costs in TFLite, one thread.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _folds import PARTS, deviation, tested
from _machine import print_machine
from accuracy_clips import contiguous

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig
from sora_tf.data import Problems, read_index, write_index
from sora_tf.data.box_files import read_boxes
from sora_tf.data.boxes import Boxes
from sora_tf.export.detector import write_tflite
from sora_tf.export.detector_signature import DeployableDetector
from sora_tf.models.coco_detector import CocoDetector
from sora_tf.models.detector import build_detector, in_parts
from sora_tf.models.refiner import build_refiner
from sora_tf.train.detection_metrics import average_precision
from sora_tf.train.detector import train_detector, usual_detector_training
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.evaluate_detector import found_by
from sora_tf.train.finetune_detector import finetune_detector


class Row(NamedTuple):
    """A detector, and whose run it begins with: its first stage, its second, to fine-tune."""

    model: DetectorConfig
    first: str = ""
    second: str = ""
    tuned: str = ""


MODELS = {
    "with memory": Row(DetectorConfig()),
    "single frames": Row(DetectorConfig(memory=0.0, remember=0.0)),
    "two stages": Row(DetectorConfig(refine=128), first="with memory"),
    "fine-tuned": Row(DetectorConfig(), tuned="with memory"),
    "fine-tuned, two stages": Row(
        DetectorConfig(refine=128), first="fine-tuned", second="two stages"
    ),
}
BEST = next(iter(MODELS))
KNOWN = ("airplane", "bird")
NAMES = ("airplane", "bird", "drone", "helicopter")
TEACHER = "COCO's detector"
IN_A_ROW = 5


def judged(detector: CocoDetector, run: DetectorRun) -> dict:
    """The detector on the frames on which a run was judged, on the classes it knows."""
    path = run.path / "coco.json"
    if not path.exists():
        import pyarrow.parquet as parquet

        config = run.read_config()
        clips = [
            clip
            for clip in read_index(run.path / "split.csv")
            if clip.split == "test" and clip.label in KNOWN
        ]
        known, _ = read_boxes(config.boxes, clips, KNOWN)
        answers, frames = found_by(
            detector, clips, known, config.each, config.model.step, Problems()
        )
        wanted = [detector.labels.index(name) for name in KNOWN]
        for video, boxes in answers.items():
            boxes = boxes.of(np.isin(boxes.labels, wanted))
            labels = [wanted.index(label) for label in boxes.labels]
            answers[video] = replace(boxes, labels=np.array(labels, np.int64))
        given = {video: known[video].boxes for video in answers}
        coco = average_precision(given, answers, KNOWN, frames)
        table = parquet.read_table(run.path / "boxes.parquet").to_pandas()
        table = table[table.label.isin(KNOWN) & table.path.isin(answers)]
        own = {
            path: Boxes(
                rows.frame, rows[["left", "top", "width", "height"]],
                [KNOWN.index(label) for label in rows.label], rows.score,
            )
            for path, rows in table.groupby("path")
        }  # fmt: skip
        ours = average_precision(given, own, KNOWN, frames)
        path.write_text(json.dumps({"coco": coco["map50"], "ours": ours["map50"]}))
    return json.loads(path.read_text())


def run_of(folder: Path, name: str) -> DetectorRun:
    """The run of a fold and model."""
    return DetectorRun(folder / name.replace(" ", "_").replace(",", ""))


def begun(folder: Path, name: str, row: Row) -> None:
    """Begins a run with the stages of others, where these are finished."""
    run, first, second = (run_of(folder, which) for which in (name, row.first, row.second))
    if run.path.exists() or not first.finished:
        return
    scratch = run.path.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(first.path, scratch)
    DetectorRun(scratch).metrics_path.unlink()
    DetectorRun(scratch).write_config(replace(first.read_config(), model=row.model))
    if row.second:
        shutil.copytree(second.refiner.path, scratch / second.refiner.path.name)
    scratch.rename(run.path)


def trained(folder: Path, name: str, boxes: Path, cache: Path, options) -> DetectorRun:
    """The finished run of a fold and model; those that it begins with must be finished."""
    row = MODELS[name]
    keras.backend.clear_session()
    if row.tuned:
        start = run_of(folder, row.tuned)
        return finetune_detector(start, run_of(folder, name).path, cache=cache, verbose=0)
    if row.first:
        begun(folder, name, row)
    training = usual_detector_training(row.model)
    if options.epochs:
        training = replace(training, epochs=options.epochs)
    return train_detector(
        folder / "clips.csv", boxes, run_of(folder, name).path, model=row.model,
        each=options.each, training=training, cache=cache, verbose=0,
    )  # fmt: skip


def frame_step(config: DetectorConfig) -> Callable[[], object]:
    """Runs a random detector's step on one frame, in TFLite on one thread.

    What goes in lies there already: an app swaps the buffers of its states and copies nothing.
    """
    from ai_edge_litert.interpreter import Interpreter

    model = in_parts(build_detector(config, len(NAMES)))
    refiner = build_refiner(config, len(NAMES)) if config.refine else None
    what = DeployableDetector(model, config, NAMES, 0.5, 5.0, refiner)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "step.tflite"
        write_tflite(what, "float32", [], path)
        light = Interpreter(model_content=path.read_bytes(), num_threads=1)
    light.allocate_tensors()
    for given in light.get_input_details():
        light.set_tensor(given["index"], np.zeros(given["shape"], given["dtype"]))
    return light.invoke


def milliseconds(runs: dict[str, Callable[[], object]], rounds: int = 7) -> dict[str, float]:
    """Median ms of each; in every round each has its turn, some runs in a row as in a stream.

    The first of a turn, which finds another's memory in the caches, does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            for _ in range(IN_A_ROW):
                begun = time.perf_counter()
                run()
                times[name].append(1000 * (time.perf_counter() - begun))
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    """Trains, judges and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of class folders with boxes.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="NAME")
    parser.add_argument("--coco", type=Path, help="the npm package with COCO's detector")
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--each", type=int, default=8, help="stretches of a clip")
    parser.add_argument("--epochs", type=int, help="default: the usual")
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "pycocotools", "numpy")
    boxes = options.clips / "boxes.json"
    coco = CocoDetector(options.coco, 0.01) if options.coco else None
    models = {name: MODELS[name] for name in options.models}
    rows: dict[str, list[dict]] = {name: [] for name in models}
    pairs: list[dict] = []
    folds = tested(contiguous(read_index(options.clips), 0))[: options.folds]
    for number, clips in enumerate(folds):
        folder = options.out / f"fold{number}"
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "clips.csv").exists():
            write_index(clips, folder / "clips.csv")
        for name in models:
            run = trained(folder, name, boxes, options.out / "cache", options)
            rows[name].append(run.read_metrics())
            if coco and name == BEST:
                pairs.append(judged(coco, run))
            print(f"fold {number}, {name}: mAP@0.5 {rows[name][-1]['map50']:.3f}", flush=True)
        text = table(rows, pairs)
        print(text, flush=True)
        (options.out / "table.md").write_text(text)
    steps = {
        name: frame_step(row.model) for name, row in models.items() if not (row.tuned or row.second)
    }
    for name, each in milliseconds(steps).items():
        print(f"{name}: {each:.1f} ms a frame in TFLite, one thread")


def table(rows: dict[str, list[dict]], pairs: list[dict]) -> str:
    """Mean and standard deviation over folds, as Markdown."""

    def cell(values: list[float]) -> str:
        return f"{statistics.mean(values):.3f} ± {deviation(values):.3f}"

    labels = list(next(iter(rows.values()))[0]["ap50"])
    lines = [
        f"| | mAP@0.5 | mAP | any class @0.5 | {' | '.join(labels)} |",
        f"| --- | {'---: | ' * (3 + len(labels))}".rstrip(),
    ]
    for name, made in rows.items():
        if not made:
            continue
        cells = [cell([m[key] for m in made]) for key in ("map50", "map", "found50")]
        for label in labels:
            there = [m["ap50"][label] for m in made if m["ap50"][label] is not None]
            cells.append(cell(there))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if pairs:
        ours, other = ([pair[key] for pair in pairs] for key in ("ours", "coco"))
        lines.append(f"\n{' and '.join(KNOWN)} alone, mAP@0.5: ours {cell(ours)}, ")
        lines[-1] += f"{TEACHER} {cell(other)}"
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
