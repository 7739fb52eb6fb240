import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from run_folders import history, kill_after_an_epoch

from sora_tf.cli import main
from sora_tf.data import read_index, write_digits
from sora_tf.models import build_sora
from sora_tf.models.sora import GLOBAL_VECTOR
from sora_tf.models.video_model import FRAMES, MASK
from sora_tf.train import Run, RunError, TrainConfig, train_classifier
from sora_tf.train.pretrain import pretrain
from sora_tf.train.questions import ORDER, SPEED, asked_model, choose, with_questions
from sora_tf.train.run import load_model
from sora_tf.train.start import take_weights


def draws(order, speed, start, keys):
    return tf.constant([[order, speed, start, *keys]], tf.float32)


def test_frames_shown_by_hand():
    # 8 frames are there, 4 are shown: of the 5 beginnings 0.5 is the third.
    places, mask, ordered, fast = choose(tf.constant([8]), 4, draws(0.1, 0.9, 0.5, [0] * 4))
    assert (places.numpy().tolist(), bool(ordered), bool(fast)) == ([[2, 3, 4, 5]], True, False)
    assert mask.numpy().all()
    # Twice as fast, 7 frames are passed over: the second of 2 beginnings.
    places, _, _, fast = choose(tf.constant([8]), 4, draws(0.1, 0.1, 0.5, [0] * 4))
    assert (places.numpy().tolist(), bool(fast)) == ([[1, 3, 5, 7]], True)
    # Sorted by their keys, the last comes first.
    keys = [0.9, 0.2, 0.3, 0.1]
    places, _, ordered, _ = choose(tf.constant([8]), 4, draws(0.9, 0.1, 0.0, keys))
    assert (places.numpy().tolist(), bool(ordered)) == ([[6, 2, 4, 0]], False)


def test_short_clips_show_as_many_frames_at_either_speed():
    for speed in (0.1, 0.9):
        places, mask, _, _ = choose(tf.constant([5]), 4, draws(0.9, speed, 0.99, [0.5] * 4))
        assert mask.numpy().tolist() == [[True, True, False, False]]
        assert places.numpy().max() < 5
    places, mask, _, _ = choose(tf.constant([1]), 4, draws(0.1, 0.1, 0.99, [0.5] * 4))
    assert places.numpy().tolist() == [[0, 0, 0, 0]]
    assert mask.numpy().sum() == 1


def test_questions_fit_the_frames_shown():
    frames = np.arange(8, dtype=np.uint8).reshape(1, 8, 1, 1, 1).repeat(64, axis=0)
    batch = {FRAMES: frames.repeat(3, axis=-1), MASK: np.ones((64, 8), bool)}
    batches = tf.data.Dataset.from_tensors((batch, np.zeros(64)))
    ((shown, answers, weights),) = with_questions(batches, 4, 0, training=True)
    numbers = shown[FRAMES].numpy()[:, :, 0, 0, 0].astype(int)
    seen = set()
    for row, order, speed, weight in zip(
        numbers, answers[ORDER][:, 0], answers[SPEED][:, 0], weights[SPEED], strict=True
    ):
        step = 2 if speed else 1
        if order:
            assert list(np.diff(row)) == [step] * 3
        else:
            assert list(np.diff(sorted(row))) == [step] * 3
        assert weight == order
        seen.add((float(order), float(speed)))
    assert len(seen) == 4


def test_training_asks_anew_and_validation_the_same():
    batch = {FRAMES: np.zeros((32, 8, 1, 1, 3), np.uint8), MASK: np.ones((32, 8), bool)}
    batches = tf.data.Dataset.from_tensors((batch, np.zeros(32)))
    for training in (True, False):
        dataset = with_questions(batches, 4, 3, training=training)
        assert dataset.cardinality() == 1
        first, second = (next(iter(dataset))[1][ORDER].numpy() for _ in range(2))
        assert (first == second).all() != training


def test_gradients_reach_extractor_and_relation(settings):
    model = build_sora(settings["model"])
    asked = asked_model(model)
    clip = np.random.default_rng(0).uniform(0, 255, (2, 8, 28, 28, 3)).astype(np.float32)
    with tf.GradientTape() as tape:
        loss = sum(tf.reduce_sum(answer) for answer in asked(clip).values())
    for gradient in tape.gradient(loss, model.trainable_weights):
        assert gradient is not None


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """Digits that go round twice in 16 frames, none with a label."""
    folder = tmp_path_factory.mktemp("clips")
    write_digits(folder, {"train": 240}, frames=16, places=8, seed=7)
    return folder


@pytest.fixture(scope="module")
def pretrained(clips, settings, cache, tmp_path_factory):
    training = replace(settings["training"], epochs=12, learning_rate=2e-3)
    out = tmp_path_factory.mktemp("pretrained") / "run"
    return pretrain(clips, out, **{**settings, "training": training, "cache": cache})


def test_it_learns_order_and_speed(pretrained):
    metrics = pretrained.read_metrics()
    assert metrics["clips"] == 36
    assert metrics["order"] > 0.5 + 0.2
    best = max(history(pretrained), key=lambda row: float(row["val_accuracy"]))
    assert float(best["val_order_accuracy"]) == metrics["order"]
    mean = (float(best["val_order_accuracy"]) + float(best["val_speed_accuracy"])) / 2
    assert float(best["val_accuracy"]) == pytest.approx(mean, abs=1e-6)


def test_the_folder_is_like_a_runs(pretrained, settings):
    found = {path.name for path in pretrained.path.iterdir()}
    assert found == {"config.json", "labels.txt", "split.csv", "model.keras", "history.csv",
                     "metrics.json", "curves.png", "checkpoint", "pretrain.json"}  # fmt: skip
    assert pretrained.finished
    assert pretrained.read_config().labels == ()
    model = pretrained.load_model()
    plain = build_sora(settings["model"])
    assert model.output_names == [GLOBAL_VECTOR]
    assert model.optimizer is None  # that of the questions would not fit it
    assert [w.shape for w in model.get_weights()] == [w.shape for w in plain.get_weights()]


def test_training_can_begin_with_it(pretrained, settings):
    model = build_sora(settings["model"], 4)
    before = model.get_layer("logits").get_weights()
    assert take_weights(model, pretrained.model_path) == ["logits"]
    for layer in pretrained.load_model().layers:
        for one, two in zip(
            layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(before[0], model.get_layer("logits").get_weights()[0])


def test_weights_of_another_model_are_refused(pretrained, settings, tmp_path):
    with pytest.raises(ValueError, match="layer 'stage0_block0_conv' is of another shape"):
        take_weights(build_sora("micro", 4), pretrained.model_path)
    with pytest.raises(ValueError, match="layer 'stem_conv' is missing"):
        take_weights(build_sora("small"), pretrained.model_path)
    (tmp_path / "x.keras").write_text("no model")
    with pytest.raises(RunError, match=r"not a \.keras file"):
        take_weights(build_sora("micro", 4), tmp_path / "x.keras")


def test_a_finished_one_is_not_trained_again_and_runs_are_refused(pretrained, run, clips, settings):
    before = pretrained.model_path.stat().st_mtime_ns
    pretrain(clips, pretrained.path, **settings)
    assert pretrained.model_path.stat().st_mtime_ns == before
    with pytest.raises(RunError, match="holds a run of another kind"):
        pretrain(clips, run.path, **settings)
    with pytest.raises(RunError, match="holds a run of another model"):
        pretrain(clips, pretrained.path, **{**settings, "model": "small"})


def test_a_killed_one_goes_on_after_its_last_epoch(digits, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "sora_tf.cli", "pretrain", str(digits / "left"), "--out",
               str(out), "--model", "micro", "--augment", "none", "--epochs", "4"]  # fmt: skip
    kill_after_an_epoch(command, out)
    before = Run(out).checkpoint()[1]
    assert not Run(out).finished
    second = subprocess.run(command, capture_output=True, text=True)
    assert second.returncode == 0, second.stderr
    assert "told in or out of order" in second.stdout
    rows = history(Run(out))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[0]["loss"]) == before[0]["loss"]
    assert int(load_model(Run(out).checkpoint()[0]).optimizer.iterations) == 4 * 3  # 20 clips


def test_test_clips_are_left_out(digits, settings, tmp_path, cache):
    training = replace(settings["training"], epochs=1)
    run = pretrain(
        digits / "index.csv", tmp_path / "run", **{**settings, "training": training, "cache": cache}
    )
    used = {clip.path for clip in read_index(run.path / "split.csv")}
    test = {clip.path for clip in read_index(digits / "index.csv") if clip.split == "test"}
    assert not used & test
    assert len(used) == 64 + 16


def complaint(capsys):
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("sora-tf: ")]
    return line


def test_bad_input_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for arguments, words in (
        (["nowhere"], "there is no folder or table nowhere"),
        (["empty"], "found no clips in empty"),
        (["empty", "--epochs", "0"], "epochs must be at least 1"),
        (["empty", "--model", "huge"], "preset must be one of"),
    ):
        assert main(["pretrain", *arguments, "--out", "run"]) == 1
        assert words in complaint(capsys)
        assert os.listdir(tmp_path) == ["empty"]


def test_train_begins_with_it(pretrained, clips, settings, tmp_path):
    # A rate of next to nothing leaves the weights where they began.
    begun = TrainConfig(epochs=1, learning_rate=1e-9, weights=str(pretrained.model_path))
    made = train_classifier(clips, tmp_path / "run", model=settings["model"], training=begun)
    for layer in pretrained.load_model().layers:
        trained = made.load_model().get_layer(layer.name)
        for one, two in zip(layer.trainable_weights, trained.trainable_weights, strict=True):
            np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-6)


def test_weights_must_be_known_or_a_file():
    with pytest.raises(ValueError, match=r"one of imagenet, a \.keras file, got 'x'"):
        TrainConfig(weights="x")
