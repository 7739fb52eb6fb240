import numpy as np
import pytest
from contract import check_layer

from sora_tf.layers import FrameChange, FrameContrast
from sora_tf.layers.frames import start_of

# isort: split
import tensorflow_gnn as tfgnn

MASK = np.array([[True, True, True, False], [True, False, True, True]])
RNG = np.random.default_rng(0)


def test_the_largest_change_anywhere_is_told():
    x = np.zeros((1, 3, 2, 2, 2), "float32")
    x[0, 1, 0, 1] = [3, -1]  # frame 1: at one place channel 0 rises by 3, channel 1 falls by 1
    x[0, 1, 1, 0] = [1, 0.5]
    x[0, 2, 0, 1] = [3, 4]  # frame 2: channel 1 from -1 to 4 there, channel 0 from 1 to 0 elsewhere
    y = FrameChange()([x.reshape(3, 2, 2, 2), np.ones((1, 3), bool)]).numpy()
    assert y.tolist() == [[0, 0], [3, 1], [1, 5]]


def test_nothing_changes_at_the_first_frame_nor_beside_a_masked_one():
    x = RNG.normal(size=(8, 3, 3, 2)).astype("float32")
    y = FrameChange()([x, MASK]).numpy().reshape(2, 4, 2)
    known = np.array([[False, True, True, False], [False, False, False, True]])
    assert (y[known] > 0).all()
    assert (y[~known] == 0).all()


def test_contrast_is_the_mean_difference_from_the_frames_before():
    x = np.array([[[1.0, 0], [4, 0], [2, 2], [9, 9]]], "float32")
    y = FrameContrast(2)([x, np.array([[True, True, True, True]])]).numpy()
    # Frame 2: (|2 - 4| + |2 - 1|) / 2 and (2 + 2) / 2; frame 3 looks back on frames 2 and 1.
    assert y[0].tolist() == [[0, 0], [3, 0], [1.5, 2], [6, 8]]


def test_contrast_leaves_out_masked_frames():
    x = np.array([[[1.0], [50], [2]]], "float32")
    y = FrameContrast(8)([x, np.array([[True, False, True]])]).numpy()
    assert y[0].tolist() == [[0], [0], [1]]


@pytest.mark.parametrize("window", [1, 3, 16])
def test_contrast_is_a_round_of_messages_on_tensorflow_gnns_graph(window):
    x = RNG.normal(size=(1, 9, 5)).astype("float32")
    pairs = [(i, t) for t in range(9) for i in range(max(0, t - window), t)]
    source, target = np.array(pairs).T
    graph = tfgnn.GraphTensor.from_pieces(
        node_sets={"frame": tfgnn.NodeSet.from_fields(sizes=[9], features={"hidden_state": x[0]})},
        edge_sets={
            "before": tfgnn.EdgeSet.from_fields(
                sizes=[len(pairs)],
                adjacency=tfgnn.Adjacency.from_indices(("frame", source), ("frame", target)),
            )
        },
    )
    ends = [
        tfgnn.broadcast_node_to_edges(graph, "before", tag, feature_name="hidden_state")
        for tag in (tfgnn.SOURCE, tfgnn.TARGET)
    ]
    messages = abs(ends[0] - ends[1])
    pooled = tfgnn.pool_edges_to_node(graph, "before", tfgnn.TARGET, "mean", feature_value=messages)
    made = FrameContrast(window)([x, np.ones((1, 9), bool)])
    np.testing.assert_allclose(made[0], pooled, atol=1e-6)


def vectors(x):
    return x.mean(axis=(2, 3))


def maps(x):
    return x.reshape(-1, *x.shape[2:])


@pytest.mark.parametrize("chunk", [1, 2, 4, 7])
@pytest.mark.parametrize(("layer", "shaped"), [(FrameChange(), maps), (FrameContrast(3), vectors)])
@pytest.mark.parametrize("masked", [False, True])
def test_chunks_equal_the_clip(layer, shaped, masked, chunk):
    x = RNG.normal(size=(2, 9, 3, 5, 6)).astype("float32")
    mask = np.ones((2, 9), bool)
    mask[0, 4] = mask[1, 6:] = not masked
    whole = layer([shaped(x), mask]).numpy().reshape(2, 9, 6)
    parts, state = [], None
    for first in range(0, 9, chunk):
        at = slice(first, first + chunk)
        inputs = [shaped(x[:, at]), mask[:, at]]
        state = state or start_of(layer, inputs)
        y, state = layer.step(inputs, state)
        parts.append(y.numpy().reshape(2, -1, 6))
    np.testing.assert_allclose(np.concatenate(parts, axis=1), whole, atol=1e-6)


@pytest.mark.parametrize(("layer", "shaped"), [(FrameChange(), maps), (FrameContrast(2), vectors)])
def test_contract(layer, shaped):
    x = RNG.normal(size=(2, 4, 3, 5, 6)).astype("float32")
    check_layer(layer, [shaped(x), MASK])


def test_a_window_of_nothing_is_refused():
    with pytest.raises(ValueError, match="window must be at least 1 frame, got 0"):
        FrameContrast(0)
