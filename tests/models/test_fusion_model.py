"""The fusion model: what is absent, what it learns, and that it saves and converts."""

import numpy as np
import pytest
import tensorflow as tf
from node_sets import SETS, some_nodes

from sora_tf._keras import keras
from sora_tf.models.fusion import KINDS, FusionConfig, build_fusion
from sora_tf.models.sora import GLOBAL_VECTOR


def fed(nodes):
    parts = ("", "_mask", "_times")
    return {name + part: x for name, xs in nodes.items() for part, x in zip(parts, xs, strict=True)}


@pytest.fixture(scope="module", params=KINDS)
def model(request):
    keras.utils.set_random_seed(1)
    return build_fusion(SETS, 3, FusionConfig(request.param, units=16, heads=2))


def test_an_absent_set_changes_nothing(model):
    nodes = some_nodes()
    nodes["sound"][1][:] = False
    before = model(fed(nodes))
    nodes["sound"][0] = nodes["sound"][0] * 9 + 3
    nodes["sound"][2] = nodes["sound"][2] + 100
    np.testing.assert_allclose(model(fed(nodes)), before, atol=1e-6)
    nodes["sound"][1][:] = True
    assert np.abs(model(fed(nodes)) - before).max() > 1e-3


def test_nothing_at_all_is_finite(model):
    nodes = some_nodes()
    for _, mask, _ in nodes.values():
        mask[:] = False
    scores = model(fed(nodes)).numpy()
    np.testing.assert_allclose(scores, scores[:1].repeat(len(scores), axis=0), atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


def test_saves_loads_and_converts_without_flex(model, tmp_path):
    nodes = fed(some_nodes(batch=1))
    wanted = model(nodes).numpy()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(nodes), wanted)
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    lite = tf.lite.Interpreter(model_content=content).get_signature_runner()
    (given,) = lite(**nodes).values()
    np.testing.assert_allclose(given, wanted, atol=1e-5)


def test_only_the_graph_knows_what_happens_at_the_same_time():
    # A frame and a sound, each 1 or -1, at the first or at the second moment. The class is whether
    # the frame that sounds is the one that is lit: averages over the clip cannot tell.
    rng = np.random.default_rng(0)
    count = 400
    lit, heard = rng.integers(0, 2, count), rng.integers(0, 2, count)
    moments = np.repeat(np.array([[[0.0, 0.0], [1.0, 1.0]]], np.float32), count, axis=0)
    real = np.ones((count, 2), bool)

    def one_hot(place):
        other = rng.normal(0, 0.1, (count, 2, 2))
        other[np.arange(count), place, 0] += 1
        other[np.arange(count), 1 - place, 1] += 1
        return other.astype(np.float32)

    nodes = {"frame": [one_hot(lit), real, moments], "sound": [one_hot(heard), real, moments]}
    truth = np.eye(2, dtype=np.float32)[(lit == heard).astype(int)]
    accuracy = {}
    for kind in ("graph", "concatenation"):
        keras.utils.set_random_seed(0)
        shapes = dict.fromkeys(nodes, (2, 2))
        made = build_fusion(shapes, 2, FusionConfig(kind, units=16, absent=0, dropout=0))
        made.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", ["accuracy"])
        learnt = {name: x[:300] for name, x in fed(nodes).items()}
        made.fit(learnt, truth[:300], epochs=30, batch_size=50, verbose=0)
        held = {name: x[300:] for name, x in fed(nodes).items()}
        accuracy[kind] = made.evaluate(held, truth[300:], verbose=0)[1]
    assert accuracy["graph"] > 0.95
    assert accuracy["concatenation"] < 0.65


def test_one_set_and_the_vector(tmp_path):
    nodes = {"frame": some_nodes()["frame"]}
    made = build_fusion({"frame": (None, 8)}, config=FusionConfig(units=16))
    assert made.output_shape == (None, 16)
    assert made.output_names == [GLOBAL_VECTOR]
    assert made(fed(nodes)).shape == (3, 16)
    made.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(loaded(fed(nodes)), made(fed(nodes)))


def test_the_vector_has_a_part_for_each_set_and_one_for_all():
    made = build_fusion(SETS, config=FusionConfig(units=16))
    nodes = some_nodes()
    for _, mask, _ in nodes.values():
        mask[:] = True
    nodes["sound"][1][1:] = nodes["sentence"][1][1:] = False
    parts = made(fed(nodes)).numpy().reshape(3, 4, 16)
    there = np.abs(parts).max(axis=2) > 0
    assert there.tolist() == [[True] * 4, [True, False, False, False], [True, False, False, False]]


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"kind": "sum"}, "kind"),
        ({"units": 0}, "units"),
        ({"blocks": 0}, "blocks"),
        ({"window": 0}, "window"),
        ({"absent": 1.0}, "absent"),
        ({"dropout": -0.1}, "dropout"),
        ({"heads": 0}, "heads"),
        ({"kind": "cross_attention", "units": 10, "heads": 4}, "units"),
    ],
)
def test_wrong_configs(wrong, word):
    with pytest.raises(ValueError, match=f"FusionConfig: {word} must"):
        FusionConfig(**wrong)


def test_wrong_sets_and_classes():
    with pytest.raises(ValueError, match="sets must not be empty"):
        build_fusion({}, 2)
    with pytest.raises(ValueError, match="num_classes must be"):
        build_fusion(SETS, 1)
