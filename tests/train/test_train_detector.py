"""A detector learns where things are and what they are, and its run goes on after a kill."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig, ExtractorConfig
from sora_tf.data import Augment
from sora_tf.train import Run, TrainConfig
from sora_tf.train.detector import list_videos, train_detector, usual_size
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.evaluate_detector import evaluate_detector
from sora_tf.train.run import RunError
from sora_tf.video import write

SIZE = (64, 96)
MODEL = DetectorConfig(
    frames=3,
    step=0.1,
    size=SIZE,
    extractor=ExtractorConfig(channels=(8, 16, 24, 32), depths=(1, 1, 1, 1), memory=0.25),
    stride=4,
    channels=16,
    blocks=1,
    most=4,
    dropout=0.0,
)
TRAINING = TrainConfig(epochs=15, batch_size=4, learning_rate=5e-3)
AUGMENT = Augment(crop=0.0, flip=True, colour=0.1, speed=0.0)
COLOURS = {"red": (220, 60, 60), "blue": (60, 60, 220)}


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Twenty films of 8 frames, each with a red or a blue square that moves over noise."""
    folder = tmp_path_factory.mktemp("films")
    rng = np.random.default_rng(0)
    boxes = {}
    for number in range(20):
        label = list(COLOURS)[number % 2]
        frames = rng.integers(60, 140, (8, *SIZE, 3), dtype=np.uint8)
        side = int(rng.integers(12, 25))
        x, y = rng.integers(8, SIZE[1] - side - 8), rng.integers(8, SIZE[0] - side - 8)
        dx, dy = rng.integers(-1, 2, 2)
        rows = []
        for frame in range(8):
            left, top = int(x + dx * frame), int(y + dy * frame)
            frames[frame, top : top + side, left : left + side] = COLOURS[label]
            rows.append([left, top, side, side])
        path = folder / label / f"{number}.mp4"
        path.parent.mkdir(exist_ok=True)
        write(path, frames, fps=10)
        boxes[f"{label}/{number}"] = rows
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder


def train(films, out, **settings):
    callbacks = settings.pop("callbacks", ())
    return train_detector(
        films, films / "boxes.json", out, model=MODEL, each=3,
        training=replace(TRAINING, **settings), augment=AUGMENT, callbacks=callbacks, verbose=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    return train(films, tmp_path_factory.mktemp("run") / "run")


def test_it_learns(run):
    metrics = run.read_metrics()
    assert metrics["part"] == "test"
    assert metrics["map50"] > 0.8  # a random detector: below 0.01
    assert metrics["f1"] > 0.7
    assert 0 < metrics["threshold"] < 1
    assert set(metrics["ap50"]) == {"red", "blue"}
    assert metrics["skipped"] == []


def test_the_run_holds_what_it_says(run):
    names = {path.name for path in run.path.iterdir()}
    assert names >= {
        "config.json", "labels.txt", "split.csv", "model.keras", "history.csv", "metrics.json",
        "boxes.parquet", "curves.png", "checkpoint",
    }  # fmt: skip
    assert "cache" not in names
    table = parquet.read_table(run.path / "boxes.parquet").to_pandas()
    best = table[table.score > 0.3]
    assert set(best.label) <= {"red", "blue"}
    assert (best[["width", "height"]] > 0).all().all()
    # A film of one colour holds boxes of that colour.
    right = [label in path for path, label in zip(best.path, best.label, strict=True)]
    assert np.mean(right) > 0.8


def test_judged_again_it_scores_the_same(run, films):
    before = run.read_metrics()
    assert evaluate_detector(run)["map50"] == pytest.approx(before["map50"], abs=1e-6)


def test_a_finished_run_is_not_trained_again(run, films):
    before = run.model_path.stat().st_mtime_ns
    train(films, run.path)
    assert run.model_path.stat().st_mtime_ns == before


def test_it_goes_on_after_a_kill(films, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(films, tmp_path / "run", epochs=2, callbacks=[Stop()])
    run = train(films, tmp_path / "run", epochs=2)
    assert run.finished
    history = (run.path / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "1", "2"]


def test_frozen_maps_are_what_the_network_sees(films, tmp_path):
    # Trained on kept maps, the whole network stands in the run: judging it would tell otherwise.
    run = train(films, tmp_path / "run", epochs=3, frozen=True, views=2)
    assert run.finished
    assert run.load_model().input_shape["frames"] == (None, 3, *SIZE, 3)


def test_a_run_of_the_other_kind_is_named(run, tmp_path):
    with pytest.raises(RunError, match="is of a detector, which does not name clips"):
        Run(run.path).read_config()
    with pytest.raises(RunError, match="there is no run in"):
        DetectorRun(tmp_path).read_config()


def test_other_arguments_are_refused(run, films, tmp_path):
    other = tmp_path / "other.json"
    other.write_text((films / "boxes.json").read_text())
    with pytest.raises(RunError, match="holds a run of another model, of other videos or boxes"):
        train_detector(films, other, run.path, model=MODEL)


def test_no_boxes_is_said_and_nothing_left(films, tmp_path):
    empty = tmp_path / "boxes.json"
    empty.write_text(json.dumps({"red/0": [None]}))
    with pytest.raises(ValueError, match="must hold one box, got none"):
        train_detector(films, empty, tmp_path / "run", model=MODEL)
    assert not (tmp_path / "run").exists()


def test_one_video_is_cut_in_time(films, tmp_path):
    film = films / "red" / "0.mp4"
    run = train_detector(
        film, films / "boxes.json", tmp_path / "run", model=MODEL, each=4,
        training=replace(TRAINING, epochs=1), augment=AUGMENT, verbose=0,
    )  # fmt: skip
    table = (run.path / "split.csv").read_text().splitlines()
    splits = [line.split(",")[4] for line in table[1:]]
    assert splits == ["train", "val", "test"]
    assert run.read_metrics()["boxes"] == 1  # of 0.8 s the last 0.12 s: frame 7


def test_videos_of_a_folder_and_their_size(films):
    clips = list_videos(films)
    assert {clip.label for clip in clips} == {"red", "blue"}
    assert len(clips) == 20
    assert usual_size(clips) == SIZE
    with pytest.raises(FileNotFoundError, match="there is no video"):
        list_videos(films / "gone.mp4")
