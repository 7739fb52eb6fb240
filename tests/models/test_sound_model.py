"""The encoder of sound: shapes, masks, files, TFLite, and that it learns."""

import numpy as np
import pytest
import tensorflow as tf
from in_files import check_in_files
from sounds import tone, write_wav

from sora_tf._keras import keras
from sora_tf.data import Clip
from sora_tf.data.sound import MelConfig
from sora_tf.data.sound_augment import SoundAugment
from sora_tf.data.sound_dataset import sound_dataset
from sora_tf.models.sora import GLOBAL_VECTOR
from sora_tf.models.sound import SOUND_VECTORS, SoundConfig, build_sound_model

SMALL = SoundConfig(mel=MelConfig(mels=16), channels=(4, 8), coefficients=4, features=16)


@pytest.fixture(scope="module")
def heard():
    rng = np.random.default_rng(0)
    mask = np.array([[True, True, False], [True, True, True]])
    return {"sound": rng.normal(-4, 2, (2, 3, 100, 16)).astype("f4"), "sound_mask": mask}


def test_shapes_and_scores(heard):
    model = build_sound_model(SMALL, 3)
    scores = model.predict_on_batch(heard)
    assert scores.shape == (2, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1.0, atol=1e-6)
    vectors = model.get_layer(SOUND_VECTORS).output
    assert tuple(vectors.shape) == (None, None, 16)
    assert build_sound_model(SMALL).predict_on_batch(heard).shape == (2, 16)


def test_windows_are_encoded_one_by_one_and_masked_ones_do_not_count(heard):
    model = build_sound_model(SMALL, 3)
    outputs = [model.get_layer(name).output for name in (SOUND_VECTORS, GLOBAL_VECTOR)]
    look = keras.Model(model.input, outputs)
    vectors, pooled = look.predict_on_batch(heard)
    np.testing.assert_allclose(pooled[0], vectors[0, :2].mean(axis=0), atol=1e-6)
    alone, _ = look.predict_on_batch(
        {"sound": heard["sound"][:1, 1:2], "sound_mask": heard["sound_mask"][:1, 1:2]}
    )
    np.testing.assert_allclose(alone[0, 0], vectors[0, 1], atol=1e-5)
    other = {**heard, "sound": heard["sound"].copy()}
    other["sound"][0, 2] = 9.0
    np.testing.assert_allclose(
        model.predict_on_batch(other), model.predict_on_batch(heard), atol=1e-6
    )
    nothing = {**heard, "sound_mask": np.zeros((2, 3), bool)}
    assert np.isfinite(model.predict_on_batch(nothing)).all()


def test_files_and_tflite_give_the_same(heard, tmp_path):
    model = build_sound_model(SMALL, 3, windows=3)
    check_in_files(model, heard, tmp_path, tolerance=1e-6)


def test_it_learns_to_tell_tones_from_noise(tmp_path):
    rng = np.random.default_rng(0)
    clips = {"train": [], "test": []}
    for number in range(20):
        samples = rng.normal(0, 0.02, 24_000).astype("f4")
        label = ("noise", "tone")[number % 2]
        if label == "tone":
            samples += tone(rng.uniform(500, 800), 1.5, level=0.2)
        path = write_wav(tmp_path / f"{number}.wav", samples)
        clips["test" if number < 8 else "train"].append(Clip(str(path), label))

    def batches(part, **given):
        return sound_dataset(clips[part], ("noise", "tone"), config=SMALL.mel, seconds=1.5, **given)

    model = build_sound_model(SMALL, 2)
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"])
    given = {"training": True, "batch_size": 12, "augment": SoundAugment()}
    ((sound, labels),) = batches("train", **given)  # one epoch, seen ten times
    model.fit(sound, labels, batch_size=4, epochs=10, verbose=0)
    assert model.evaluate(batches("test"), verbose=0)[1] >= 0.85  # chance is 0.5


def test_vectors_of_an_encoder_that_learnt_before_are_pooled_by_loudness(heard):
    windows = {
        "sound": keras.Input((3, 100, 16), name="sound"),
        "sound_mask": keras.Input((3,), dtype="bool", name="sound_mask"),
    }
    means = keras.layers.Lambda(lambda x: tf.reduce_mean(x, axis=2))(windows["sound"])
    encoder = keras.Model(windows, means)
    model = build_sound_model(encoder=encoder)
    loud = np.exp(heard["sound"]).mean(axis=(2, 3)) * heard["sound_mask"]
    vectors = heard["sound"].mean(axis=2) / np.sqrt(1 + 1e-3)  # as standardised before training
    wanted = (loud[..., None] * vectors).sum(axis=1) / loud.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_on_batch(heard), wanted, atol=1e-4)
    assert build_sound_model(num_classes=3, encoder=encoder).output_shape == (None, 3)


def test_shrinking_adds_the_squares_of_the_weights_to_the_loss(heard):
    model = build_sound_model(SMALL, 2, shrink=0.5)
    model.get_layer("logits").set_weights([np.full((16, 2), 0.1), np.zeros(2)])
    assert float(sum(model.losses)) == pytest.approx(0.5 * 32 * 0.01)
    assert not build_sound_model(SMALL, 2).losses
    with pytest.raises(ValueError, match="shrink must be at least 0"):
        build_sound_model(SMALL, 2, shrink=-1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": (4,) * 9},
        {"channels": ()},
        {"features": 59},
        {"coefficients": 65},
        {"dropout": 1.0},
    ],
)
def test_configs_are_checked(wrong):
    with pytest.raises(ValueError, match=f"SoundConfig: {next(iter(wrong))} must be"):
        SoundConfig(**wrong)
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        build_sound_model(SMALL, 1)
