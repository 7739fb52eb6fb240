"""`small` on real film: 300 frames one by one through TFLite against Keras's whole clip."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import small
from sora_tf.export.signature import Deployable
from sora_tf.export.tflite import write_tflite
from sora_tf.models import build_sora, embedder
from sora_tf.video import sample

FRAMES = 300


@pytest.fixture(scope="module")
def film(shared_data):
    return sample(str(shared_data / "pets09" / "vtest.avi"), FRAMES, size=(112, 112)).frames


@pytest.fixture(scope="module")
def what(film):
    """`small` with norms that fit real frames, as training would leave them."""
    keras.utils.set_random_seed(0)
    config = small()
    model = build_sora(config, 2)
    model.compile(keras.optimizers.SGD(0.0), "categorical_crossentropy")
    clips = np.stack([film[i : i + 16] for i in range(0, 256, 32)])
    model.fit(clips, np.eye(2)[np.arange(8) % 2], epochs=30, batch_size=8, verbose=0)
    return Deployable(model, config, ("no", "yes"), "stretch", 2.0)


def stream(path, film, what):
    run = tf.lite.Interpreter(str(path)).get_signature_runner("step")
    states = {n: np.zeros((1, *s.shape[1:]), np.float32) for n, s in what.states.items()}
    vectors = []
    for frame in film:
        found = run(frames=frame[None, None], **states)
        states = {name: found[name] for name in states}
        vectors.append(found["frame_vectors"][0, 0])
    return np.array(vectors), found


@pytest.fixture(scope="module")
def whole(what, film):
    """What Keras says of all frames as one clip."""
    long = build_sora(replace(what.config, frames=FRAMES), 2)
    long.set_weights(what.model.get_weights())
    clip = film[None].astype("float32")
    found = {name: value.numpy()[0] for name, value in embedder(long)(clip).items()}
    return {**found, "scores": long(clip).numpy()[0]}


def test_float_is_the_whole_clip(what, film, whole, tmp_path):
    write_tflite(what, "float32", tmp_path / "float32.tflite")
    vectors, last = stream(tmp_path / "float32.tflite", film, what)
    scale = np.abs(whole["frame_vectors"]).max()
    assert np.abs(vectors - whole["frame_vectors"]).max() / scale < 1e-4
    assert np.abs(last["global_vector"][0] - whole["global_vector"]).max() / scale < 1e-4
    assert np.abs(last["scores"][0] - whole["scores"]).max() < 1e-4


def test_int8_stays_near_it_to_the_end(what, film, whole, tmp_path):
    clips = [(film[i : i + 16], np.ones(16, bool)) for i in range(0, 256, 32)]
    write_tflite(what, "int8", tmp_path / "int8.tflite", clips)
    vectors, last = stream(tmp_path / "int8.tflite", film, what)
    wanted = whole["frame_vectors"]
    cosine = np.sum(vectors * wanted, 1) / np.linalg.norm(vectors, axis=1)
    cosine /= np.linalg.norm(wanted, axis=1)
    assert cosine.min() > 0.9
    # No worse at the end than at the start: nothing gathers in the states.
    assert cosine[-100:].mean() > cosine[:100].mean() - 0.02
    assert np.abs(last["scores"][0] - whole["scores"]).max() < 0.1
