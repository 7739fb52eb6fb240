from dataclasses import replace

import numpy as np
import pytest

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig, micro, resolve
from sora_tf.models import (
    VideoModel,
    build_sora,
    build_spatial_feature_extractor,
    build_temporal_relation_model,
    embedder,
)
from sora_tf.models.sora import pooled_features

RNG = np.random.default_rng(0)
TINY = SoraConfig(
    frames=6,
    size=(32, 24),
    extractor=ExtractorConfig(channels=(8, 8, 12), depths=(1, 2, 1), features=16),
    relation=RelationConfig(units=16, window=3, blocks=2),
)


def clips(config, count=2):
    return RNG.integers(0, 256, (count, config.frames, *config.size, 3), dtype="uint8")


def settle(model):
    """Gives batch norms statistics of their own, so that they are not the identity."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(RNG.normal(size=layer.moving_mean.shape) * 0.1)
            layer.moving_variance.assign(RNG.uniform(0.5, 2, layer.moving_variance.shape))
    return model


def test_micro_has_the_papers_weights():
    model = build_sora("micro", 4)
    shapes = {w.name: tuple(w.shape) for w in model.weights if "kernel" in w.name}
    # [v_t, v_{t-1}] makes 6 channels of 3, and 64 of 32; 28 → 26 → 13 → 11 → 5, so 5·5·64 values.
    assert shapes["stage0_block0_conv/kernel:0"] == (3, 3, 6, 32)
    assert shapes["stage1_block0_conv/kernel:0"] == (3, 3, 64, 64)
    assert shapes["projection/kernel:0"] == (1600, 64)
    assert embedder(model).output["global_vector"].shape == (None, 64)


def test_micro_relation_is_the_formula():
    # α = 1: every frame gets σ(W·Σ h + b), so all frame vectors are equal and so is their mean.
    config = replace(micro(), frames=5)
    model, x = build_sora(config, 4), clips(config, 1)
    inputs = dict(zip(model.input_names, model.inputs, strict=True))
    h = VideoModel(inputs, model.get_layer("extracted").output)(x).numpy()[0]
    kernel, bias = model.get_layer("relation0").get_weights()
    by_hand = np.maximum(h.sum(axis=0) @ kernel + bias, 0)
    vectors = embedder(model)(x)
    np.testing.assert_allclose(vectors["global_vector"][0], by_hand, rtol=1e-4, atol=1e-5)
    assert np.ptp(vectors["frame_vectors"][0], axis=0).max() < 1e-5


def test_small_is_about_a_million():
    model = build_sora("small", 10)
    assert 0.6e6 < model.count_params() < 1.4e6
    assert model.output_shape == (None, 10)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("block", ["conv", "separable"])
def test_padded_is_bare(pooling, block):
    extractor = replace(TINY.extractor, block=block, channels=(8, 8), depths=(1, 1))
    config = replace(TINY, pooling=pooling, extractor=extractor)
    model = settle(build_sora(config, 3))
    short = build_sora(replace(config, frames=4), 3)
    short.set_weights(model.get_weights())
    x = clips(config)
    mask = np.array([[True] * 4 + [False] * 2] * 2)
    padded = embedder(model)({"frames": x, "mask": mask})
    bare = embedder(short)(x[:, :4])
    np.testing.assert_allclose(padded["global_vector"], bare["global_vector"], atol=1e-5)
    np.testing.assert_allclose(padded["frame_vectors"][:, :4], bare["frame_vectors"], atol=1e-5)
    np.testing.assert_allclose(model({"frames": x, "mask": mask}), short(x[:, :4]), atol=1e-5)


def test_features_are_means_then_peaks_then_changes():
    extractor = replace(TINY.extractor, memory=0.0, peak=True, change=True)
    model = settle(build_sora(replace(TINY, extractor=extractor), 3))
    x = {"frames": clips(TINY)[:1], "mask": np.ones((1, TINY.frames), bool)}
    maps = keras.Model(model.inputs, model.get_layer("pool").input)(x).numpy()  # (T, h, w, C)
    width = maps.shape[-1]
    found = pooled_features(model)(x).numpy()[0]
    np.testing.assert_allclose(found[:, :width], maps.mean((1, 2)), atol=1e-5)
    np.testing.assert_allclose(found[:, width : 2 * width], maps.max((1, 2)), atol=1e-5)
    apart = np.abs(np.diff(maps, axis=0)).max((1, 2))
    np.testing.assert_allclose(found[1:, -width:], apart, atol=1e-5)
    assert (found[:, width : 2 * width] > found[:, :width] + 1e-3).any()


def test_three_ways_to_give_a_clip():
    model = build_sora(TINY, 3)
    x, mask = clips(TINY), np.ones((2, 6), bool)
    bare = model(x)
    np.testing.assert_array_equal(model({"frames": x, "mask": mask}), bare)
    np.testing.assert_array_equal(model([x, mask]), bare)
    np.testing.assert_array_equal(model({"frames": x}), bare)
    np.testing.assert_allclose(np.sum(bare, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "attention"])
@pytest.mark.parametrize("config", ["micro", "small"])
def test_saved_is_loaded(config, pooling, tmp_path):
    config = replace(resolve(config), frames=3, pooling=pooling)
    model = settle(build_sora(config, 3))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(again, VideoModel)
    x = clips(config, 1)
    np.testing.assert_array_equal(again(x), model(x))
    np.testing.assert_array_equal(
        embedder(again)(x)["global_vector"], embedder(model)(x)["global_vector"]
    )


def test_fit_takes_plain_arrays_callbacks_and_class_weights():
    keras.utils.set_random_seed(0)
    model = build_sora(TINY, 2)
    x = clips(TINY, 8)
    x[:4] //= 4  # dark against bright
    y = keras.utils.to_categorical([0] * 4 + [1] * 4)
    seen = []
    spy = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(logs))
    model.compile(keras.optimizers.Adam(1e-2), "categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=12, batch_size=8, verbose=0, callbacks=[spy], class_weight={0: 1, 1: 2})
    assert len(seen) == 12
    assert seen[-1]["loss"] < seen[0]["loss"] / 2


def test_gradients_reach_every_weight():
    import tensorflow as tf

    for pooling in ("mean", "attention"):
        model = build_sora(replace(TINY, pooling=pooling), 3)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(model(clips(TINY))[:, 0])
        gradients = tape.gradient(loss, model.trainable_variables)
        assert all(g is not None for g in gradients)


def test_mixed_precision_gives_float32_scores():
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = build_sora(TINY, 3)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    scores = model(clips(TINY))
    assert scores.dtype == "float32"
    np.testing.assert_allclose(np.sum(scores, axis=1), 1, atol=1e-5)
    assert model.get_layer("relation0").compute_dtype == "float16"


def test_xla_gives_the_same():
    import tensorflow as tf

    model = build_sora(TINY, 3)
    x = tf.constant(clips(TINY), tf.float32)
    compiled = tf.function(model, jit_compile=True)
    np.testing.assert_allclose(compiled(x), model(x), atol=1e-5)


def test_builders_take_the_papers_arguments():
    x = clips(micro(), 2)
    extractor = build_spatial_feature_extractor((28, 28, 3))
    vectors = extractor(x)
    assert vectors.shape == (2, 8, 64)
    assert extractor(x[:, :3]).shape == (2, 3, 64)
    for recurrent in (False, True):
        relation = build_temporal_relation_model((None, 64), 32, recurrent=recurrent)
        assert relation(vectors).shape == (2, 8, 32)
    # A recurrent relation does not see padding either.
    mask = np.array([[True] * 5 + [False] * 3] * 2)
    np.testing.assert_allclose(
        relation([vectors, mask])[:, :5], relation(vectors[:, :5]), atol=1e-6
    )


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: build_spatial_feature_extractor((28, 28)), "must be \\(H, W, 3\\)"),
        (lambda: build_temporal_relation_model((8, None), 4), "with D known"),
        (lambda: build_temporal_relation_model((8, 4), 0), "hidden_size must be at least 1"),
        (lambda: build_sora("micro", 1), "num_classes must be at least 2"),
        (lambda: embedder(keras.Sequential(name="other")), "must have layers"),
    ],
)
def test_bad_arguments_are_named(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_without_classes_the_answer_is_the_global_vector():
    model = build_sora(TINY)
    x = clips(TINY)
    np.testing.assert_array_equal(model(x), embedder(model)(x)["global_vector"])
