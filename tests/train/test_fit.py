import csv
import json
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from run_folders import kill_after_an_epoch

from sora_tf._keras import keras
from sora_tf.config import SoraConfig, micro
from sora_tf.data import Augment, Clip, read_index, write_index
from sora_tf.train import Run, RunError, TrainConfig, evaluate_run, train_classifier
from sora_tf.train.fit import class_weights, compile_model

FILES = {
    "config.json", "labels.txt", "split.csv", "model.keras", "history.csv", "metrics.json",
    "predictions.csv", "curves.png", "confusion.png", "checkpoint",
}  # fmt: skip


def test_a_run_leaves_files_people_can_open(run):
    assert {path.name for path in run.path.iterdir()} == FILES
    config = json.loads((run.path / "config.json").read_text())
    assert config["labels"] == ["left", "left-fast", "right", "right-fast"]
    assert config["training"]["seed"] == 0
    assert config["versions"]["tensorflow"].startswith("2.17")
    assert config["clip_seconds"] == pytest.approx(1.0)  # 8 frames at 8 frames/s
    assert (run.path / "labels.txt").read_text().split() == config["labels"]
    with open(run.path / "history.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    with open(run.path / "predictions.csv") as file:
        predictions = list(csv.DictReader(file))
    metrics = run.read_metrics()
    assert len(predictions) == metrics["clips"] == 16
    right = sum(row["label"] == row["predicted"] for row in predictions)
    assert right / 16 == metrics["accuracy"]


def test_the_best_model_is_the_one_that_is_kept(run):
    with open(run.path / "history.csv") as file:
        best = max(float(row["val_accuracy"]) for row in csv.DictReader(file))
    copy = shutil.copytree(run.path, run.path.parent / "copy")
    assert evaluate_run(Run(copy), part="val")["accuracy"] == best


def test_a_finished_run_is_not_trained_again(run, digits, settings):
    before = run.model_path.stat().st_mtime_ns
    train_classifier(digits / "index.csv", run.path, **settings)
    assert run.model_path.stat().st_mtime_ns == before


def test_another_model_in_the_same_folder_is_refused(run, digits, settings):
    with pytest.raises(RunError, match="holds a run of another model"):
        train_classifier(digits / "index.csv", run.path, **{**settings, "model": "small"})


def test_the_same_seed_gives_the_same_run(digits, settings, tmp_path):
    short = {**settings, "training": replace(settings["training"], epochs=1)}
    one, two = (train_classifier(digits / "index.csv", tmp_path / name, **short) for name in "ab")
    first, second = (np.concatenate([w.ravel() for w in r.load_model().get_weights()])
                     for r in (one, two))  # fmt: skip
    np.testing.assert_allclose(first, second, atol=1e-5)


def test_a_killed_run_goes_on_after_its_last_epoch(digits, tmp_path):
    command = [sys.executable, "-m", "sora_tf.cli", "train", str(digits / "index.csv"),
               "--out", str(tmp_path / "run"), "--model", "micro", "--augment", "none",
               "--epochs", "4", "--batch-size", "8"]  # fmt: skip
    kill_after_an_epoch(command, tmp_path / "run")
    assert not Run(tmp_path / "run").finished
    done = len(Run(tmp_path / "run").checkpoint()[1])
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert f"Epoch {done}/4" not in second.stdout
    assert f"Epoch {done + 1}/4" in second.stdout
    with open(tmp_path / "run" / "history.csv") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]
    assert Run(tmp_path / "run").finished


def test_resuming_keeps_the_optimizer(halfway, digits, settings):
    path, history = halfway.checkpoint()
    assert len(history) == 1
    # 64 clips in batches of 8.
    assert int(keras.models.load_model(path).optimizer.iterations) == 8
    run = train_classifier(digits / "index.csv", halfway.path, **settings)
    path, history = run.checkpoint()
    assert len(history) == 3
    assert int(keras.models.load_model(path).optimizer.iterations) == 24


class Stop(keras.callbacks.Callback):
    """Interrupts a training after its first epoch."""

    def on_epoch_end(self, epoch, logs=None):
        raise KeyboardInterrupt


@pytest.fixture
def halfway(digits, settings, tmp_path):
    """A run interrupted after its first epoch."""
    with pytest.raises(KeyboardInterrupt):
        train_classifier(digits / "index.csv", tmp_path / "run", callbacks=[Stop()], **settings)
    return Run(tmp_path / "run")


def test_evaluating_an_interrupted_run_does_not_finish_it(halfway, digits, settings):
    evaluate_run(halfway)
    assert not halfway.finished
    with pytest.raises(RunError, match="is not finished"):
        halfway.read_metrics()
    run = train_classifier(digits / "index.csv", halfway.path, **settings)
    assert len(run.checkpoint()[1]) == 3


def test_other_settings_than_the_run_was_begun_with_are_named(halfway, digits, settings, caplog):
    other = {**settings, "training": replace(settings["training"], epochs=9), "fit": "cover"}
    run = train_classifier(digits / "index.csv", halfway.path, **other)
    (line,) = [r.getMessage() for r in caplog.records if "was begun with" in r.getMessage()]
    assert line == "going on with what the run was begun with: epochs 3, fit stretch"
    assert len(run.checkpoint()[1]) == 3


def test_a_run_without_a_whole_epoch_begins_anew(halfway, digits, settings):
    shutil.rmtree(halfway.path / "checkpoint")
    other = {**settings, "training": replace(settings["training"], epochs=1), "fit": "cover"}
    run = train_classifier(digits / "index.csv", halfway.path, **other)
    assert run.read_config().fit == "cover"
    assert len(run.checkpoint()[1]) == 1


def test_a_table_that_a_kill_left_behind_is_brought_up_to_date(halfway, digits, settings):
    train_classifier(digits / "index.csv", halfway.path, **settings)
    lines = (halfway.path / "history.csv").read_text().splitlines()
    (halfway.path / "history.csv").write_text("\n".join(lines[:-1]) + "\n")
    halfway.metrics_path.unlink()
    halfway.model_path.unlink()
    run = train_classifier(digits / "index.csv", halfway.path, **settings)
    assert (run.path / "history.csv").read_text().splitlines() == lines
    assert run.finished


def test_a_training_that_runs_away_is_one_clear_line(digits, settings, tmp_path):
    wild = {**settings, "training": replace(settings["training"], learning_rate=float("inf"))}
    with pytest.raises(RunError, match=r"must be a number, got nan in epoch 1.*Lower the learning"):
        train_classifier(digits / "index.csv", tmp_path / "run", **wild)


def test_a_bad_clip_is_skipped_named_and_counted(digits, settings, tmp_path):
    clips = read_index(digits / "index.csv")
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"not a video")
    extra = [Clip(str(bad), "left", split="train"), Clip(str(bad), "left", 0.0, 1.0, "x", "test")]
    write_index([*clips, *extra], tmp_path / "index.csv")
    short = {**settings, "training": replace(settings["training"], epochs=1)}
    run = train_classifier(tmp_path / "index.csv", tmp_path / "run", **short)
    metrics = run.read_metrics()
    assert metrics["clips"] == 16
    # Those of training count too, so that the exit code says that some failed.
    assert [line.split(": ")[0] for line in metrics["skipped"]] == [str(bad), f"{bad} [0-1]"]


def test_only_bad_clips_is_one_clear_line(settings, tmp_path):
    for label in "ab":
        for number in range(4):
            path = tmp_path / "clips" / label / f"{number}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"not a video")
    with pytest.raises(RunError, match="not one training clip could be read"):
        train_classifier(tmp_path / "clips", tmp_path / "run", **settings)


def test_one_class_is_refused_and_nothing_is_left(digits, settings, tmp_path):
    (tmp_path / "clips").mkdir()
    shutil.copytree(digits / "left", tmp_path / "clips" / "left")
    with pytest.raises(ValueError, match="at least 2 classes"):
        train_classifier(tmp_path / "clips", tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [(None, "there is no run"), ("{", "does not read"), ('{"labels": []}', "does not read")],
)
def test_a_folder_that_is_no_run(tmp_path, text, words):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(RunError, match=words):
        evaluate_run(Run(tmp_path))


def test_a_run_without_a_model_or_with_a_broken_one(run, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    copy.model_path.write_bytes(b"broken")
    with pytest.raises(RunError, match=r"is not a \.keras file"):
        evaluate_run(copy)
    with zipfile.ZipFile(copy.model_path, "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(RunError, match="does not load"):
        evaluate_run(copy)
    copy.model_path.unlink()
    with pytest.raises(RunError, match=r"no model.keras yet"):
        evaluate_run(copy)
    with pytest.raises(RunError, match="is not finished"):
        copy.read_metrics()


def test_files_of_a_run_that_do_not_read_are_named(run, digits, settings, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    copy.metrics_path.write_text("{")
    with pytest.raises(RunError, match=r"metrics\.json does not read.*sora-tf evaluate"):
        copy.read_metrics()
    copy.metrics_path.unlink()
    (history,) = copy.path.glob("checkpoint/*/history.json")
    history.write_text("{")
    with pytest.raises(RunError, match=r"the checkpoint .*epoch-00003 does not read"):
        train_classifier(digits / "index.csv", copy.path, **settings)


def test_evaluating_other_clips(run, digits, tmp_path):
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    clips = [clip for clip in read_index(digits / "index.csv") if clip.label == "left"][:5]
    write_index(clips, tmp_path / "left.csv")
    metrics = evaluate_run(copy, tmp_path / "left.csv")
    assert metrics["clips"] == metrics["per_class"]["left"]["clips"] == 5
    write_index([replace(clip, label="up") for clip in clips], tmp_path / "up.csv")
    with pytest.raises(RunError, match="does not know the labels up"):
        evaluate_run(copy, tmp_path / "up.csv")
    with pytest.raises(RunError, match="no clips in the split 'other'"):
        evaluate_run(copy, part="other")


def test_class_weights_by_hand():
    clips = [Clip(f"{i}.mp4", "a" if i < 3 else "b") for i in range(4)]
    # 4 / (2·3) and 4 / (2·1); nothing is known of c.
    weights = class_weights(clips, ["a", "b", "c"])
    assert weights == pytest.approx({0: 2 / 3, 1: 2.0, 2: 0.0})


@pytest.mark.parametrize("name", ["epochs", "batch_size", "learning_rate"])
def test_bad_settings_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        TrainConfig(**{name: 0})


def test_mixed_precision_and_mixup_train(digits, settings, tmp_path):
    training = replace(settings["training"], epochs=1, mixed_precision=True, label_smoothing=0.1)
    chosen = {**settings, "training": training, "augment": Augment(flip=False, mixup=0.2)}
    run = train_classifier(digits / "index.csv", tmp_path / "run", **chosen)
    assert run.finished
    assert keras.mixed_precision.global_policy().name == "float32"


def test_config_of_a_run_is_a_model(run):
    assert isinstance(run.read_config().model, SoraConfig)
    assert run.read_config().model.frames == micro().frames


def test_weight_decay_spares_biases_after_a_file_as_before_it(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, bias_initializer="ones")])
    settings = TrainConfig(learning_rate=0.1, warmup=0.0, weight_decay=0.5)
    compile_model(model, settings, steps=1_000_000)
    for _ in range(2):
        kernel, bias = model.get_weights()
        nothing = [tf.zeros_like(variable) for variable in model.trainable_variables]
        model.optimizer.apply_gradients(zip(nothing, model.trainable_variables, strict=True))
        # Without a gradient w ← w - rate·decay·w, and only for the kernel.
        np.testing.assert_allclose(model.get_weights()[0], 0.95 * kernel, rtol=1e-4)
        np.testing.assert_array_equal(model.get_weights()[1], bias)
        model.save(tmp_path / "model.keras")
        model = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
