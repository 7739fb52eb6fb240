import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest
import tensorflow as tf
from run_folders import history, kill_after_an_epoch

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.data import Augment, clip_dataset, read_index, write_digits, write_index
from sora_tf.models import build_sora
from sora_tf.models.sora import SCORES
from sora_tf.tasks.embed import embed_to_table
from sora_tf.tasks.windows import Reading
from sora_tf.train import Run, RunError, evaluate_run, train_classifier
from sora_tf.train.distill import distill
from sora_tf.train.lessons import (
    LOGITS,
    VECTOR,
    FrameRelations,
    Lesson,
    SoftenedScores,
)
from sora_tf.train.run import load_model
from sora_tf.train.taught import with_answers
from sora_tf.train.teacher import (
    RELATIONS,
    View,
    ask_run,
    ask_table,
    outspoken,
)
from sora_tf.train.unlabelled import read_unlabelled

CHANCE = 0.25


@pytest.fixture(scope="module")
def teacher(digits, settings, cache, tmp_path_factory):
    """A run that knows something."""
    training = replace(settings["training"], epochs=25)
    out = tmp_path_factory.mktemp("teacher") / "run"
    return train_classifier(
        digits / "index.csv", out, **{**settings, "training": training, "cache": cache}
    )


@pytest.fixture(scope="module")
def table(teacher, digits, tmp_path_factory):
    """Its vectors of all its clips."""
    config = teacher.read_config().model
    out = tmp_path_factory.mktemp("table") / "vectors.parquet"
    paths = [clip.path for clip in read_index(digits / "index.csv")]
    list(embed_to_table(teacher.load_model(), paths, Reading(config.frames, config.size), out, ""))
    return out


@pytest.fixture(scope="module")
def more(tmp_path_factory):
    """More clips, in one folder whose name says nothing."""
    folder = tmp_path_factory.mktemp("more")
    write_digits(folder / "labelled", {"train": 160}, seed=5)
    (folder / "clips").mkdir()
    for number, path in enumerate(sorted((folder / "labelled").glob("*/*.mp4"))):
        shutil.move(path, folder / "clips" / f"{number}.mp4")
    return folder / "clips"


def test_a_run_and_its_table_teach_the_same(teacher, table, cache):
    clips = read_index(teacher.path / "split.csv")[::7]
    asked = ask_run(teacher, clips, cache, features=True)
    looked_up = ask_table(table, clips, features=True)
    assert ask_run(teacher, clips, cache).features is ask_table(table, clips).features is None
    np.testing.assert_allclose(asked.vectors, looked_up.vectors, atol=1e-5)
    np.testing.assert_allclose(asked.relations, looked_up.relations, atol=1e-5)
    np.testing.assert_allclose(asked.features, looked_up.features, atol=1e-2)  # half precision
    assert np.abs(asked.features).max() > 0.5
    assert list(looked_up.frames) == [8] * len(clips)
    assert looked_up.scores is None


def test_a_teacher_says_what_its_model_says(teacher, cache, settings):
    config = teacher.read_config()
    clips = read_index(teacher.path / "split.csv")[5:11]
    answers = ask_run(teacher, clips, cache)
    dataset = clip_dataset(clips, config.labels, frames=8, size=(28, 28))
    scores = np.concatenate([teacher.load_model().predict_on_batch(b) for b, _ in dataset])
    np.testing.assert_allclose(tf.nn.softmax(answers.scores), scores, atol=1e-5)
    # Frame vectors say what their relations are in another way.
    frames = outspoken(teacher.load_model()).predict_on_batch(next(iter(dataset))[0])
    x = frames["frame_vectors"][0].astype(float)
    cos = [[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in x] for a in x]
    np.testing.assert_allclose(answers.relations[0], cos, atol=1e-5)


def test_a_teacher_is_asked_once(teacher, cache, monkeypatch):
    clips = read_index(teacher.path / "split.csv")[:4]
    first = ask_run(teacher, clips, cache)
    monkeypatch.setattr("sora_tf.train.teacher.clip_dataset", None)
    np.testing.assert_array_equal(ask_run(teacher, clips, cache).scores, first.scores)


def test_what_cannot_be_read_is_not_taught(teacher, digits, cache, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    clips = read_index(digits / "index.csv")[:2]
    answers = ask_run(teacher, [replace(clips[0], path=str(bad), group=""), *clips], cache)
    assert list(answers.known) == [False, True, True]
    assert np.isfinite(answers.of([1, 2]).vectors).all()
    with pytest.raises(RunError, match="not one clip could be read"):
        ask_run(teacher, [replace(clips[0], path=str(bad), group="")], cache)


def test_unlabelled_clips_alone_teach(teacher, digits, more, settings, cache, tmp_path):
    """No label is seen; the clips that judge are those of digits the student never saw."""
    training = replace(settings["training"], epochs=15)
    arguments = {**settings, "training": training, "cache": cache}
    run = distill(None, tmp_path / "run", teacher.path, unlabelled=more, **arguments)
    assert run.read_config().labels == teacher.read_config().labels
    assert run.read_metrics()["distilled"]["labelled"] is False
    assert all(float(row["accuracy"]) == 0 for row in history(run))  # no label weighs anything
    test = [clip for clip in read_index(digits / "index.csv") if clip.split != "train"]
    write_index(test, tmp_path / "test.csv")
    accuracy = evaluate_run(run, tmp_path / "test.csv")["accuracy"]
    own = evaluate_run(teacher, tmp_path / "test.csv")["accuracy"]
    assert own > CHANCE + 0.3
    assert accuracy > CHANCE + 0.25


def test_vectors_alone_are_learnt_best_where_the_loss_is_least(
    teacher, more, settings, cache, tmp_path
):
    """Nobody taught it to name classes, so that how it names them chooses no epoch."""
    training = replace(settings["training"], epochs=3)
    arguments = {**settings, "training": training, "cache": cache, "unlabelled": more}
    lesson = Lesson(labels=0, scores=0)
    run = distill(None, tmp_path / "run", teacher.path, lesson=lesson, **arguments)
    rows = history(run)
    assert set(rows[0]) == {"epoch", "loss", f"{VECTOR}_loss", f"{RELATIONS}_loss"}
    losses = [float(row["loss"]) for row in rows]
    assert min(losses) == losses[-1]
    last = {weight.name: weight.numpy() for weight in load_model(run.checkpoint()[0]).weights}
    for weight in run.load_model().weights:
        np.testing.assert_array_equal(weight.numpy(), last[weight.name], weight.name)


@pytest.fixture(scope="module")
def distilled(teacher, digits, more, settings, cache, tmp_path_factory):
    """A student of labels, of the teacher, and of clips without labels."""
    out = tmp_path_factory.mktemp("distilled") / "run"
    training = replace(settings["training"], epochs=2)
    arguments = {**settings, "training": training, "cache": cache, "unlabelled": more}
    return distill(digits / "index.csv", out, teacher.path, **arguments)


def test_a_student_is_an_ordinary_run(distilled, teacher, run, more, settings):
    ordinary = {path.name for path in run.path.iterdir()}
    found = {path.name for path in distilled.path.iterdir()}
    assert found == ordinary | {"distill.json", "unlabelled.csv"}
    plain = build_sora(settings["model"], 4)
    model = distilled.load_model()
    assert [w.shape for w in model.get_weights()] == [w.shape for w in plain.get_weights()]
    assert model.output_names == [SCORES]
    assert model.optimizer is None  # the learner's would not fit it
    rows = history(distilled)
    terms = {f"{name}_loss" for name in (SCORES, LOGITS, VECTOR, RELATIONS)}
    usual = {"epoch", "loss", "accuracy", "val_loss", "val_accuracy", f"val_{SCORES}_loss"}
    assert set(rows[0]) == terms | usual
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    # The loss is the sum of its terms, each with weight 1.
    assert sum(float(rows[0][name]) for name in terms) == pytest.approx(float(rows[0]["loss"]))
    done = distilled.read_metrics()["distilled"]
    assert done["taught"] == {"scores": 1.0, "vector": 1.0, "relations": 1.0}
    assert done["teacher"] == str(teacher.path)
    assert len(read_unlabelled(distilled.path / "unlabelled.csv")) == 160
    path, _ = distilled.checkpoint()
    assert int(load_model(path).optimizer.iterations) == 2 * (64 + 160) // 8


def test_the_split_is_the_teachers(distilled, teacher):
    parts = [read_index(run.path / "split.csv") for run in (distilled, teacher)]
    assert parts[0] == parts[1]


def test_the_best_epoch_is_kept(distilled, tmp_path):
    best = max(float(row["val_accuracy"]) for row in history(distilled))
    copy = Run(shutil.copytree(distilled.path, tmp_path / "copy"))
    assert evaluate_run(copy, part="val")["accuracy"] == pytest.approx(best)


def test_a_finished_one_is_not_trained_again_and_another_refused(
    distilled, teacher, run, digits, more, settings
):
    before = distilled.model_path.stat().st_mtime_ns
    source = digits / "index.csv"
    distill(source, distilled.path, teacher.path, unlabelled=more, **settings)
    assert distilled.model_path.stat().st_mtime_ns == before
    with pytest.raises(RunError, match="taught in another way"):
        distill(source, distilled.path, teacher.path, **settings)
    with pytest.raises(RunError, match="holds another run"):
        distill(source, run.path, teacher.path, **settings)


def test_a_table_teaches_all_vectors(table, digits, settings, cache, tmp_path, caplog):
    training = replace(settings["training"], epochs=1)
    arguments = {**settings, "training": training, "cache": cache}
    lesson = Lesson(features=0.5)
    run = distill(digits / "index.csv", tmp_path / "run", table, lesson=lesson, **arguments)
    taught = {"vector": 1.0, "relations": 1.0, "features": 0.5}
    assert run.read_metrics()["distilled"]["taught"] == taught
    assert "not taught: scores, for the teacher names no classes" in caplog.text
    assert f"{LOGITS}_loss" not in history(run)[0]


def test_a_killed_one_goes_on_after_its_last_epoch(teacher, digits, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "sora_tf.cli", "distill", str(digits / "index.csv"),
               "--teacher", str(teacher.path), "--out", str(out),
               "--model", "micro", "--augment", "none", "--epochs", "4"]  # fmt: skip
    kill_after_an_epoch(command, out)
    before = Run(out).checkpoint()[1]
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert f"Epoch {len(before)}/4" not in second.stdout
    assert "taught: scores × 1, vector × 1, relations × 1" in second.stdout
    rows = history(Run(out))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[0]["loss"]) == before[0]["loss"]
    assert int(load_model(Run(out).checkpoint()[0]).optimizer.iterations) == 4 * 8


def test_a_kill_before_the_metrics_say_what_was_taught(distilled, teacher, digits, more, settings):
    copy = Run(shutil.copytree(distilled.path, distilled.path.parent / "killed"))
    metrics = copy.read_metrics()
    del metrics["distilled"]
    copy.metrics_path.write_text(json.dumps(metrics))
    distill(digits / "index.csv", copy.path, teacher.path, unlabelled=more, **settings)
    assert copy.read_metrics()["distilled"]["taught"]["vector"] == 1.0
    assert history(copy) == history(distilled)


def test_teacher_and_student_see_the_same_variation(teacher, digits, cache, settings):
    """A student that is the teacher says of each varied clip what the teacher said of it."""
    view = View(Augment(flip=False), seed=3)
    clips = read_index(digits / "index.csv")[:9]
    numbers = [str(number) for number in range(9)]
    answers, plain = (ask_run(teacher, clips, cache, view=v) for v in (view, None))
    assert np.abs(answers.vectors - plain.vectors).max() > 1e-2
    batches = clip_dataset(
        [replace(clip, label=name) for clip, name in zip(clips, numbers, strict=True)], numbers,
        frames=8, size=(28, 28), batch_size=4, training=True, augment=view.augment, seed=view.seed,
        cache=cache,
    )  # fmt: skip
    model = outspoken(teacher.load_model())
    labels = np.zeros((9, 1)), np.zeros(9)
    terms = {"scores": 1.0, "vector": 1.0, "relations": 1.0}
    for clip, targets, _ in with_answers(batches, labels, answers, terms, 8):
        given = model.predict_on_batch(clip)
        np.testing.assert_allclose(targets[VECTOR], given["global_vector"], atol=1e-4)
        np.testing.assert_allclose(targets[LOGITS], given[SCORES], atol=1e-3)


def test_a_student_is_taught_by_views(teacher, digits, settings, cache, tmp_path):
    training = replace(settings["training"], epochs=3)
    arguments = {**settings, "training": training, "cache": cache,
                 "lesson": Lesson(views=2, features=1.0),
                 "augment": Augment(flip=False)}  # fmt: skip
    run = distill(digits / "index.csv", tmp_path / "run", teacher.path, **arguments)
    taught = set(run.read_metrics()["distilled"]["taught"])
    assert taught == {"scores", "vector", "relations", "features"}
    rows = history(run)
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    first, *_, last = (float(row["teacher_features_loss"]) for row in rows)
    assert last < 0.9 * first
    assert "val_teacher_features_loss" not in rows[0]


def complaint(capsys):
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("sora-tf: ")]
    return line


def test_a_teacher_that_does_not_fit_is_one_line(
    teacher, table, digits, more, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    clips = [clip for clip in read_index(digits / "index.csv") if "left" in clip.label]
    write_index(clips, tmp_path / "two.csv")
    rows = parquet.read_table(table)
    parquet.write_table(rows.slice(3), tmp_path / "short.parquet")
    parquet.write_table(rows.drop(["frame_vectors"]), tmp_path / "poor.parquet")
    (tmp_path / "text.parquet").write_text("no table")
    (tmp_path / "empty").mkdir()
    before = sorted(os.listdir(tmp_path))
    index, run = str(digits / "index.csv"), str(teacher.path)
    for arguments, words in (
        ([index, "--teacher", "nowhere"], "there is no teacher nowhere"),
        ([index, "--teacher", "empty"], "there is no run in empty"),
        (["two.csv", "--teacher", run], "must know the classes left, left-fast, got one of"),
        ([index, "--teacher", "short.parquet"], "but lacks 3 of 64, "),
        ([index, "--teacher", str(table), "--views", "2"], "views must be 0 with a table"),
        ([index, "--teacher", "poor.parquet"], "but lacks frame_vectors"),
        ([index, "--teacher", "text.parquet"], "must be a run folder or a Parquet table, but"),
        (["--teacher", run], "source or unlabelled must be given"),
        (["--teacher", str(table), "--unlabelled", str(more)], "must be a run with classes"),
        ([index, "--teacher", run, "--unlabelled", "empty"], "found no clips in empty"),
        ([index, "--teacher", run, "--unlabelled", "no.csv"], "no folder or table no.csv"),
        ([index, "--teacher", run, "--scores", "-1"], "scores must be from 0.0"),
    ):
        assert main(["distill", *arguments, "--out", "run", "--model", "micro"]) == 1
        assert words in complaint(capsys)
        assert sorted(os.listdir(tmp_path)) == before


def test_a_teacher_of_other_classes_teaches_its_vectors(
    teacher, digits, settings, cache, tmp_path, caplog
):
    clips = [clip for clip in read_index(digits / "index.csv") if "left" in clip.label]
    write_index(clips, tmp_path / "two.csv")
    training = replace(settings["training"], epochs=1)
    arguments = {**settings, "training": training, "cache": cache, "lesson": Lesson(scores=0)}
    run = distill(tmp_path / "two.csv", tmp_path / "run", teacher.path, **arguments)
    assert set(run.read_metrics()["distilled"]["taught"]) == {"vector", "relations"}
    assert "the teacher was trained on" not in caplog.text
    clips = [replace(clip, split={"train": "test", "test": "train"}.get(clip.split, clip.split))
             for clip in clips]  # fmt: skip
    write_index(clips, tmp_path / "turned.csv")
    distill(tmp_path / "turned.csv", tmp_path / "other", teacher.path, **arguments)
    assert "the teacher was trained on 32 of the clips" in caplog.text


def test_the_learner_loads_again_with_its_losses(distilled):
    model = load_model(distilled.checkpoint()[0])
    assert isinstance(model.loss[LOGITS], SoftenedScores)
    assert isinstance(model.get_layer(RELATIONS), FrameRelations)
    assert keras.mixed_precision.global_policy().name == "float32"
