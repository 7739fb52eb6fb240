"""A detector on a frozen CNN, trained on with the CNN: better, like any run, and resumed."""

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from squares import AUGMENT, MODEL, TRAINING, train, write_films

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.models.detector import build_detector
from sora_tf.train import detector
from sora_tf.train.detector import train_detector
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.finetune_detector import finetune_detector
from sora_tf.train.run import RunError, load_model
from sora_tf.train.stages import detector_stages


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    return write_films(tmp_path_factory.mktemp("films"))


@pytest.fixture(scope="module")
def frozen(films, tmp_path_factory):
    """A detector whose CNN is as it was drawn."""
    return train(films, tmp_path_factory.mktemp("run") / "run", frozen=True, epochs=6)


@pytest.fixture(scope="module")
def tuned(frozen):
    return finetune_detector(frozen, epochs=6, learning_rate=5e-3, mix=1.0, verbose=0)


def changed(one, other):
    """Names of the layers whose trained weights differ between two models."""
    pairs = zip(one.layers, other.layers, strict=True)
    return {
        a.name
        for a, b in pairs
        if any((x != y).any() for x, y in zip(a.get_weights(), b.get_weights(), strict=True))
    }


def rows(run):
    with open(run.path / "history.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_it_finds_more_and_its_first_stages_are_as_they_were(frozen, tuned):
    names = changed(frozen.load_model(), tuned.load_model())
    # MODEL's head stands on cells of 4 pixels, which stage1 makes; the stem's are of 2.
    assert {"there", "scale0_conv", "stage1_block0_depthwise", "stage3_block0_depthwise"} <= names
    assert not [name for name in names if name.startswith("stem")]
    assert not [name for name in names if name.startswith("stage") and name.endswith("_norm")]
    assert tuned.read_metrics()["map50"] > frozen.read_metrics()["map50"] + 0.1
    losses = [float(row["loss"]) for row in rows(tuned)]
    assert losses[-1] < 0.8 * float(rows(frozen)[-1]["loss"])


def test_the_new_run_is_like_any_other(frozen, tuned):
    assert tuned.path == frozen.path.with_name("run-finetuned")
    files = {path.name for path in tuned.path.iterdir()}
    assert files == {"finetune.json", *(path.name for path in frozen.path.iterdir())}
    asked = json.loads((tuned.path / "finetune.json").read_text())
    stages = ["stage1", "stage2", "stage3"]
    assert asked == {"run": str(frozen.path), "unfreeze": stages, "mix": 1.0}
    old, new = frozen.read_config(), tuned.read_config()
    assert new.training == {
        **old.training, "epochs": 6, "learning_rate": 5e-3, "frozen": False, "views": 0,
        "weights": None,
    }  # fmt: skip
    assert (new.model, new.labels, new.boxes) == (old.model, old.labels, old.boxes)
    frozen_layers = {layer.name for layer in tuned.load_model().layers if not layer.trainable}
    assert frozen_layers == {"context_spread"}  # which never learns
    assert not load_model(tuned.checkpoint()[0]).get_layer("stem_conv").trainable


def test_a_killed_one_goes_on(frozen, tmp_path, monkeypatch):
    class Killed(detector.KeepEpochs):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            raise KeyboardInterrupt

    arguments = {"unfreeze": "stage3", "epochs": 2, "batch_size": 8, "verbose": 0}
    with monkeypatch.context() as patch:
        patch.setattr(detector, "KeepEpochs", Killed)
        with pytest.raises(KeyboardInterrupt):
            finetune_detector(frozen, tmp_path / "out", **arguments)
    halfway = DetectorRun(tmp_path / "out")
    assert len(halfway.checkpoint()[1]) == 1
    new = finetune_detector(frozen, halfway.path, **arguments)
    assert [row["epoch"] for row in rows(new)] == ["1", "2"]
    assert new.read_config().training["learning_rate"] == pytest.approx(5e-4)
    names = changed(frozen.load_model(), new.load_model())
    assert "stage3_block0_depthwise" in names
    assert not [name for name in names if name.startswith(("stem", "stage1", "stage2"))]
    # What is kept lies half-way.
    models = (new.load_model(), frozen.load_model(), load_model(new.checkpoint()[0]))
    for name in ("stage3_block0_depthwise", "scale0_conv", "last_norm", "stem_conv"):
        layers = (model.get_layer(name).get_weights() for model in models)
        for kept, before, trained in zip(*layers, strict=True):
            np.testing.assert_allclose(kept, (before + trained) / 2, rtol=1e-5, atol=1e-7)
    for other in ({"unfreeze": 2}, {"mix": 0.4}):
        with pytest.raises(RunError, match="fine-tuned in another way"):
            finetune_detector(frozen, halfway.path, **{**arguments, **other})


def test_a_second_stage_goes_along_as_it_is(films, frozen, tmp_path, monkeypatch):
    model = replace(MODEL, refine=32)
    training = replace(TRAINING, epochs=1, frozen=True)
    run = train_detector(
        films, films / "boxes.json", tmp_path / "run", model=model, each=1, training=training,
        augment=AUGMENT, verbose=0,
    )  # fmt: skip
    monkeypatch.setattr(detector, "train_refiner", None)
    new = finetune_detector(run, epochs=1, verbose=0)
    assert not changed(run.load_refiner(), new.load_refiner())
    assert changed(run.load_model(), new.load_model())
    # One whose second stage is not there yet cannot be taken.
    run.refiner.model_path.unlink()
    with pytest.raises(RunError):
        finetune_detector(run, tmp_path / "other", epochs=1, verbose=0)
    assert not (tmp_path / "other").exists()


def test_the_verb(frozen, tmp_path, capsys):
    told = ["finetune", str(frozen.path), "--out", str(tmp_path / "out")]
    assert main([*told, "--unfreeze", "head", "--epochs", "1", "--json"]) == 0
    assert 0 <= json.loads(capsys.readouterr().out)["map50"] <= 1
    names = changed(frozen.load_model(), DetectorRun(tmp_path / "out").load_model())
    assert names
    assert not [name for name in names if name.startswith(("stem", "stage"))]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--every", "2"], "the stages of a detector learn together and at one rate, got --every"),
        (["--unfreeze", "stage9"], "unfreeze must be one of head, stem, stage1, stage2, stage3"),
        (["--epochs", "0"], "epochs must be at least 1"),
        (["--mix", "2"], "mix must be from 0.01 to 1.0, got 2.0. 0.5 is half-way"),
    ],
)
def test_what_cannot_be_is_one_line(frozen, tmp_path, capsys, options, said):
    out = tmp_path / "out"
    assert main(["finetune", str(frozen.path), "--out", str(out), *options]) == 1
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not out.exists()


def test_without_its_boxes_nothing_is_left(frozen, tmp_path, capsys):
    copy = shutil.copytree(frozen.path, tmp_path / "run")
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "boxes": str(tmp_path / "gone.json")}))
    assert main(["finetune", str(copy)]) == 1
    assert "gone.json" in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run-finetuned").exists()


def test_the_stages_of_a_detector():
    model = build_detector(replace(MODEL, memory=0.0), 2)
    stages = detector_stages(model)
    assert [stage.name for stage in stages] == ["stem", "stage1", "stage2", "stage3"]
    inside = {layer.name for stage in stages for layer in stage.layers}
    rest = {layer.name for layer in model.layers if layer.weights} - inside
    assert {"there", "named", "scale0_conv", "context_spread"} <= rest
    assert np.sum([len(stage.layers) for stage in stages]) == len(inside)
    assert isinstance(model.get_layer("stem_norm"), keras.layers.BatchNormalization)
