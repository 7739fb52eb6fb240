"""The frame graph against its definition, written out as loops."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from contract import check_config
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf._keras import keras
from sora_tf.layers.graph import KINDS, EdgeRule, FrameGraph

DEFINITIONS = {
    "full": lambda t, i: True,
    "window": lambda t, i: -2 <= t - i <= 2,
    "causal": lambda t, i: i in (t, t - 1, t - 2),
    "dilated": lambda t, i: t - i in (-6, -3, 0, 3, 6),
    "segments": lambda t, i: (t < 4 and i < 4) or (4 <= t < 8 and 4 <= i < 8) or min(t, i) >= 8,
}


def edges_of(graph, name):
    edge_set = graph.edge_sets[name]
    source, target = (edge_set.adjacency[tag].numpy() for tag in (0, 1))
    return list(zip(source.tolist(), target.tolist(), strict=True))


@pytest.mark.parametrize("edges", KINDS)
@settings(max_examples=15, deadline=None)
@given(mask=st.lists(st.lists(st.booleans(), min_size=10, max_size=10), min_size=1, max_size=3))
def test_edges_are_the_joined_pairs_of_real_frames(edges, mask):
    mask = np.array(mask)
    x = np.arange(mask.size, dtype=np.float32)[:, None].reshape(*mask.shape, 1)
    graph = FrameGraph(edges, window=2, dilation=3, segment=4)([x, mask])
    expected = [
        (10 * b + i, 10 * b + t)
        for b, t, i in itertools.product(range(len(mask)), range(10), range(10))
        if mask[b, t] and mask[b, i] and DEFINITIONS[edges](t, i)
    ]
    assert edges_of(graph, "relation") == expected
    offsets = graph.edge_sets["relation"].features["offset"].numpy()
    assert offsets.tolist() == [t - i for i, t in expected]
    assert graph.node_sets["frame"].sizes.numpy().tolist() == [10] * len(mask)
    np.testing.assert_array_equal(graph.node_sets["frame"]["hidden_state"][:, 0], x.reshape(-1))


def test_segment_nodes_are_means_of_real_frames():
    # Segments {1, 2}, {4, masked}, {masked}: means 1.5, 4 and none, the last one without edges.
    x = np.array([[[1.0], [2.0], [4.0], [8.0], [16.0]]], np.float32)
    mask = np.array([[True, True, True, False, False]])
    graph = FrameGraph("segments", segment=2)([x, mask])
    assert graph.node_sets["segment"]["hidden_state"].numpy().tolist() == [[1.5], [4.0], [0.0]]
    assert edges_of(graph, "contains") == [(0, 0), (1, 0), (2, 1)]
    assert edges_of(graph, "context") == [(0, 0), (0, 1), (1, 2)]
    assert edges_of(graph, "between") == [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert graph.edge_sets["between"]["offset"].numpy().tolist() == [0, -1, 1, 0]


def test_unknown_length_and_no_mask():
    layer = FrameGraph("causal", window=1)
    graph = tf.function(layer, input_signature=[tf.TensorSpec([None, None, 2])])(np.ones([2, 3, 2]))
    # Per clip 0-0, 0-1, 1-1, 1-2, 2-2.
    assert edges_of(graph, "relation")[:5] == [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2)]
    assert graph.edge_sets["relation"].sizes.numpy().tolist() == [5, 5]


@pytest.mark.parametrize("edges", KINDS)
def test_config(edges):
    layer = FrameGraph(edges, window=3, dilation=4, segment=5, name="graph")
    check_config(layer)
    x, mask = np.ones([2, 9, 3], np.float32), np.ones([2, 9], bool)
    twin = FrameGraph.from_config(layer.get_config())
    for name in layer([x, mask]).edge_sets:
        assert edges_of(twin([x, mask]), name) == edges_of(layer([x, mask]), name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"edges": "ring"}, "edges must be one of full, window, causal, dilated, segments"),
        ({"window": 0}, "window must be at least 1 frame, got 0"),
        ({"dilation": 0}, "dilation must be at least 1 frame, got 0"),
        ({"segment": -1}, "segment must be at least 1 frame, got -1"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        EdgeRule(**arguments)


def test_is_registered():
    assert keras.utils.get_registered_object("sora_tf>FrameGraph") is FrameGraph
