"""What the server's functions do with frames before the model sees them."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from sora_tf.export import signature
from sora_tf.export.signature import Deployable, endpoints
from sora_tf.export.tflite import write_tflite
from sora_tf.models import build_sora
from sora_tf.train.fake_quant import copy_weights
from sora_tf.train.fit import precision
from sora_tf.train.run import Run
from sora_tf.train.settings import TrainConfig
from sora_tf.video.geometry import FITS, place

RNG = np.random.default_rng(0)


def keras(what, frames, mask=None):
    if mask is None:
        mask = np.ones(frames.shape[:2], bool)
    found = what.clip({"frames": frames.astype("float32"), "mask": mask})
    return {name: value.numpy() for name, value in found.items()}


def clip_of(what, batch=2, frames=None, size=None):
    shape = (batch, frames or what.config.frames, *(size or what.config.size), 3)
    return RNG.integers(0, 256, shape).astype("uint8")


def ask(what, name, *args):
    found = endpoints(what)[name].function(*args)
    return {key: value.numpy() for key, value in found.items()}


def test_frames_of_the_right_size_are_what_the_model_sees(deployable):
    x = clip_of(deployable)
    found = ask(deployable, "serving_default", tf.constant(x))
    wanted = keras(deployable, x)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-6)
    np.testing.assert_allclose(found["global_vector"], wanted["global_vector"], atol=1e-5)
    assert [text.decode() for text in found["labels"][1]] == list(deployable.labels)


def test_a_short_clip_is_padded_and_masked(deployable):
    x = clip_of(deployable, frames=5)
    found = ask(deployable, "embed", tf.constant(x))
    padded = np.concatenate([x, np.repeat(x[:, -1:], 3, axis=1)], axis=1)
    wanted = keras(deployable, padded, np.tile(np.arange(8) < 5, (2, 1)))
    assert found["frame_vectors"].shape[1] == 5
    np.testing.assert_allclose(found["frame_vectors"], wanted["frame_vectors"][:, :5], atol=1e-5)
    np.testing.assert_allclose(found["global_vector"], wanted["global_vector"], atol=1e-5)


def test_a_long_clip_is_thinned_to_the_middles_of_equal_segments(deployable):
    x = clip_of(deployable, frames=20)
    # 20 frames in 8 segments of 2.5: the middles 1.25, 3.75, 6.25, … down to whole frames.
    chosen = [1, 3, 6, 8, 11, 13, 16, 18]
    found = ask(deployable, "serving_default", tf.constant(x))
    wanted = keras(deployable, x[:, chosen])
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-6)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(56, 84), (84, 40), (20, 30)])
def test_other_sizes_are_fitted_where_the_reader_would_put_them(fit, shape):
    size = (28, 24)
    frames = np.zeros((1, *shape, 3), np.uint8)
    frames[:] = np.arange(1, shape[1] + 1)[None, None, :, None] * 3 % 251 + 4  # nowhere black
    found = signature.fitted_frames(tf.constant(frames), size, fit).numpy()[0]
    where = place(shape, size, fit, turned=False)
    scaled = tf.image.resize(frames, where.scaled, antialias=True).numpy()[0]
    wanted = np.zeros((*size, 3))
    wanted[where.filled] = scaled[where.taken]
    np.testing.assert_allclose(found, np.clip(wanted, 0, 255), atol=0.51)


def test_pictures_come_as_jpeg_or_png_and_an_empty_string_is_padding(deployable):
    x = clip_of(deployable, batch=1)[0]
    png = [tf.io.encode_png(frame).numpy() for frame in x]
    texts = tf.constant([png, [*png[:3], *[b""] * 5]])
    found = ask(deployable, "jpeg", texts)
    whole = keras(deployable, x[None])["scores"][0]
    np.testing.assert_allclose(found["scores"][0], whole, atol=1e-6)
    short = np.concatenate([x[:3], np.repeat(x[2:3], 5, axis=0)])[None]
    wanted = keras(deployable, short, (np.arange(8) < 3)[None])["scores"][0]
    np.testing.assert_allclose(found["scores"][1], wanted, atol=1e-6)
    jpeg = tf.constant([[tf.io.encode_jpeg(frame, quality=100).numpy() for frame in x]])
    near = [tf.io.decode_jpeg(text, dct_method="INTEGER_ACCURATE").numpy() for text in jpeg[0]]
    wanted = keras(deployable, np.stack(near)[None])["scores"]
    np.testing.assert_allclose(ask(deployable, "jpeg", jpeg)["scores"], wanted, atol=1e-6)


def test_examples_are_classified(deployable):
    x = clip_of(deployable, batch=2)
    examples = []
    for clip in x:
        texts = tf.train.BytesList(value=[tf.io.encode_png(frame).numpy() for frame in clip])
        features = tf.train.Features(feature={"frames": tf.train.Feature(bytes_list=texts)})
        examples.append(tf.train.Example(features=features).SerializeToString())
    found = ask(deployable, "classify", tf.constant(examples))
    np.testing.assert_allclose(found["scores"], keras(deployable, x)["scores"], atol=1e-6)
    assert found["classes"].shape == found["scores"].shape


def test_no_pictures_at_all_do_no_harm(deployable):
    found = ask(deployable, "jpeg", tf.zeros((2, 0), tf.string))
    assert np.isfinite(found["scores"]).all()


def test_a_model_that_sees_the_future_has_no_step(run, deployable):
    what = Deployable.of(run)
    assert set(endpoints(what)) == {"serving_default", "embed", "jpeg", "classify", "facts"}
    assert what.states == {}
    assert "frames yet to come" in what.why_no_step
    assert deployable.step is not None
    assert not deployable.why_no_step


def test_what_was_trained_in_half_precision_is_deployed_in_single(causal_run, deployable, tmp_path):
    run = Run(shutil.copytree(causal_run.path, tmp_path / "run"))
    config = run.read_config()
    with precision(TrainConfig(mixed_precision=True)):
        model = build_sora(config.model, len(config.labels))
    copy_weights(run.load_model(), model)
    run.write_model(model)
    run.write_config(replace(config, training={**config.training, "mixed_precision": True}))
    what = Deployable.of(run)
    assert {layer.compute_dtype for layer in what.model.layers} <= {"float32", "bool"}
    assert what.states == deployable.states
    x = clip_of(what)
    np.testing.assert_allclose(keras(what, x)["scores"], keras(deployable, x)["scores"], atol=1e-6)
    write_tflite(what, "float32", tmp_path / "model.tflite")
    assert (tmp_path / "model.tflite").stat().st_size > 0


def test_attention_pooling_has_endpoints_too(deployable):
    config = replace(deployable.config, pooling="attention")
    what = Deployable(build_sora(config, 4), config, deployable.labels, "cover", 1.0)
    x = clip_of(what)
    found = ask(what, "serving_default", tf.constant(x))
    np.testing.assert_allclose(found["scores"], keras(what, x)["scores"], atol=1e-6)
