"""Every lowering of RelationBlock gives the numbers of TensorFlow GNN's own operations."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf._keras import keras
from sora_tf.layers import chunks
from sora_tf.layers.graph import KINDS, FrameGraph
from sora_tf.layers.messages import ALPHAS
from sora_tf.layers.relation import LOWERINGS, RelationBlock

# isort: split
# TensorFlow GNN picks its Keras while it is imported, so ours comes first.
import tensorflow_gnn as tfgnn
from tensorflow_gnn.models.gat_v2 import GATv2Conv
from tensorflow_gnn.models.gcn import GCNConv

FEATURES, UNITS = 6, 8
CASES = list(itertools.product(ALPHAS, KINDS))


def made(alpha, edges, lowering="auto", weights=None, length=37, **arguments):
    """A built block with given or random weights."""
    block = RelationBlock(
        UNITS, alpha=alpha, edges=edges, lowering=lowering, activation="tanh",
        **{"window": 3, "segment": 5, "neighbours": 3, **arguments},
    )  # fmt: skip
    block.build([(None, length, FEATURES), (None, length)])
    generator = np.random.default_rng(0)
    random = [0.4 * generator.normal(size=weight.shape) for weight in block.get_weights()]
    block.set_weights(random if weights is None else weights)
    return block


def clips(length):
    """Clips that are all real, or masked at the start, the end, here and there, and throughout."""
    generator = np.random.default_rng(length)
    x = generator.normal(size=[5, length, FEATURES]).astype(np.float32)
    mask = np.ones([5, length], bool)
    mask[1, :3], mask[2, -3:], mask[3] = False, False, generator.random(length) < 0.6
    mask[4] = False
    return x, mask


def possible(alpha, edges):
    """The lowerings that there are for a kind of weight and of edge."""
    names = set(LOWERINGS) - {"graph"}
    if edges == "full":
        names -= {"band"}
    if edges != "full" or alpha not in ("uniform", "gcn"):
        names -= {"sum"}
    return sorted(names)


@pytest.mark.parametrize(("alpha", "edges"), CASES)
@pytest.mark.parametrize("length", [1, 5, 37])
def test_lowerings_agree(alpha, edges, length):
    x, mask = clips(length)
    graph = made(alpha, edges, "graph", length=length)
    expected, unmasked = graph([x, mask]), graph(x)
    for lowering in possible(alpha, edges):
        block = made(alpha, edges, lowering, graph.get_weights(), length)
        np.testing.assert_allclose(block([x, mask]), expected, atol=1e-5, err_msg=lowering)
        np.testing.assert_allclose(block(x), unmasked, atol=1e-5, err_msg=lowering)


@settings(max_examples=25, deadline=None)
@given(
    case=st.sampled_from(CASES), length=st.integers(1, 40), window=st.integers(1, 9),
    dilation=st.integers(1, 4), segment=st.integers(1, 12), seed=st.integers(0, 9),
)  # fmt: skip
def test_band_is_dense(case, length, window, dilation, segment, seed):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=[2, length, FEATURES]).astype(np.float32)
    mask = generator.random([2, length]) < 0.8
    arguments = {"window": window, "dilation": dilation, "segment": segment, "length": length}
    dense = made(*case, "dense", **arguments)
    other = made(*case, "auto" if case[1] == "full" else "band", **arguments)
    np.testing.assert_allclose(other([x, mask]), dense([x, mask]), atol=2e-5)


@pytest.mark.parametrize(("alpha", "edges"), [("attention", "full"), ("similarity", "full")])
def test_chunks_change_neither_numbers_nor_gradients(alpha, edges, monkeypatch):
    x, mask = (tf.constant(part[:4]) for part in clips(37))
    block = made(alpha, edges)

    def run():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = block([x, mask])
            loss = tf.reduce_sum(y**2 * tf.range(1.0, UNITS + 1))
        return [y, *tape.gradient(loss, [x, *block.trainable_weights])]

    expected = run()
    monkeypatch.setattr(chunks, "PAIR_VALUES", 5 * 37 * (UNITS if alpha == "attention" else 1))
    chunked = tf.function(run)
    for one, other in zip(chunked(), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=2e-4, rtol=1e-4)
    largest = max(
        (int(np.prod(tensor.shape)), op.type)
        for graph in _graphs(chunked.get_concrete_function().graph)
        for op in graph.get_operations()
        for tensor in op.outputs
        if tensor.shape.is_fully_defined()
    )
    assert largest[0] < 37 * 37 * UNITS, largest  # no tensor holds all pairs of a clip


def _graphs(graph):
    yield graph
    for name in graph._functions:
        yield graph._get_function(name).graph


@pytest.mark.parametrize(("alpha", "edges"), CASES)
def test_gradients_reach_every_weight(alpha, edges):
    x, mask = clips(37)
    block = made(alpha, edges)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(block([x, mask]) ** 2)
    for weight, gradient in zip(
        block.trainable_weights, tape.gradient(y, block.trainable_weights), strict=True
    ):
        assert (np.abs(tf.convert_to_tensor(gradient)) > 0).any(), weight.name


@pytest.mark.parametrize(("alpha", "edges"), CASES)
def test_padding_changes_nothing(alpha, edges):
    x = clips(11)[0]
    block = made(alpha, edges)
    padded = np.concatenate([x, 9 * np.ones([5, 8, FEATURES], np.float32)], axis=1)
    mask = np.broadcast_to(np.arange(19) < 11, [5, 19])
    bare = block(x)
    np.testing.assert_allclose(block([padded, mask])[:, :11], bare, atol=1e-5)


@pytest.mark.parametrize("alpha", ["gcn", "attention", "similarity"])
@pytest.mark.parametrize("edges", ["full", "window", "segments"])
def test_unknown_length(alpha, edges):
    x, mask = clips(37)
    block = made(alpha, edges, length=None)
    expected = block([x, mask])
    signature = [[tf.TensorSpec([None, None, FEATURES]), tf.TensorSpec([None, None], tf.bool)]]
    for compiled in (False, True):
        function = tf.function(block, input_signature=signature, jit_compile=compiled)
        np.testing.assert_allclose(function([x, mask]), expected, atol=1e-5)


# TensorFlow GNN's convolutions, which know neither our kernels nor our layer.


def gnn_uniform(block):
    dense = keras.layers.Dense(UNITS, use_bias=False)
    conv = tfgnn.keras.layers.SimpleConv(
        dense, "sum", receiver_tag=tfgnn.TARGET, receiver_feature=None
    )
    dense.build([None, FEATURES])
    dense.set_weights([block.kernel.numpy()])
    return lambda graph: tf.tanh(conv(graph, edge_set_name="relation") + block.bias)


def gcn_conv(block, degrees, activation="tanh", **arguments):
    """TensorFlow GNN's GCNConv with a block's weights."""
    conv = GCNConv(UNITS, activation=activation, degree_normalization=degrees, **arguments)
    conv._filter.build([None, FEATURES])
    weights = [block.kernel.numpy(), block.bias.numpy()]
    conv._filter.set_weights(weights if conv._filter.use_bias else weights[:1])
    return conv


def gat_conv(block, activation="tanh"):
    """TensorFlow GNN's GATv2Conv with a block's weights."""
    conv = GATv2Conv(
        num_heads=4, per_head_channels=UNITS // 4, receiver_tag=tfgnn.TARGET, activation=activation
    )
    conv._w_query.build([None, FEATURES])
    conv._w_query.set_weights([block.query_kernel.numpy(), block.query_bias.numpy()])
    conv._w_sender_node.build([None, FEATURES])
    conv._w_sender_node.set_weights([block.kernel.numpy(), block.bias.numpy()])
    conv._attention_logits_fn.build([None, 4, UNITS // 4])
    conv._attention_logits_fn.set_weights([block.attention.numpy()])
    return conv


def gnn_gcn(block):
    # With causal edges the sender's degree counts frames yet to come.
    degrees = "in" if block.rule.edges == "causal" else "in_out"
    return functools.partial(gcn_conv(block, degrees), edge_set_name="relation")


def gnn_attention(block):
    return functools.partial(gat_conv(block), edge_set_name="relation")


def gnn_learned(block):
    conv = gcn_conv(block, "none", edge_weight_feature_name="weight")
    table = block.offsets.numpy()  # from the farthest sender ahead to the farthest behind
    ahead = 0 if block.rule.edges == "causal" else block.rule.window

    def weighted(graph):
        offsets = graph.edge_sets["relation"]["offset"].numpy() // block.rule.step
        weight = table[np.clip(offsets, -ahead, block.rule.window) + ahead]
        graph = graph.replace_features(edge_sets={"relation": {"weight": tf.constant(weight)}})
        return conv(graph, edge_set_name="relation")

    return weighted


GNN = {
    "uniform": gnn_uniform,
    "gcn": gnn_gcn,
    "learned": gnn_learned,
    "attention": gnn_attention,
}


@pytest.mark.parametrize("edges", ["full", "window", "causal", "dilated"])
@pytest.mark.parametrize("alpha", GNN)
@pytest.mark.parametrize("length", [37, 80])
def test_every_lowering_equals_tensorflow_gnn(alpha, edges, length):
    x, mask = clips(length)
    block = made(alpha, edges, length=length)
    y = GNN[alpha](block)(FrameGraph(edges, window=3)([x, mask])).numpy()
    expected = y.reshape(*mask.shape, UNITS) * mask[..., None]
    for lowering in ["graph", *possible(alpha, edges)]:
        other = made(alpha, edges, lowering, block.get_weights(), length)
        np.testing.assert_allclose(other([x, mask]), expected, atol=1e-5, err_msg=lowering)


@pytest.mark.parametrize("alpha", ["uniform", "gcn", "attention"])
def test_segments_equal_tensorflow_gnn_among_frames_and_among_segments(alpha):
    # A frame hears its segment's frames and its segment's node: two convolutions, the messages of
    # which are added before the activation.
    x, mask = clips(37)
    block = made(alpha, "segments")
    graph = FrameGraph("segments", segment=5)([x, mask])
    if alpha == "attention":
        convs = [gat_conv(block, "linear") for _ in range(2)]
    else:
        degrees = "in_out" if alpha == "gcn" else "none"
        convs = [gcn_conv(block, degrees, "linear", use_bias=False) for _ in range(2)]
    frames = convs[0](graph, edge_set_name="relation")
    nodes = convs[1](graph, edge_set_name="between")
    context = tf.gather(nodes, tf.repeat(tf.range(nodes.shape[0]), 5))
    context = tf.reshape(context, [5, -1, UNITS])[:, :37]  # 8 segments of 5, the last one short
    total = tf.reshape(frames, [5, 37, UNITS]) + context
    if alpha == "attention":  # each has brought the values' bias, which the formula has once
        total -= block.bias
    else:
        total += block.bias
    expected = tf.tanh(total) * mask[..., None]
    for lowering in ["graph", *possible(alpha, "segments")]:
        other = made(alpha, "segments", lowering, block.get_weights())
        np.testing.assert_allclose(other([x, mask]), expected, atol=1e-5, err_msg=lowering)


def similar(x, mask, rule, neighbours):
    """Σ softmax(cosine)·x over the most similar joined real frames, frame by frame."""
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    made = np.zeros_like(x)
    for b, t in np.argwhere(mask):
        there = [i for i in np.flatnonzero(mask[b]) if rule.joined(t, i)]
        cosine = unit[b, there] @ unit[b, t]
        best = np.argsort(-cosine, kind="stable")[:neighbours]
        weight = np.exp(cosine[best]) / np.exp(cosine[best]).sum()
        made[b, t] = weight @ x[b, np.array(there)[best]]
    return made


@pytest.mark.parametrize("edges", ["full", "window", "causal", "dilated"])
def test_every_lowering_of_similarity_equals_loops(edges):
    x, mask = clips(37)
    block = made("similarity", edges)
    messages = similar(x.astype(np.float64), mask, block.rule, 3)
    expected = np.tanh(messages @ block.kernel.numpy() + block.bias.numpy()) * mask[..., None]
    for lowering in ["graph", *possible("similarity", edges)]:
        other = made("similarity", edges, lowering, block.get_weights())
        np.testing.assert_allclose(other([x, mask]), expected, atol=1e-5, err_msg=lowering)


def ring(**features):
    """Four frames in a ring, each sending to the next: edges that FrameGraph has no name for."""
    states = {"hidden_state": tf.constant(np.eye(4, FEATURES), tf.float32)}
    return tfgnn.GraphTensor.from_pieces(
        node_sets={"frame": tfgnn.NodeSet.from_fields(sizes=[4], features=states)},
        edge_sets={
            "relation": tfgnn.EdgeSet.from_fields(
                sizes=[4],
                features=features,
                adjacency=tfgnn.Adjacency.from_indices(
                    source=("frame", tf.constant([0, 1, 2, 3])),
                    target=("frame", tf.constant([1, 2, 3, 0])),
                ),
            )
        },
    )


@pytest.mark.parametrize("alpha", ALPHAS)
def test_graph_of_the_users_own(alpha):
    # One sender each, so that every weight is 1, or 1/3 where learned: the states move on by one.
    block = RelationBlock(FEATURES, alpha=alpha, heads=2, window=1, activation="linear")
    graph = ring(offset=tf.constant([1, 1, 1, -3]))
    block(graph)
    block.kernel.assign(np.eye(FEATURES))
    moved = np.roll(np.eye(4, FEATURES), 1, axis=0) * (1 / 3 if alpha == "learned" else 1)
    y = block(graph)
    np.testing.assert_allclose(y.node_sets["frame"]["hidden_state"], moved, atol=1e-6)
    assert y.edge_sets["relation"].sizes.numpy().tolist() == [4]


def test_graph_inside_a_saved_model(tmp_path):
    x, mask = clips(11)
    inputs = [keras.Input([None, FEATURES]), keras.Input([None], dtype=tf.bool)]
    graph = RelationBlock(UNITS, window=3)(FrameGraph(window=3)(inputs))
    states = tfgnn.keras.layers.Readout(node_set_name="frame")(graph)
    model = keras.Model(inputs, states)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded([x, mask]), model([x, mask]), atol=1e-6)
    block = RelationBlock(UNITS, window=3)
    block([x, mask])
    block.set_weights(model.get_weights())
    expected = block([x, mask]).numpy()[mask]
    np.testing.assert_allclose(loaded([x, mask]).numpy()[mask.reshape(-1)], expected, atol=1e-5)


def test_bad_graphs():
    with pytest.raises(ValueError, match="needs the edge feature 'offset'"):
        RelationBlock(4, alpha="learned")(ring())
    other = tfgnn.GraphTensor.from_pieces(node_sets={"x": tfgnn.NodeSet.from_fields(sizes=[1])})
    with pytest.raises(ValueError, match="must have node set 'frame' and edge set 'relation'"):
        RelationBlock(4)(other)
