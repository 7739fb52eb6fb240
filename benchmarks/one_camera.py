"""Detectors for one camera each: two flies with boxes given, people taught by COCO's detector.

python benchmarks/one_camera.py DATA --out DIR [--only flies people] [--seeds N]

Flies: trained on the first third of `sleap`'s film, the second chooses the epoch, the last is
tested: average precision, and IDF1 and HOTA after tracking, beside the boxes given tracked by the
same tracker. People: COCO's detector boxes `pets09` from frame 65 on, a small network learns from
that, trained whole from random weights; both are judged on the boxes given for frames before 65.
DIR gets a run for each and seed, and the film with flies drawn in. Times are a frame's, TFLite,
one thread.
"""

import argparse
import csv
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from _folds import deviation
from _machine import print_machine
from detection import frame_step, milliseconds
from tracking import as_tflite, coco, first_frames, network

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.config import DetectorConfig, small
from sora_tf.data import Augment
from sora_tf.tasks.detect import StreamingDetector
from sora_tf.tasks.pseudo_label import pseudo_label, write_coco
from sora_tf.tasks.track import MOT, track_files
from sora_tf.tasks.tracking import read_mot, tracking_metrics
from sora_tf.tasks.tracking.follow import Source, Tracking
from sora_tf.train.detection_metrics import average_precision
from sora_tf.train.detector import train_detector, usual_detector_training
from sora_tf.train.settings import TrainConfig

FLIES = DetectorConfig(step=0.0, size=(512, 512))
# A quarter of its teacher's time: what is remembered costs least where maps are coarse, so the head
# alone remembers.
PEOPLE = DetectorConfig(
    step=0.0,
    size=(288, 384),
    extractor=replace(
        small().extractor,
        channels=(8, 16, 32, 64, 96),
        depths=(1, 1, 3, 2, 1),
        expansion=3,
        memory=0.0,
    ),
    channels=32,
    blocks=2,
)
JUDGED = 65  # frames of pets09 with boxes, every fifth


def index(path: Path, film: Path, parts: dict[str, tuple[float, float]]) -> Path:
    """Writes a table with parts of one film: split → start and end in s."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as beside, open(beside, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("path", "start", "end", "split"))
        table.writerows((film.resolve(), *times, split) for split, times in parts.items())
    return path


def flies(data: Path, out: Path, seed: int) -> dict[str, float]:
    """Trains, tracks and judges."""
    film = data / "sleap" / "clip.mp4"
    parts = {"train": (0, 20), "val": (20, 40), "test": (40, 60)}  # 1,500 frames at 25 a second
    run = train_detector(
        index(out / "flies.csv", film, parts), data / "sleap" / "gt.txt", out / f"flies{seed}",
        model=FLIES, each=80, cache=out / "cache", verbose=0,
        augment=Augment(speed=0.0, turn=True),  # seen from above
        training=replace(usual_detector_training(FLIES), views=6, seed=seed),
    )  # fmt: skip
    metrics = run.read_metrics()
    config = run.read_config()
    detector = StreamingDetector(
        run.load_model(), config.model, config.labels, metrics["threshold"]
    )
    source = Source(detector, config.labels, str(run.model_path.stat().st_mtime_ns))
    (answer,) = track_files([str(film)], source, out / f"tracks{seed}", Tracking())
    tracks = read_mot(Path(answer["folder"]) / MOT)
    given = read_mot(data / "sleap" / "gt.txt")
    last = [boxes.of(boxes.frames >= 1000) for boxes in (given, tracks)]
    scores = tracking_metrics(*last)
    return {
        "AP@0.5": metrics["map50"],
        "AP": metrics["map"],
        **{name: scores[name] for name in ("idf1", "hota", "mota", "switches")},
    }


def people(data: Path, out: Path, seed: int) -> dict[str, float]:
    """Teaches, trains and judges both."""
    film = data / "pets09" / "vtest.avi"
    labels = out / "people.json"
    out.mkdir(parents=True, exist_ok=True)
    if not labels.exists():
        known = pseudo_label(coco(data, 0.3), [str(film)], ("person",), 0.3, every=2)
        write_coco(known, ("person",), labels)
    parts = {"train": (JUDGED / 10, 65), "val": (65, 80)}  # 795 frames at 10 a second
    run = train_detector(
        index(out / "people.csv", film, parts), labels, out / f"people{seed}", model=PEOPLE,
        each=200, cache=out / "cache", verbose=0, augment=Augment(speed=0.0),
        training=TrainConfig(epochs=30, batch_size=4, learning_rate=3e-3, seed=seed),
    )  # fmt: skip
    frames = first_frames(data)
    config = run.read_config()
    ours = StreamingDetector(run.load_model(), config.model, config.labels, 0.01)
    teacher = coco(data, 0.01)
    theirs = teacher.detect(frames)
    theirs = theirs.of(theirs.labels == teacher.labels.index("person"))
    found = {"ours": ours.detect(frames), "teacher": theirs}
    truth = read_mot(data / "pets09" / "gt_every_5th_frame_1-65.txt")
    judged = {"film": np.unique(truth.frames)}
    return {
        f"{name} AP@0.5": average_precision(
            {"film": truth}, {"film": replace(boxes, labels=0 * boxes.labels)}, ("person",), judged
        )["map50"]
        for name, boxes in found.items()
    }


def main() -> None:
    """Trains, judges and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sleap, pets09 and weights")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="+", choices=("flies", "people"))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "pycocotools", "numpy")
    for name, judge in {"flies": flies, "people": people}.items():
        if name not in (options.only or (name,)):
            continue
        made = []
        for seed in range(options.seeds):
            keras.backend.clear_session()
            made.append(judge(options.data, options.out, seed))
            shown = ", ".join(f"{key} {value:.3f}" for key, value in made[-1].items())
            print(f"{name}, seed {seed}: {shown}", flush=True)
        for key in made[0]:
            values = [one[key] for one in made]
            print(f"{name}, {key}: {statistics.mean(values):.3f} ± {deviation(values):.3f}")
    teacher = coco(options.data, 0.3)
    step, picture = network(teacher, first_frames(options.data)[:1])
    light, _ = as_tflite(step, teacher, picture)
    steps = {"flies": frame_step(FLIES), "people": frame_step(PEOPLE), "teacher": light.invoke}
    times = milliseconds(steps, rounds=11)
    print(", ".join(f"{name} {each:.1f}" for name, each in times.items()), "ms a frame", end="")
    print(f"; people {times['people'] / times['teacher']:.2f} of the teacher")


if __name__ == "__main__":
    main()
