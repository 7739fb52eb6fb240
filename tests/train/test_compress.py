import itertools
import json
import shutil
import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from run_folders import history, kill_after_an_epoch

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig
from sora_tf.data import clip_dataset, read_index
from sora_tf.export.signature import Deployable
from sora_tf.export.tflite import write_tflite
from sora_tf.layers.fake_quant import FakeQuantized
from sora_tf.models import build_sora
from sora_tf.train import Run, RunError, evaluate_run, train_classifier
from sora_tf.train.compress import compress_run
from sora_tf.train.fake_quant import copy_weights, fake_quantised, inner
from sora_tf.train.fit import precision
from sora_tf.train.prune import Pruning, largest, prunable, schedule, zero_shares
from sora_tf.train.run import load_model

CAUSAL = SoraConfig(
    frames=4,
    size=(16, 16),
    extractor=ExtractorConfig(channels=(8, 16), depths=(1, 2), expansion=2, features=12),
    relation=RelationConfig(units=12, window=4, heads=2, blocks=1),
)

RECURRENT = RelationConfig(units=12, recurrent=True)


@pytest.fixture(scope="module")
def learned(digits, settings, cache, tmp_path_factory):
    """A run trained long enough to have something to lose."""
    training = replace(settings["training"], epochs=10)
    out = tmp_path_factory.mktemp("learned") / "run"
    chosen = {**settings, "training": training, "cache": cache}
    return train_classifier(digits / "index.csv", out, **chosen)


@pytest.fixture(scope="module")
def pruned(learned, cache):
    """It with half of the weights, under the name it is given by itself."""
    return compress_run(learned, prune=0.5, epochs=4, cache=cache, verbose=0)


@pytest.fixture(scope="module")
def clips(learned, cache):
    """Clips of a split: ({"frames", "mask"}, true classes)."""
    config = learned.read_config()

    def read(*parts):
        chosen = [c for c in read_index(learned.path / "split.csv") if c.split in parts]
        model = config.model
        shape = {"frames": model.frames, "size": model.size, "batch_size": len(chosen)}
        batch, truth = next(iter(clip_dataset(chosen, config.labels, cache=cache, **shape)))
        return {name: value.numpy() for name, value in batch.items()}, truth.numpy().argmax(1)

    return read


def scores_in_int8(run, clips, path):
    """The scores (N, C) of a run's model as a TFLite int8 file, on the clips held out."""
    shown, _ = clips("train")
    samples = list(zip(shown["frames"][:32], shown["mask"][:32], strict=True))
    write_tflite(Deployable.of(run), "int8", path, samples)
    answer = tf.lite.Interpreter(str(path)).get_signature_runner("clip")
    held, _ = clips("val", "test")
    return np.concatenate(
        [
            answer(frames=frames[None], mask=mask[None])["scores"]
            for frames, mask in zip(held["frames"], held["mask"], strict=True)
        ]
    )


def accuracy(scores, truth):
    return (scores.argmax(axis=1) == truth).mean()


# The twin.


def test_what_the_converter_fuses_is_not_rounded_in_between():
    twin = fake_quantised(build_sora(CAUSAL, 3))
    wrapped = [layer for layer in twin.layers if isinstance(layer, FakeQuantized)]
    rounded = {layer.name for layer in wrapped if layer.round_outputs}
    fused = {layer.name for layer in wrapped if not layer.round_outputs}
    block = {f"stage1_block1_{part}" for part in ("expand_conv", "expand_norm", "depthwise")}
    assert {"stem_conv", "stem_norm", *block, "stage1_block1_project_conv"} <= fused
    after = {"stem_relu", "stage1_block1_depthwise_relu", "stage1_block1_project_norm"}
    whole = {"rescale", "stage1_block1_add", "pool", "projection", "relation0_norm", "relation0"}
    assert {*after, *whole, "pooling", "logits"} <= rounded
    plain = {layer.name for layer in twin.layers} - rounded - fused
    assert {"frames", "mask", "fold", "stem_memory", "scores", "global_vector"} <= plain


def test_a_layer_with_two_readers_is_rounded():
    x = keras.Input((4,))
    dense = keras.layers.Dense(4, name="dense")(x)
    active = keras.layers.ReLU(name="relu")(dense)
    both = keras.layers.Add(name="add")([dense, active])
    twin = fake_quantised(keras.Model(x, [both, keras.layers.Softmax(name="softmax")(active)]))
    assert twin.get_layer("dense").round_outputs


def test_the_twin_has_copies_of_the_weights_and_gives_them_back():
    model = build_sora(CAUSAL, 3)
    before = [weight.copy() for weight in model.get_weights()]
    twin = fake_quantised(model)
    for layer in twin.layers:
        for weight in inner(layer).weights:
            weight.assign_add(tf.ones_like(weight))
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)
    copy_weights(twin, model)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old + 1, now)


@pytest.mark.parametrize(
    "config", [CAUSAL, replace(CAUSAL, relation=RECURRENT, pooling="attention")], ids="cr"
)
def test_the_twin_is_the_same_from_a_file(config, tmp_path):
    keras.utils.set_random_seed(0)
    twin = fake_quantised(build_sora(config, 3))
    rng = np.random.default_rng(0)
    clip = {
        "frames": rng.uniform(0, 255, (2, 4, 16, 16, 3)).astype(np.float32),
        "mask": np.array([[True] * 4, [True, True, False, False]]),
    }
    twin(clip, training=True)
    twin.save(tmp_path / "twin.keras")
    loaded = load_model(tmp_path / "twin.keras")
    for old, new in zip(twin.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # A value between two levels may fall on either of them.
    np.testing.assert_allclose(loaded(clip), twin(clip), atol=0.02)
    ranges = [float(layer.high) for layer in loaded.layers if hasattr(layer, "high")]
    assert len(ranges) > 10
    assert all(high > 0 for high in ranges)


# Int8.


def spoil(run, path, factor, frames):
    """A copy of a run that computes the same, the strongest channel `factor` times as strong.

    A convolution, ReLU and max pool pass the factor on; the next convolution divides by it, where
    the channel comes in and where its memory does. In int8 all channels share one range, so that
    the others are left a few levels of 256.
    """
    copy = Run(shutil.copytree(run.path, path))
    model = copy.load_model()
    first, second = (model.get_layer(f"stage{n}_block0_conv") for n in (0, 1))
    values = keras.Model(model.inputs, first.output).predict(list(frames.values()), verbose=0)
    strongest = int(values.max(axis=(0, 1, 2)).argmax())
    kernel, bias = first.get_weights()
    kernel[..., strongest] *= factor
    bias[strongest] *= factor
    first.set_weights([kernel, bias])
    kernel, bias = second.get_weights()
    kernel[:, :, strongest :: kernel.shape[2] // 2] /= factor
    second.set_weights([kernel, bias])
    copy.write_model(model)
    return copy


@pytest.fixture(scope="module")
def spoilt(learned, clips, tmp_path_factory):
    return spoil(learned, tmp_path_factory.mktemp("spoilt") / "run", 100.0, clips("train")[0])


def test_the_twin_answers_as_int8_does(spoilt, learned, clips, tmp_path):
    held, _ = clips("val", "test")
    shown, _ = clips("train")
    for run in (learned, spoilt):
        model = run.load_model()
        exact = model.predict(held, verbose=0)
        real = scores_in_int8(run, clips, tmp_path / "int8.tflite")
        twin = fake_quantised(model)
        for start in range(0, 32, 8):
            batch = {name: value[start : start + 8] for name, value in shown.items()}
            twin(batch, training=True)
        found = twin.predict(held, verbose=0)
        assert (found.argmax(axis=1) == real.argmax(axis=1)).mean() >= 0.9
        if run is spoilt:
            # Where int8 is far off, the twin is far off in the same way.
            assert np.abs(real - exact).mean() > 0.1
            assert np.abs(real - found).mean() < 0.3 * np.abs(real - exact).mean()


def test_a_model_that_int8_ruins_is_well_again_after_qat(spoilt, clips, cache, tmp_path):
    held, truth = clips("val", "test")
    exact = accuracy(spoilt.load_model().predict(held, verbose=0), truth)
    before = accuracy(scores_in_int8(spoilt, clips, tmp_path / "before.tflite"), truth)
    assert exact > 0.85
    assert before < exact - 0.3
    run = compress_run(spoilt, tmp_path / "qat", qat=True, epochs=6, cache=cache, verbose=0)
    after = accuracy(scores_in_int8(run, clips, tmp_path / "after.tflite"), truth)
    assert after > before + 0.3
    assert after > exact - 0.1
    # It is the plain model that is left, which loads without anything of training.
    model = run.load_model()
    assert [type(layer) for layer in model.layers] == [
        type(layer) for layer in spoilt.load_model().layers
    ]
    rows = history(run)
    best = max(float(row["val_accuracy"]) for row in rows)
    assert best > exact - 0.1


# Pruning.


def test_the_schedule_by_hand():
    # 0.8·(1 - 0.5³) = 0.7
    assert [schedule(0.8, p) for p in (-1, 0, 0.5, 1, 2)] == pytest.approx([0, 0, 0.7, 0.8, 0.8])


def test_the_smallest_go_and_of_equals_the_first():
    kernel = np.array([[3.0, -1.0, 0.0], [1.0, -5.0, 1.0]])
    expected = [[True, False, False], [False, True, True]]
    np.testing.assert_array_equal(largest(kernel, 3), expected)
    assert largest(kernel, 0).all()
    assert not largest(kernel, 6).any()


def test_what_is_pruned():
    model = build_sora(CAUSAL, 3)
    found = {kernel.name for kernel in prunable(model)}
    assert {"relation0/kernel:0", "relation0/query_kernel:0", "projection/kernel:0"} <= found
    assert not found & {"stem_conv/kernel:0", "logits/kernel:0"}
    assert not [name for name in found if "depthwise" in name or "bias" in name]
    twin = {kernel.shape for kernel in prunable(fake_quantised(model))}
    assert twin == {kernel.shape for kernel in prunable(model)}


def test_zeros_grow_and_stay_through_training():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.layers.Dense(8, input_shape=(6,)), keras.layers.Dense(10), keras.layers.Dense(2)]
    )
    model.compile(keras.optimizers.AdamW(0.05), "mse")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 6)), rng.normal(size=(40, 2))
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(model.layers[1].kernel.numpy() == 0.0)

    model.fit(x, y, batch_size=8, epochs=4, callbacks=[Pruning(0.7, 2), Watch()], verbose=0)
    # 80 weights, 10 steps to 0.7: round(80·0.7·(1 - 0.9³)) = 15, …, 56, and it stays there.
    assert [zeros.sum() for zeros in seen[:2]] == [15, 27]
    assert [zeros.sum() for zeros in seen[9:]] == [56] * 11
    for before, after in itertools.pairwise(seen):
        assert (after >= before).all()
    assert np.count_nonzero(model.layers[0].kernel) == 48
    assert np.count_nonzero(model.layers[2].kernel) == 20


def test_half_the_weights_do(learned, pruned, clips):
    assert pruned.path == learned.path.with_name("run-pruned")
    model, before = pruned.load_model(), learned.load_model()
    for kernel in prunable(model):
        assert np.count_nonzero(kernel) == kernel.shape.num_elements() / 2
    for name in ("stage0_block0_conv", "logits"):
        assert np.count_nonzero(model.get_layer(name).kernel) == np.count_nonzero(
            before.get_layer(name).kernel
        )
    held, truth = clips("val", "test")
    exact, now = (accuracy(m.predict(held, verbose=0), truth) for m in (before, model))
    assert exact > 0.85
    assert now > exact - 0.1


def test_the_best_epoch_is_one_with_all_zeros(pruned):
    # Zeros rise over 2 epochs of 4: what is kept is the best of the epochs from the second on.
    rows = history(pruned)
    best = max(float(row["val_accuracy"]) for row in rows[1:])
    copy = Run(shutil.copytree(pruned.path, pruned.path.with_name("copy")))
    assert evaluate_run(copy, part="val")["accuracy"] == best
    assert zero_shares(copy.load_model())["kernels"] == 0.5


# Run folders.


def test_the_new_run_says_what_was_done(learned, pruned, run):
    assert {path.name for path in pruned.path.iterdir()} == {
        "compress.json", *(path.name for path in run.path.iterdir())
    }  # fmt: skip
    asked = {"run": str(learned.path), "qat": False, "prune": 0.5}
    assert json.loads((pruned.path / "compress.json").read_text()) == asked
    done = pruned.read_metrics()["compressed"]
    assert done == {**asked, "zeros": done["zeros"]}
    assert done["zeros"]["kernels"] == 0.5
    assert 0.4 < done["zeros"]["model"] < 0.5
    assert pruned.read_metrics()["part"] == "test"
    old, new = learned.read_config(), pruned.read_config()
    assert new.training == {**old.training, "epochs": 4, "learning_rate": pytest.approx(3e-4)}
    assert (new.model, new.labels, new.augment) == (old.model, old.labels, old.augment)
    clips = [read_index(run.path / "split.csv") for run in (learned, pruned)]
    assert clips[0] == clips[1]


def test_a_finished_one_is_not_trained_again_and_another_refused(learned, pruned, run):
    before = pruned.model_path.stat().st_mtime_ns
    compress_run(learned, pruned.path, prune=0.5, verbose=0)
    assert pruned.model_path.stat().st_mtime_ns == before
    for arguments in ({"prune": 0.6}, {"prune": 0.5, "qat": True}):
        with pytest.raises(RunError, match="compressed in another way"):
            compress_run(learned, pruned.path, **arguments)
    for out in (learned.path, run.path):
        with pytest.raises(RunError, match="holds another run"):
            compress_run(learned, out, prune=0.5)


def test_a_record_lost_to_a_kill_is_made_up_for(learned, pruned):
    metrics = pruned.read_metrics()
    done = metrics.pop("compressed")
    pruned.metrics_path.write_text(json.dumps(metrics))
    compress_run(learned, pruned.path, prune=0.5, verbose=0)
    assert pruned.read_metrics()["compressed"] == done


def test_a_killed_one_goes_on_after_its_last_epoch(learned, cache, tmp_path):
    out = tmp_path / "out"
    code = (
        "import sys\nfrom sora_tf.train import Run\nfrom sora_tf.train.compress import compress_run"
        "\nrun, out, cache = sys.argv[1:]\n"
        "compress_run(Run(run), out, qat=True, prune=0.5, epochs=4, cache=cache, verbose=0)"
    )
    command = [sys.executable, "-c", code, str(learned.path), str(out), str(cache)]
    kill_after_an_epoch(command, out)
    path, before = Run(out).checkpoint()
    assert not Run(out).finished
    zeros = [kernel.numpy() == 0 for kernel in prunable(load_model(path))]
    assert sum(map(np.sum, zeros)) > 0
    run = compress_run(learned, out, qat=True, prune=0.5, epochs=9, cache=cache, verbose=0)
    rows = history(run)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]  # as it was begun
    assert [float(row["loss"]) for row in rows[: len(before)]] == [row["loss"] for row in before]
    last = [kernel.numpy() == 0 for kernel in prunable(load_model(run.checkpoint()[0]))]
    for old, new in zip(zeros, last, strict=True):
        assert (new >= old).all()
    assert run.read_metrics()["compressed"]["zeros"]["kernels"] == 0.5


def test_a_pruned_run_stays_pruned_in_qat(pruned, cache, tmp_path):
    run = compress_run(pruned, tmp_path / "out", qat=True, epochs=1, cache=cache, verbose=0)
    assert run.read_metrics()["compressed"]["zeros"]["kernels"] == 0.5


@pytest.mark.slow
def test_half_precision_is_fine_tuned_in_half_precision(digits, settings, cache, tmp_path):
    training = replace(settings["training"], epochs=1, mixed_precision=True)
    chosen = {**settings, "model": CAUSAL, "training": training}
    first = train_classifier(digits / "index.csv", tmp_path / "run", **chosen)
    run = compress_run(first, qat=True, epochs=1, cache=cache, verbose=0)
    assert run.path == tmp_path / "run-qat"
    assert run.load_model().get_layer("stem_conv").compute_dtype == "float16"
    assert keras.mixed_precision.global_policy().name == "float32"
    with precision(training):
        optimizer = load_model(run.checkpoint()[0]).optimizer
    assert isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer)
    assert int(optimizer.iterations) == 8  # 64 clips in batches of 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "qat or prune must be given, got neither"),
        ({"prune": 0.0}, "prune must be above 0"),
        ({"prune": -0.5}, "prune must be above 0"),
        ({"prune": 0.96}, "prune must be from 0"),
        ({"prune": float("nan"), "qat": True}, "prune must be above 0"),
        ({"qat": True, "epochs": 0}, "epochs must be at least 1"),
        ({"qat": True, "learning_rate": -1.0}, "learning_rate must be above 0"),
        ({"qat": True, "learning_rate": 0.0}, "learning_rate must be above 0"),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_left(run, tmp_path, arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        compress_run(run, tmp_path / "out", **arguments)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_no_run_or_no_model_is_one_line(run, tmp_path):
    with pytest.raises(RunError, match="there is no run"):
        compress_run(Run(tmp_path), qat=True)
    copy = Run(shutil.copytree(run.path, tmp_path / "copy"))
    copy.model_path.unlink()
    with pytest.raises(RunError, match=r"no model\.keras yet"):
        compress_run(copy, qat=True)
    assert not copy.path.with_name("copy-qat").exists()
