"""A detector learns where things are and what they are, and its run goes on after a kill."""

import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest
from squares import AUGMENT, MODEL, SIZE, TRAINING, train, write_films

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.data import Clip, write_index
from sora_tf.data.box_files import read_boxes
from sora_tf.train import Run
from sora_tf.train.detector import list_videos, train_detector, usual_size
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.evaluate_detector import evaluate_detector
from sora_tf.train.run import RunError


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_films(tmp_path_factory.mktemp("films"))


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


def test_maps_of_a_clip_serve_whatever_split_it_is_in(films, tmp_path):
    def trained(name, train):
        clips = [
            replace(clip, split="train" if number in train else "val")
            for number, clip in enumerate(sorted(list_videos(films), key=lambda clip: clip.path))
        ]
        write_index(clips, tmp_path / f"{name}.csv")
        train_detector(
            tmp_path / f"{name}.csv", films / "boxes.json", tmp_path / name, model=MODEL, each=2,
            training=replace(TRAINING, epochs=1, frozen=True, views=1), augment=AUGMENT,
            cache=tmp_path / "cache", verbose=0,
        )  # fmt: skip
        return {path: path.stat().st_mtime_ns for path in (tmp_path / "cache/maps").rglob("*.npz")}

    first = trained("first", range(8))
    assert len(first) == 20
    second = trained("second", range(2, 10))
    assert first.items() <= second.items()  # nothing is made again
    assert len(second) == 24  # two that are varied now, two that are not any more


def test_a_run_of_the_other_kind_is_named(run, tmp_path):
    with pytest.raises(RunError, match="is of a detector, not of a classifier"):
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


def test_parts_of_one_video_may_be_split_by_a_table(films, tmp_path):
    table = tmp_path / "clips.csv"
    film = films / "red" / "0.mp4"
    rows = [f"{film},{start},{end},{part}" for start, end, part in
            ((0, 0.5, "train"), (0.5, 0.8, "test"))]  # fmt: skip
    table.write_text("\n".join(["path,start,end,split", *rows]))
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps({"0": json.loads((films / "boxes.json").read_text())["red/0"]}))
    run = train_detector(
        table, boxes, tmp_path / "run", model=MODEL, each=9,
        training=replace(TRAINING, epochs=1), augment=AUGMENT, verbose=0,
    )  # fmt: skip
    assert run.read_config().labels == ("object",)
    assert run.read_metrics()["boxes"] == 3  # frames 5 to 7


def test_videos_of_a_folder_and_their_size(films):
    clips = list_videos(films)
    assert {clip.label for clip in clips} == {"red", "blue"}
    assert len(clips) == 20
    assert usual_size(clips) == SIZE
    with pytest.raises(FileNotFoundError, match="there is no video"):
        list_videos(films / "gone.mp4")


# The verbs.


def sora_tf(*words):
    return main([str(word) for word in words])


def test_detect_writes_a_table(run, films, tmp_path, capsys):
    film = films / "red" / "0.mp4"
    assert sora_tf("detect", run.path, film, "-o", tmp_path / "boxes.parquet") == 0
    assert "boxes on 8 frames of 1 videos" in capsys.readouterr().out
    table = parquet.read_table(tmp_path / "boxes.parquet").to_pandas()
    assert set(table.path) == {str(film)}
    assert (table.score >= run.read_metrics()["threshold"]).all()
    given = json.loads((films / "boxes.json").read_text())["red/0"]
    best = table.sort_values("score").groupby("frame").last()
    centre = best.left + best.width / 2
    truth = [given[frame][0] + given[frame][2] / 2 for frame in best.index]
    np.testing.assert_allclose(centre, truth, atol=8)


def test_detect_writes_what_can_be_trained_on(run, films, tmp_path, capsys):
    film, out = films / "blue" / "1.mp4", tmp_path / "boxes.json"
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    words = ("detect", run.path, film, bad, "-o", out, "--classes", "blue", "--every", 2)
    assert sora_tf(*words) == 3
    assert "bad.mp4" in capsys.readouterr().err
    known, labels = read_boxes(out, [Clip(str(film), "-")])
    assert labels == ("blue",)
    assert known[str(film)].frames.tolist() == [0, 2, 4, 6]


def test_evaluate_takes_the_run(run, capsys):
    before = run.read_metrics()["map50"]
    assert sora_tf("evaluate", run.path) == 0
    assert f"mAP@0.5 {before:.3f}" in capsys.readouterr().out


def test_track_takes_the_run(run, films, tmp_path, capsys):
    film = films / "red" / "0.mp4"
    words = ("track", film, "--detector", run.path, "--out", tmp_path, "--no-film", "--json")
    assert sora_tf(*words) == 0
    assert json.loads(capsys.readouterr().out)["frames"] == 8


def test_a_detector_from_the_command_line(films, tmp_path, capsys):
    words = ["train-detector", films, "--boxes", films / "boxes.json", "--out", tmp_path / "run"]
    words += ["--model", "small", "--size", 64, 96, "--frames", 2, "--step", 0.1, "--each", 1]
    words += ["--remember", 0.5, "--epochs", 1, "--augment", "none"]
    assert sora_tf(*words) == 0
    assert "test: mAP@0.5" in capsys.readouterr().out
    run = DetectorRun(tmp_path / "run")
    assert run.finished
    assert run.read_config().model.remember == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["detect", "RUN", "FILM", "-o", "boxes.csv"], "must be one of .parquet, .json"),
        (["detect", "coco", "FILM", "-o", "b.json"], "the detector coco needs --weights"),
        (["detect", "NONE", "FILM", "-o", "b.json"], "must be a run folder, an address or coco"),
        (["detect", "RUN", "NONE", "-o", "b.json"], "none of 1 videos could be read"),
        (["detect", "RUN", "FILM", "-o", "b.json", "--classes", "owl"], "must be one of blue, red"),
        (["train-detector", "NONE", "--boxes", "b.json", "--out", "r"], "there is no folder"),
        (["train-detector", "FILM", "--boxes", "b.json", "--out", "r"], "there is no file or"),
        (["classify", "RUN", "FILM"], "is of a detector, not of a classifier"),
        (["evaluate", "RUN", "--clips", "x"], "judged on its own clips, got --clips x"),
        (["evaluate", "RUN", "--cache", "x"], "as `detect` shows videos, got --cache x"),
        (["evaluate", "RUN", "--split", "x"], "the split 'x' of"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line(run, films, tmp_path, capsys, monkeypatch, words, message):
    monkeypatch.chdir(tmp_path)
    names = {"RUN": run.path, "FILM": films / "red" / "0.mp4", "NONE": tmp_path / "none"}
    assert sora_tf(*[names.get(word, word) for word in words]) == 1
    said = capsys.readouterr().err.strip().splitlines()
    assert message in said[-1]
    assert not any(line.startswith("Traceback") for line in said)
    assert list(tmp_path.iterdir()) == []
