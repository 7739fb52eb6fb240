"""Fine-tuning: which stages learn, when, how fast, and that a killed one goes on."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from run_folders import history

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig, lite, micro
from sora_tf.data import Augment
from sora_tf.models import build_sora
from sora_tf.train import Run, RunError, TrainConfig, train_classifier
from sora_tf.train import fit as fitting
from sora_tf.train.finetune import compile_layerwise, finetune_run, thaw
from sora_tf.train.layerwise import LayerwiseAdamW
from sora_tf.train.run import load_model
from sora_tf.train.stages import cnn_stages

MODEL = SoraConfig(
    frames=8,
    size=(28, 28),
    extractor=ExtractorConfig(channels=(8, 16, 24), depths=(1, 1, 1), features=0),
    relation=RelationConfig(edges="causal", contrast=4, blocks=0),
    standardise=True,
    dropout=0.0,
)
RNG = np.random.default_rng(0)
BATCHES = 4  # 64 clips in batches of 16


@pytest.fixture(scope="module")
def frozen(digits, cache, tmp_path_factory):
    """A run whose head alone was trained."""
    training = TrainConfig(epochs=3, batch_size=16, learning_rate=0.02, frozen=True)
    return train_classifier(
        digits / "index.csv", tmp_path_factory.mktemp("frozen") / "run", model=MODEL,
        training=training, augment=Augment.none(), cache=cache, verbose=0,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tuned(frozen, cache):
    """It, fine-tuned but for its first stage, under the name it is given by itself."""
    return finetune_run(
        frozen, unfreeze="stage1", every=1, epochs=12, learning_rate=0.03, cache=cache, verbose=0
    )


def kernels(model):
    """Layer's name → weights, of all layers that have any."""
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def changed(before, after):
    """The names of the layers whose weights are not what they were."""
    return {
        name for name, values in before.items()
        if not all(map(np.array_equal, values, after[name]))
    }  # fmt: skip


# Stages.


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (MODEL, ["stem", "stage1", "stage2"]),
        (micro(), ["stage0", "stage1"]),
        (replace(lite(), size=(32, 32)), ["stem", *(f"stage{n}" for n in range(7))]),
    ],
    ids=["separable", "conv", "lite0"],
)
def test_stages_are_those_of_the_layers_names(config, names):
    model = build_sora(config, 3)
    stages = cnn_stages(model)
    assert [stage.name for stage in stages] == names
    for stage in stages:
        assert {layer.name.split("_")[0] for layer in stage.layers} <= {stage.name, "head"}
    found = [layer.name for stage in stages for layer in stage.layers]
    assert found == [name for name in kernels(model) if re.match("stem|stage|head", name)]


def test_stages_of_a_cnn_of_keras_are_the_sizes_of_its_maps():
    extractor = ExtractorConfig(block="MobileNetV2", memory=0.0)
    model = build_sora(replace(MODEL, size=(64, 64), extractor=extractor), 3)
    stages = cnn_stages(model)
    assert [stage.layers[0].output_shape[1] for stage in stages] == [32, 16, 8, 4, 2]
    assert [stage.name for stage in stages] == [f"stage{n}" for n in range(5)]
    rates = thaw(model, 2, 1, 0.5)
    assert len(rates) == len(model.trainable_variables)
    # The classifier's two, the kernels at 2×2 pixels, those at 4×4.
    assert {rate: rates.count(rate) for rate in rates}.keys() == {(1.0, 0), (0.5, 0), (0.25, 1)}
    assert not any("gamma" in v.name for v in model.trainable_variables if "norm" not in v.name)


def test_a_model_without_a_cnn_is_named():
    with pytest.raises(ValueError, match="must have a CNN with pooled features, but 'other'"):
        cnn_stages(keras.Sequential([keras.layers.Dense(2, input_shape=(3,))], name="other"))


# The optimizer.


def test_with_one_rate_it_is_adamw():
    starts = [RNG.normal(size=(3, 2)), RNG.normal(size=2)]
    ours, theirs = ([tf.Variable(s, name=n) for s, n in zip(starts, "ab", strict=True)]
                    for _ in range(2))  # fmt: skip
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 8)
    usual = keras.optimizers.AdamW(schedule, weight_decay=0.3, clipnorm=1.0)
    usual.exclude_from_weight_decay(var_names=["b"])
    layerwise = LayerwiseAdamW([(1.0, 0, 0.3), (1.0, 0, 0.0)], schedule, clipnorm=1.0)
    for _ in range(5):
        gradients = [tf.constant(RNG.normal(size=s.shape)) for s in starts]
        usual.apply_gradients(zip(gradients, theirs, strict=True))
        layerwise.apply_gradients(zip(gradients, ours, strict=True))
    for one, other, start in zip(ours, theirs, starts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
        assert np.abs(one - start).min() > 0.05


def test_shares_begins_and_decay_by_hand():
    # Adam's first step is the rate in the gradient's direction; with gradients that never change
    # all of them are. From 2: 0.1·(1 + 0.5·2) less, of which the second takes a quarter and the
    # third nothing before step 2.
    variables = [tf.Variable([2.0]) for _ in range(3)]
    rates = [(1.0, 0, 0.5), (0.25, 0, 0.5), (1.0, 2, 0.5)]
    optimizer = LayerwiseAdamW(rates, 0.1)
    rows = []
    for _ in range(3):
        optimizer.apply_gradients([(tf.constant([3.0]), v) for v in variables])
        rows.append([float(v[0]) for v in variables])
    assert rows[0] == pytest.approx([1.8, 1.95, 2.0], abs=1e-5)
    # 1.8 - 0.1·(1 + 0.5·1.8); 1.95 - 0.025·(1 + 0.5·1.95)
    assert rows[1] == pytest.approx([1.61, 1.900625, 2.0], abs=1e-5)
    assert rows[1][2] == 2.0
    assert rows[2][2] == pytest.approx(1.8, abs=1e-5)
    again = LayerwiseAdamW.from_config(optimizer.get_config())
    assert again.rates == rates
    assert again.get_config() == optimizer.get_config()


def test_rates_that_are_not_as_many_as_variables_are_named():
    optimizer = LayerwiseAdamW([(1.0, 0, 0.0)], 0.1)
    with pytest.raises(ValueError, match="as many as variables, got 1 for 2"):
        optimizer.build([tf.Variable(1.0), tf.Variable(2.0)])


def test_the_first_update_shows_the_rates_and_survives_a_save(tmp_path):
    keras.utils.set_random_seed(0)
    model = build_sora(MODEL, 4)
    model.get_layer("logits").set_weights(
        [RNG.normal(size=w.shape) for w in model.get_layer("logits").weights]
    )
    rates = thaw(model, 3, 1, 0.5)
    settings = TrainConfig(epochs=8, learning_rate=0.01, warmup=0.0, weight_decay=0.0)
    compile_layerwise(model, settings, 2, rates)
    model.save(tmp_path / "model.keras")
    x = RNG.integers(0, 256, (8, 8, 28, 28, 3)).astype(np.float32)
    y = keras.utils.to_categorical(RNG.integers(4, size=8), 4)

    def largest(model):
        """The largest change of each layer in one step, as a share of the rate."""
        before = kernels(model)
        rate = float(model.optimizer._learning_rate(model.optimizer.iterations))
        model.train_on_batch(x, y)
        after = kernels(model)
        return {
            name: max(np.abs(new - old).max() for new, old in zip(after[name], values, strict=True))
            / rate
            for name, values in before.items()
        }

    first = largest(model)
    assert first["logits"] == pytest.approx(1.0, rel=0.02)
    for name in ("stage2_block0_expand_conv", "stage2_block0_project_conv", "head_conv"):
        assert first[name] == pytest.approx(0.5, rel=0.02)
    norms = [name for name in first if name.endswith("_norm")]
    assert len(norms) == 8
    for name in (*norms, "stage1_block0_expand_conv", "stem_conv"):
        assert first[name] == 0  # a norm, or its time has not come
    # A model that was loaded goes on: stage 1 at step 2, the stem at step 4.
    again = load_model(tmp_path / "model.keras")
    second = largest(again)
    for name in ("logits", "head_conv", "stem_conv"):
        assert second[name] == pytest.approx(first[name], rel=0.02)
    again.train_on_batch(x, y)
    again.save(tmp_path / "again.keras")
    again = load_model(tmp_path / "again.keras")
    assert int(again.optimizer.iterations) == 2
    third = largest(again)
    assert 0.05 < third["stage1_block0_expand_conv"] < 0.5
    assert third["stem_conv"] == 0
    again.train_on_batch(x, y)
    assert 0.02 < largest(again)["stem_conv"] < 0.25


# Runs.


def test_a_tuned_run_is_better_and_its_first_stage_is_as_it_was(frozen, tuned):
    before, after = (kernels(run.load_model()) for run in (frozen, tuned))
    names = changed(before, after)
    assert {"logits", "stage1_block0_expand_conv", "stage2_block0_depthwise", "head_conv"} <= names
    assert not [name for name in names if name.startswith("stem")]
    assert not [name for name in names if name.endswith("_norm")]  # those of the CNN
    # Chance is a quarter.
    assert tuned.read_metrics()["accuracy"] > frozen.read_metrics()["accuracy"] + 0.1
    assert tuned.read_metrics()["accuracy"] > 0.6


def test_the_new_run_is_like_any_other(frozen, tuned):
    assert tuned.path == frozen.path.with_name("run-finetuned")
    files = {path.name for path in tuned.path.iterdir()}
    assert files == {"finetune.json", *(path.name for path in frozen.path.iterdir())}
    asked = {"run": str(frozen.path), "unfreeze": ["stage1", "stage2"], "every": 1, "decay": 0.5,
             "mix": 1.0}  # fmt: skip
    assert json.loads((tuned.path / "finetune.json").read_text()) == asked
    old, new = frozen.read_config(), tuned.read_config()
    training = {**old.training, "epochs": 12, "learning_rate": 0.03, "frozen": False}
    assert new.training == training
    assert (new.model, new.labels, new.augment) == (old.model, old.labels, old.augment)
    # The model that is kept has nothing of the training in it.
    model = tuned.load_model()
    assert all(layer.trainable for layer in model.layers)
    assert not load_model(tuned.checkpoint()[0]).get_layer("stem_conv").trainable


def test_a_finished_one_is_not_trained_again_and_another_refused(frozen, tuned, run):
    before = tuned.model_path.stat().st_mtime_ns
    finetune_run(frozen, tuned.path, unfreeze=2, every=1, epochs=12, verbose=0)
    assert tuned.model_path.stat().st_mtime_ns == before
    for arguments in ({"unfreeze": 1}, {"unfreeze": 2}, {"unfreeze": 2, "every": 1, "decay": 0.9}):
        with pytest.raises(RunError, match="fine-tuned in another way"):
            finetune_run(frozen, tuned.path, epochs=12, **arguments)
    for out in (frozen.path, run.path):
        with pytest.raises(RunError, match="holds another run"):
            finetune_run(frozen, out)


def test_a_killed_one_goes_on_and_its_next_stage_thaws_in_time(
    frozen, cache, tmp_path, monkeypatch
):
    class Killed(fitting.KeepEpochs):
        def on_epoch_end(self, epoch, logs=None):
            super().on_epoch_end(epoch, logs)
            if epoch == 1:
                raise KeyboardInterrupt

    arguments = {"unfreeze": 2, "every": 2, "epochs": 4, "cache": cache, "verbose": 0}
    with monkeypatch.context() as patch:
        patch.setattr(fitting, "KeepEpochs", Killed)
        with pytest.raises(KeyboardInterrupt):
            finetune_run(frozen, tmp_path / "out", **arguments)
    new = Run(tmp_path / "out")
    path, rows = new.checkpoint()
    assert len(rows) == 2
    assert not new.finished
    begun, halfway = kernels(frozen.load_model()), kernels(load_model(path))
    names = changed(begun, halfway)
    assert {"logits", "stage2_block0_depthwise"} <= names
    assert not [name for name in names if name.startswith(("stem", "stage1"))]
    new = finetune_run(frozen, tmp_path / "out", **arguments)
    assert [row["epoch"] for row in history(new)] == ["1", "2", "3", "4"]
    assert [float(row["loss"]) for row in history(new)[:2]] == [row["loss"] for row in rows]
    last = load_model(new.checkpoint()[0])
    assert int(last.optimizer.iterations) == 4 * BATCHES
    assert isinstance(last.optimizer, LayerwiseAdamW)
    names = changed(halfway, kernels(last))
    assert {"stage1_block0_depthwise", "stage2_block0_depthwise"} <= names
    assert not [name for name in names if name.startswith("stem")]


def test_the_head_alone(frozen, cache, tmp_path):
    run = finetune_run(
        frozen, tmp_path / "out", unfreeze="head", epochs=1, batch_size=32, mix=0.25, cache=cache,
        verbose=0,
    )  # fmt: skip
    assert run.read_config().training["batch_size"] == 32
    assert run.read_config().training["learning_rate"] == pytest.approx(0.002)
    last = load_model(run.checkpoint()[0])
    assert int(last.optimizer.iterations) == 2
    assert changed(kernels(frozen.load_model()), kernels(last)) == {"standardise", "logits"}
    models = (run.load_model(), frozen.load_model(), last)
    kept, before, trained = (model.get_layer("logits").get_weights()[0] for model in models)
    np.testing.assert_allclose(kept, 0.75 * before + 0.25 * trained, rtol=1e-5, atol=1e-7)


def test_half_precision_is_fine_tuned_in_half_precision(tmp_path):
    settings = TrainConfig(epochs=1, warmup=0.0, mixed_precision=True)
    x = RNG.integers(0, 256, (4, 8, 28, 28, 3)).astype(np.float32)
    y = keras.utils.to_categorical(range(4), 4)
    with fitting.precision(settings):
        model = build_sora(MODEL, 4)
        compile_layerwise(model, settings, 4, thaw(model, 1, 0, 0.5))
        model.save(tmp_path / "model.keras")
        again = load_model(tmp_path / "model.keras")
    assert isinstance(again.optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert isinstance(again.optimizer.inner_optimizer, LayerwiseAdamW)
    before = kernels(again)
    for _ in range(4):  # the classifier is even at first, and passes nothing on
        again.train_on_batch(x, y)
    names = changed(before, kernels(again))
    assert {"logits", "head_conv"} <= names
    assert not [name for name in names if name.startswith(("stem", "stage1"))]


def test_the_verb(frozen, cache, tmp_path, capsys):
    command = ["finetune", str(frozen.path), "--out", str(tmp_path / "out"), "--unfreeze", "1",
               "--epochs", "1", "--decay", "0.25", "--cache", str(cache), "--json"]  # fmt: skip
    assert main(command) == 0
    metrics = json.loads(capsys.readouterr().out)
    assert metrics["clips"] == 16
    asked = json.loads((tmp_path / "out" / "finetune.json").read_text())
    assert (asked["unfreeze"], asked["decay"]) == (["stage2"], 0.25)
    assert main(["finetune", str(frozen.path), "--unfreeze", "stage9"]) == 1
    assert "unfreeze must be one of head, stem, stage1, stage2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"unfreeze": 4}, r"unfreeze must be from 0 to 3, got 4\. The CNN's stages are stem, "),
        ({"unfreeze": -1}, "unfreeze must be from 0 to 3"),
        ({"unfreeze": "body"}, "unfreeze must be one of head, stem, stage1, stage2, got 'body'"),
        ({"decay": 0.0}, "decay must be above 0"),
        ({"decay": 1.5}, "decay must be from 0"),
        ({"every": -1}, "every must be at least 0"),
        ({"unfreeze": 3, "every": 5}, "epochs must be more than 10 for 3 stages"),
        ({"unfreeze": 0, "epochs": 0}, "epochs must be at least 1"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"mix": 0.0}, "mix must be from 0.01 to 1"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_left(frozen, tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        finetune_run(frozen, tmp_path / "out", **arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_no_run_or_no_model_is_one_line(frozen, tmp_path):
    with pytest.raises(RunError, match="there is no run"):
        finetune_run(Run(tmp_path))
    copy = Run(shutil.copytree(frozen.path, tmp_path / "copy"))
    copy.model_path.unlink()
    with pytest.raises(RunError, match=r"no model\.keras yet"):
        finetune_run(copy)
    assert not copy.path.with_name("copy-finetuned").exists()
