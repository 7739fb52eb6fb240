"""FusionBlock against TensorFlow GNN and sums by hand; ModalityDropout; CrossAttention."""

import numpy as np
import pytest
import tensorflow as tf
from contract import check_config
from hypothesis import given, settings
from hypothesis import strategies as st
from node_sets import SETS, some_nodes

from sora_tf._keras import keras
from sora_tf.layers.cross_attention import CrossAttention
from sora_tf.layers.fusion import FusionBlock, ModalityDropout, fusion_graph, overlapping


def with_kernels_of_one(block):
    weights = block.get_weights()
    block.set_weights([np.full_like(w, 0.0 if w.ndim == 1 else 1.0) for w in weights])


def test_spans_that_touch_overlap_and_moments_do():
    receivers = tf.constant([[[0.0, 1.0], [2.0, 2.0]]])
    senders = tf.constant([[[1.0, 3.0], [1.5, 1.6], [2.0, 2.0]]])
    wanted = [[[True, False, False], [True, False, True]]]
    assert overlapping(receivers, senders).numpy().tolist() == wanted


def test_one_round_by_hand():
    # Two frames at 0 and 1 s, a sound from 0.5 to 1.5 s; all kernels 1, no bias, identity.
    # Frame 0: own 1 + frame 1's 10 + no sound = 11.
    # Frame 1: own 10 + frame 0's 1 + sound's 100 = 111.
    # Sound: own 100 + frame 1's 10 + no other sound = 110.
    nodes = {
        "frame": [
            np.array([[[1.0], [10.0]]], np.float32),
            np.ones((1, 2), bool),
            np.array([[[0.0, 0.0], [1.0, 1.0]]], np.float32),
        ],
        "sound": [
            np.array([[[100.0]]], np.float32),
            np.ones((1, 1), bool),
            np.array([[[0.5, 1.5]]], np.float32),
        ],
    }
    block = FusionBlock(1, activation="linear")
    block(nodes)
    with_kernels_of_one(block)
    made = block(nodes)
    assert made["frame"].numpy().ravel().tolist() == [11.0, 111.0]
    assert made["sound"].numpy().ravel().tolist() == [110.0]


def test_several_senders_are_averaged():
    # One sentence through the whole clip hears the mean of two frames: (1 + 10) / 2, own 0.
    nodes = {
        "frame": [
            np.array([[[1.0], [10.0], [99.0]]], np.float32),
            np.array([[True, True, False]]),
            np.array([[[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]], np.float32),
        ],
        "sentence": [
            np.zeros((1, 1, 1), np.float32),
            np.ones((1, 1), bool),
            np.array([[[0.0, 9.0]]], np.float32),
        ],
    }
    block = FusionBlock(1, activation="linear")
    block(nodes)
    with_kernels_of_one(block)
    assert block(nodes)["sentence"].numpy().ravel().tolist() == [5.5]


@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 2**16),
    batch=st.integers(1, 3),
    counts=st.tuples(*[st.integers(1, 6)] * 3),
    window=st.integers(1, 4),
)
def test_dense_and_graph_agree(seed, batch, counts, window):
    sets = {name: (n, SETS[name][1]) for name, n in zip(SETS, counts, strict=True)}
    nodes = some_nodes(seed, batch, sets)
    dense, graph = FusionBlock(7, window), FusionBlock(7, window, lowering="graph")
    dense(nodes), graph(nodes)
    graph.set_weights(dense.get_weights())
    for name, x in dense(nodes).items():
        np.testing.assert_allclose(graph(nodes)[name], x, atol=1e-5)


def test_the_graph_is_heterogeneous():
    graph = fusion_graph(some_nodes(), 2)
    assert set(graph.node_sets) == set(SETS)
    assert len(graph.edge_sets) == 9
    nodes = some_nodes()
    sound, frame = nodes["sound"], nodes["frame"]
    pairs = overlapping(tf.constant(frame[2]), tf.constant(sound[2])).numpy()
    pairs &= frame[1][:, :, None] & sound[1][:, None, :]
    assert graph.edge_sets["sound_frame"].sizes.numpy().tolist() == pairs.sum((1, 2)).tolist()


@pytest.mark.parametrize("lowering", ["dense", "graph"])
def test_an_absent_set_changes_nothing(lowering):
    nodes = some_nodes()
    block = FusionBlock(7, lowering=lowering)
    nodes["sound"][1][:] = False
    before = block(nodes)
    rng = np.random.default_rng(1)
    nodes["sound"][0] = rng.normal(size=nodes["sound"][0].shape).astype(np.float32)
    nodes["sound"][2] = nodes["sound"][2] * 3 - 4
    after = block(nodes)
    for name in nodes:
        np.testing.assert_array_equal(after[name], before[name])
    assert not after["sound"].numpy().any()
    assert after["frame"].numpy().any()


def test_fusion_saves_and_loads(tmp_path):
    nodes = some_nodes()
    inputs = {
        name: [keras.Input(x.shape[1:], dtype=tf.as_dtype(x.dtype)) for x in parts]
        for name, parts in nodes.items()
    }
    masks = ModalityDropout(0.5)({name: parts[1] for name, parts in inputs.items()})
    made = FusionBlock(7, 3)({n: [x, masks[n], times] for n, (x, _, times) in inputs.items()})
    model = keras.Model([x for parts in inputs.values() for x in parts], made)
    flat = [x for parts in nodes.values() for x in parts]
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    for name, x in model(flat).items():
        np.testing.assert_array_equal(loaded(flat)[name], x)


@pytest.mark.parametrize("layer", [FusionBlock(7, 3, "tanh", "graph"), ModalityDropout(0.2)])
def test_configs(layer):
    check_config(layer)


def test_shapes():
    shapes = {"frame": [(2, 5, 8), (2, 5), (2, 5, 2)], "sound": [(2, 3, 6), (2, 3), (2, 3, 2)]}
    made = FusionBlock(7).compute_output_shape(shapes)
    assert {name: tuple(shape) for name, shape in made.items()} == {
        "frame": (2, 5, 7),
        "sound": (2, 3, 7),
    }


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"units": 0}, "units"),
        ({"units": 4, "window": 0}, "window"),
        ({"units": 4, "lowering": "x"}, "lowering"),
    ],
)
def test_wrong_arguments(wrong, word):
    with pytest.raises(ValueError, match=f"FusionBlock: {word} must be"):
        FusionBlock(**wrong)


def test_sets_are_dropped_in_training_alone_and_never_all():
    keras.utils.set_random_seed(0)
    masks = {"frame": np.ones((4000, 2), bool), "sound": np.ones((4000, 3), bool)}
    masks["sound"][:1000] = False  # of clips without sound the frames always stay
    layer = ModalityDropout(0.4)
    for name, mask in layer(masks, training=False).items():
        np.testing.assert_array_equal(mask, masks[name])
    made = {name: mask.numpy() for name, mask in layer(masks, training=True).items()}
    assert made["frame"][:1000].all()
    whole = {name: mask[1000:] for name, mask in made.items()}
    for mask in whole.values():
        assert (mask.all(1) | ~mask.any(1)).all()
    dropped = {name: ~mask.any(1) for name, mask in whole.items()}
    assert not (dropped["frame"] & dropped["sound"]).any()
    # Both stay with 0.36, and where both would go, with 0.16; each alone goes with 0.24.
    for share in dropped.values():
        assert abs(share.mean() - 0.24) < 0.03


def test_modality_dropout_out_of_range():
    with pytest.raises(ValueError, match="rate must be"):
        ModalityDropout(1.0)


def test_cross_attention_equals_kerass():
    # The same heads as Keras's layer without biases, with its einsum kernels reshaped.
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 8)).astype(np.float32)
    senders = rng.normal(size=(2, 4, 6)).astype(np.float32)
    mask = np.array([[True, True, False, True], [True, False, False, False]])
    own = CrossAttention(2, 3)
    made = own([x, senders, mask])
    peer = keras.layers.MultiHeadAttention(2, 3, use_bias=False)
    peer(x, senders)
    query, key, value, out = own.get_weights()
    peer.set_weights(
        [query.reshape(8, 2, 3), key.reshape(6, 2, 3), value.reshape(6, 2, 3), out.reshape(2, 3, 8)]
    )
    wanted = peer(x, senders, key=senders, attention_mask=mask[:, None])
    # Keras's arguments are (query, value, key): here both are the senders.
    np.testing.assert_allclose(made, wanted, atol=1e-5)


def test_nobody_to_ask_is_zero():
    x, senders = np.ones((1, 2, 4), np.float32), np.full((1, 3, 4), 5.0, np.float32)
    layer = CrossAttention(2, 2)
    assert not layer([x, senders, np.zeros((1, 3), bool)]).numpy().any()
    assert layer([x, senders, np.ones((1, 3), bool)]).numpy().any()
    check_config(layer)
    assert tuple(layer.compute_output_shape([x.shape, senders.shape, (1, 3)])) == (1, 2, 4)
