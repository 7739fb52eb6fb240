"""CNNs of keras.applications inside our models: what they are fed, saved, streamed, loaded."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from tf_keras.src.utils import data_utils

from sora_tf._keras import keras
from sora_tf.config import APPLICATIONS, ExtractorConfig, RelationConfig, SoraConfig
from sora_tf.export.signature import Deployable
from sora_tf.export.tflite import write_tflite
from sora_tf.models import Stream, build_sora, layer_costs, streaming
from sora_tf.models.applications import inner_cnn, load_application, preprocessing
from sora_tf.models.extractor import POOLED

RNG = np.random.default_rng(0)
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def config(block, **extractor):
    """A causal model that sees changes, of four small frames."""
    settings = {"memory": 0.0, "change": True, "features": 0, **extractor}
    relation = RelationConfig(edges="causal", contrast=2, blocks=0)
    return SoraConfig(
        4, (32, 32), ExtractorConfig(block=block, **settings), relation, standardise=True,
        dropout=0.0,
    )  # fmt: skip


def clips(count=2, frames=4):
    return RNG.integers(0, 256, (count, frames, 32, 32, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    """With MobileNetV2, its batch norms settled and its classifier no longer even."""
    keras.utils.set_random_seed(0)
    model = build_sora(config("MobileNetV2"), 3)
    for layer in (*model.layers, *inner_cnn(model).layers):
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(clips(8), training=True)
    logits = model.get_layer("logits")
    logits.set_weights([RNG.normal(size=logits.kernel.shape) * 0.02, np.zeros(3)])
    return model


def test_they_are_all_that_keras_has_but_one_family():
    offered = {
        name for name in dir(keras.applications)
        if name[0].isupper() and callable(getattr(keras.applications, name))
    }  # fmt: skip
    assert {name for name in offered if not name.startswith("ConvNeXt")} == set(APPLICATIONS)
    assert len(set(APPLICATIONS)) == len(APPLICATIONS)


@pytest.mark.parametrize("block", APPLICATIONS)
def test_the_affine_map_is_their_own_preprocessing(block):
    order, scale, offset = preprocessing(block)
    picture = RNG.uniform(0, 255, (1, 5, 4, 3))
    module = sys.modules[getattr(keras.applications, block).__module__]
    expected = module.preprocess_input(picture.copy())
    found = picture[..., list(order)] * np.array(scale) + np.array(offset)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-6)


def test_preprocessing_by_hand():
    assert preprocessing("MobileNetV2") == ((0, 1, 2), pytest.approx((1 / 127.5,) * 3), (-1.0,) * 3)
    # Blue first, the mean of ImageNet's pictures taken away.
    order, scale, offset = preprocessing("ResNet50")
    assert (order, scale) == ((2, 1, 0), pytest.approx((1.0, 1.0, 1.0)))
    assert offset == pytest.approx((-103.939, -116.779, -123.68))
    assert preprocessing("EfficientNetB0") == ((0, 1, 2), (1.0,) * 3, (0.0,) * 3)


def test_the_cnn_sees_what_its_preprocessing_gives():
    keras.utils.set_random_seed(0)
    model = build_sora(config("VGG16", change=False))
    frames = clips(1)
    inputs = dict(zip(model.input_names, model.inputs, strict=True))
    pooled = keras.Model(inputs, model.get_layer(POOLED).output)
    found = pooled.predict({"frames": frames, "mask": np.ones((1, 4), bool)}, verbose=0)
    fed = keras.applications.vgg16.preprocess_input(frames[0].copy())
    expected = inner_cnn(model)(fed).numpy().mean(axis=(1, 2))
    assert expected.max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    other = inner_cnn(model)(frames[0]).numpy().mean(axis=(1, 2))
    assert np.abs(other - expected).max() > 0.1 * expected.max()


def test_saved_is_loaded_and_clip_is_stream(model, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    film = clips()
    exact = model(film).numpy()
    assert np.ptp(exact, axis=0).max() > 0.01
    np.testing.assert_array_equal(again(film), exact)
    for chunk in (1, 2):
        stream = Stream(streaming(again, chunk), batch=2)
        answers = [stream.feed(film[:, at : at + chunk]) for at in range(0, 4, chunk)]
        np.testing.assert_allclose(answers[-1]["scores"], exact, rtol=1e-4)
        np.testing.assert_allclose(answers[-1]["recent_scores"], exact, rtol=1e-4)


def test_tflite_gives_the_same_with_its_own_operations(model, tmp_path):
    what = Deployable(model, config("MobileNetV2"), ("a", "b", "c"), "stretch", 1.0)
    write_tflite(what, "float32", tmp_path / "model.tflite")
    interpreter = tf.lite.Interpreter(str(tmp_path / "model.tflite"))
    assert not [op["op_name"] for op in interpreter._get_ops_details() if "Flex" in op["op_name"]]
    assert {"clip", "step"} <= set(interpreter.get_signature_list())
    film = clips(1).astype(np.uint8)
    found = interpreter.get_signature_runner("clip")(frames=film, mask=np.ones((1, 4), bool))
    np.testing.assert_allclose(found["scores"], model(film), atol=1e-4)


def test_its_cost_is_counted(model):
    rows = {row.name: row for row in layer_costs(model)}
    cnn = rows[inner_cnn(model).name]
    assert cnn.parameters == 2_257_984  # MobileNetV2 of width 1, as Keras documents it
    # 300 million at 224 pixels; per frame 49 times fewer, without the classifier's 1.28 million.
    assert cnn.macs == pytest.approx(4 * (300.8e6 - 1.28e6) / 49, rel=0.02)


def test_mixed_precision_and_gradients(model):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = build_sora(config("MobileNetV2"), 3)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert half(clips()).dtype == "float32"
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(clips())[:, 0])
    assert all(g is not None for g in tape.gradient(loss, model.trainable_variables))


# Weights.


@pytest.fixture
def published(tmp_path, monkeypatch):
    """Lets Keras find, where it would fetch weights, those of a network made here."""

    def publish(block):
        network = getattr(keras.applications, block)(include_top=False, weights=None)
        for layer in network.layers:
            if isinstance(layer, keras.layers.Normalization):
                # Keras divides by the root of this, and with ImageNet's weights once more.
                layer.set_weights([MEAN, DEVIATION, 0])
            elif isinstance(layer, keras.layers.BatchNormalization):
                values = [RNG.uniform(0.5, 1.5, w.shape) for w in layer.weights]
                layer.set_weights(values)
        path = tmp_path / f"{block}.h5"
        network.save_weights(path)
        asked = []

        def get_file(name, origin, **kwargs):
            asked.append(origin)
            return str(path)

        monkeypatch.setattr(data_utils, "get_file", get_file)
        return path, asked

    return publish


@pytest.mark.parametrize(("block", "fetched"), [("MobileNetV2", False), ("EfficientNetB0", True)])
def test_pretrained_is_what_keras_gives(block, fetched, published):
    path, asked = published(block)
    build = getattr(keras.applications, block)
    pictures = RNG.uniform(0, 255, (2, 32, 32, 3)).astype(np.float32)
    fed = sys.modules[build.__module__].preprocess_input(pictures.copy())
    expected = build(include_top=False, weights="imagenet", input_shape=(32, 32, 3))(fed).numpy()
    assert expected.std() > 0.01 * np.abs(expected).max()
    model = build_sora(replace(config(block, change=False), frames=1))
    load_application(model, block, None if fetched else path)
    inputs = dict(zip(model.input_names, model.inputs, strict=True))
    maps = keras.Model(inputs, model.get_layer("pool").input)
    clip = {"frames": pictures[:, None], "mask": np.ones((2, 1), bool)}
    found, scale = maps.predict(clip, verbose=0), np.abs(expected).max()
    np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)
    assert len(asked) == (2 if fetched else 1)  # once for what is expected
    assert all(url.startswith("https://storage.googleapis.com/") for url in asked)


def test_weights_that_do_not_fit_or_cannot_be_fetched_are_one_line(
    published, tmp_path, monkeypatch
):
    path, _ = published("MobileNet")
    model = build_sora(config("MobileNetV2"))
    before = model.get_weights()

    def unreachable(name, origin, **kwargs):
        raise OSError(f"URL fetch failure on {origin}:\n -- no route to host")

    monkeypatch.setattr(data_utils, "get_file", unreachable)
    for block, source, words in (
        ("MobileNetV2", path, "weights must be those of MobileNetV2"),
        ("MobileNet", path, "weights must be those of MobileNet "),
        ("MobileNetV2", tmp_path / "none.h5", "got '.*none.h5'"),
        ("MobileNetV2", None, "got 'imagenet': URL fetch failure"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            load_application(model, block, source)
        assert "\n" not in str(caught.value)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# What is refused.


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"block": "MobileNetV2"}, r"memory must be 0 in MobileNetV2, got 0\.25\. Use change"),
        ({"block": "ConvNeXtTiny", "memory": 0.0}, "a CNN of keras.applications other than ConvN"),
        ({"block": "MobileNetV9", "memory": 0.0}, "block must be one of conv, .*'MobileNetV9'"),
    ],
)
def test_bad_configs_are_named(values, words):
    with pytest.raises(ValueError, match=words) as caught:
        ExtractorConfig(**values)
    assert "\n" not in str(caught.value)


def test_pictures_too_small_are_named():
    with pytest.raises(ValueError, match=r"frames must suit MobileNetV2, got \(16, 32\)"):
        build_sora(replace(config("MobileNetV2"), size=(16, 32)))


def test_a_model_inside_that_takes_whole_clips_does_not_stream():
    clip = keras.Input((4, 3))
    inner = keras.Model(clip, keras.layers.LSTM(3, return_sequences=True)(clip), name="inner")
    frames, mask = keras.Input((4, 3), name="frames"), keras.Input((4,), name="mask", dtype="bool")
    outer = keras.Model([frames, mask], inner(frames))
    with pytest.raises(ValueError, match=r"the layer 'inner'.*may mix frames"):
        streaming(outer)
