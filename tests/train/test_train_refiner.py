"""A detector's second stage: what it is taught, that it learns, and that it goes on when killed."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest
import tensorflow as tf
from squares import AUGMENT, MODEL, TRAINING, write_films

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.data import read_index
from sora_tf.data.boxes import NOTHING, UNSEEN
from sora_tf.models.refiner import boxes_in_windows, windows_of
from sora_tf.tasks.detect import StreamingDetector
from sora_tf.train.detector import train_detector
from sora_tf.train.evaluate_detector import evaluate_detector
from sora_tf.train.refiner import GIVEN, OWN, crops_to_learn
from sora_tf.train.refiner_loss import RefinerLoss
from sora_tf.video import read

REFINED = replace(MODEL, refine=32, refined=2)
N = GIVEN + OWN


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_films(tmp_path_factory.mktemp("films"))


def trained(films, out, **settings):
    callbacks = settings.pop("callbacks", ())
    return train_detector(
        films, films / "boxes.json", out, model=settings.pop("model", REFINED), each=3,
        training=replace(TRAINING, **settings), augment=AUGMENT, callbacks=callbacks, verbose=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def run(films, tmp_path_factory):
    return trained(films, tmp_path_factory.mktemp("run") / "run")


def test_the_second_stage_says_better_where_things_are(run):
    both = run.read_metrics()
    assert both["map50"] > 0.8
    config = run.read_config()
    run.write_config(replace(config, model=replace(config.model, refine=0)))
    first = evaluate_detector(run)
    run.write_config(config)
    assert evaluate_detector(run)["map"] == pytest.approx(both["map"])
    assert both["map"] > first["map"] + 0.05  # strict overlaps count here


def test_the_run_holds_what_it_says(run):
    names = {path.name for path in run.refiner.path.iterdir()}
    assert names == {"model.keras", "history.csv", "curves.png", "checkpoint"}


@pytest.mark.slow  # minutes of building graphs
def test_it_goes_on_after_a_kill(films, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1 and self.model.name == "refiner":
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(films, tmp_path / "run", epochs=2, callbacks=[Stop()])
    assert not (tmp_path / "run/metrics.json").exists()
    first = (tmp_path / "run/model.keras").stat().st_mtime_ns
    run = trained(films, tmp_path / "run", epochs=2)
    assert run.finished
    assert run.model_path.stat().st_mtime_ns == first  # the first stage was done
    history = (run.refiner.path / "history.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in history] == ["epoch", "1", "2"]


def rows(*given, most=3):
    made = np.full((1, most, 5), NOTHING, np.float32)
    made[0, : len(given)] = given
    return made


PICTURES = np.zeros((1, 60, 80, 3), np.uint8)


def lesson(given, seed=0):
    crops, told = crops_to_learn(PICTURES, tf.constant(given), tf.constant([seed, 1]), 16, 2)
    assert crops.shape == (N, 16, 16, 3)
    return told.numpy()


def test_crops_around_a_given_box_lead_back_to_it():
    box = [30, 20, 16, 12]
    sizes = []
    for seed in range(20):
        told = lesson(rows([*box, 1]), seed)
        things = told[:GIVEN]
        things = things[things[:, 4] != UNSEEN]
        assert (things[:, 4] == 1).all()
        # The shape of a box does not depend on the window that it is seen in.
        np.testing.assert_allclose(things[:, 2] / things[:, 3], 16 / 12, rtol=1e-4)
        sizes += list(16 / things[:, 2])
        assert (told[GIVEN:, 4] == UNSEEN).all()  # the detector found no box
    assert np.std(sizes) > 3  # windows differ


def test_boxes_of_the_detectors_own_are_things_or_nothing():
    found, far = [32, 21, 16, 12, 2], [2, 40, 8, 8, 2]
    told = np.concatenate(
        [lesson(rows([30, 20, 16, 12, 0], far), seed)[GIVEN:] for seed in range(5)]
    )
    assert (told[:, 4] == NOTHING).all()
    told = lesson(rows([30, 20, 16, 12, 0], found))[GIVEN:]
    left, top, side = windows_of(np.float32(found[:4])).numpy()
    wanted = [(30 - left) / side, (20 - top) / side, 16 / side, 12 / side, 0]
    np.testing.assert_allclose(told, [wanted] * OWN, rtol=1e-5)


def test_frames_nobody_looked_at_teach_nothing():
    unseen = np.full((1, 3, 5), UNSEEN, np.float32)
    assert (lesson(unseen)[:, 4] == UNSEEN).all()


def test_a_frame_without_things_teaches_what_none_is():
    told = lesson(rows([10, 10, 8, 8, 2]))
    assert (told[:GIVEN, 4] == UNSEEN).all()
    assert (told[GIVEN:, 4] == NOTHING).all()


def test_loss_by_hand():
    loss = RefinerLoss(shape=2.0, smoothing=0.0)
    said = np.float32([[np.log(3), np.log(4), 0, 0, 0, 0, 0]])
    box = boxes_in_windows(said[:, 3:]).numpy()[0]
    found = float(loss(np.float32([[*box, 0]]), said))
    assert found == pytest.approx(-np.log(0.75) - np.log(0.8), rel=1e-5)
    assert float(loss(np.float32([[*box, NOTHING]]), said)) == pytest.approx(
        -np.log(0.25), rel=1e-5
    )
    assert float(loss(np.float32([[*box, UNSEEN]]), said)) == 0
    # A box of the same size beside it: no overlap, and a hull of twice its area is full.
    beside = [box[0] + box[2], *box[1:], 0]
    assert float(loss(np.float32([beside]), said)) == pytest.approx(found + 2.0, rel=1e-4)


def test_loss_config():
    loss = RefinerLoss(1.5, 0.1)
    assert RefinerLoss.from_config(loss.get_config()).get_config() == loss.get_config()


def test_detect_uses_both_stages(run, tmp_path):
    path = next(clip.path for clip in read_index(run.path / "split.csv") if clip.split == "test")
    out = tmp_path / "boxes.parquet"
    assert main(["detect", str(run.path), path, "-o", str(out), "--threshold", "0.05"]) == 0
    config, frames = run.read_config(), read(path).frames
    both, first = (
        StreamingDetector(run.load_model(), config.model, config.labels, 0.05, refiner)
        for refiner in (run.load_refiner(), None)
    )
    found = parquet.read_table(out).to_pandas()
    found = found.sort_values(["frame", "score"])[["left", "top", "width", "height"]].to_numpy()
    wanted, alone = both.detect(frames), first.detect(frames)
    order = np.lexsort((wanted.scores, wanted.frames))
    assert len(found) == len(wanted) > 0
    np.testing.assert_allclose(found, wanted.boxes[order], atol=0.01)
    best = [boxes.boxes[np.argmax(boxes.scores)] for boxes in (wanted, alone)]
    assert np.abs(best[0] - best[1]).max() > 0.2  # pixels
