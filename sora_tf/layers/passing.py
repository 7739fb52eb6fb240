"""Message passing with TensorFlow GNN's own operations, on any graph: what the fast ways equal."""

import functools

import tensorflow as tf

from sora_tf.layers import alpha as weights
from sora_tf.layers.graph import BETWEEN, CONTEXT, FRAME, OFFSET, RELATION, SEGMENT

# isort: split
# TensorFlow GNN picks its Keras while it is imported; sora_tf.layers.graph has seen to ours.
import tensorflow_gnn as tfgnn


def _sum(graph, edges, values, receiver=tfgnn.TARGET, edge_weights=None):
    """Sums over the edges of each receiver: (nodes, ...) to (nodes, ...)."""
    sent = tfgnn.broadcast_node_to_edges(
        graph, edges, tfgnn.reverse_tag(receiver), feature_value=values
    )
    if edge_weights is not None:
        sent *= edge_weights
    return tfgnn.pool_edges_to_node(graph, edges, receiver, "sum", feature_value=sent)


def weighted_sum(graph, edges, x, alpha, causal, edge_weights=None):
    """Σ_i α_it·x_i, (nodes, F), for a kind that does not look at the features.

    Args:
        edge_weights: (E,) float of "learned"; None else.
    """
    column = None if edge_weights is None else edge_weights[:, None]

    def total(v, before=None, after=None, receiver=tfgnn.TARGET):
        sums = _sum(graph, edges, weights.scaled(v, before), receiver, column)
        return weights.scaled(sums, after)

    sent = functools.partial(total, receiver=tfgnn.SOURCE)
    return weights.weighted_sum(alpha, x, None, total, causal, sent)


def attention(graph, edges, queries, keys, values, vector):
    """GATv2: queries, keys, values (nodes, U), vector (U / heads, heads) to (nodes, U)."""
    width, heads = vector.shape
    by_head = [-1, heads, width]
    query = tfgnn.broadcast_node_to_edges(graph, edges, tfgnn.TARGET, feature_value=queries)
    key = tfgnn.broadcast_node_to_edges(graph, edges, tfgnn.SOURCE, feature_value=keys)
    features = tf.reshape(tf.nn.leaky_relu(query + key, weights.SLOPE), by_head)
    logits = tf.reduce_sum(features * tf.transpose(vector), axis=-1, keepdims=True)
    alpha = tfgnn.softmax_edges_per_node(graph, edges, tfgnn.TARGET, feature_value=logits)
    messages = _sum(graph, edges, tf.reshape(values, by_head), edge_weights=alpha)
    return tf.reshape(messages, [-1, heads * width])


def similarity(graph, edges, unit, values, neighbours):
    """The most similar senders: unit (nodes, F) of length 1 and values (nodes, F) to (nodes, F)."""
    receiver = tfgnn.broadcast_node_to_edges(graph, edges, tfgnn.TARGET, feature_value=unit)
    sender = tfgnn.broadcast_node_to_edges(graph, edges, tfgnn.SOURCE, feature_value=unit)
    cosine = tf.reduce_sum(receiver * sender, axis=-1)  # (E,)
    among = _rank(graph, edges, cosine) < neighbours
    logits = tf.where(among, cosine, -1e9)[:, None]  # leaves no weight in float32
    alpha = tfgnn.softmax_edges_per_node(graph, edges, tfgnn.TARGET, feature_value=logits)
    return _sum(graph, edges, values, edge_weights=alpha)


def _rank(graph, edges, score):
    """The place (E,) of every edge among its receiver's, 0 for the best score, ties by index."""
    receiver = graph.edge_sets[edges].adjacency[tfgnn.TARGET]
    by_score = tf.argsort(score, direction="DESCENDING", stable=True)
    order = tf.gather(by_score, tf.argsort(tf.gather(receiver, by_score), stable=True))
    sorted_receiver = tf.gather(receiver, order)
    first = tf.searchsorted(sorted_receiver, sorted_receiver)
    places = tf.range(tf.size(order)) - first
    return tf.scatter_nd(order[:, None], places, tf.shape(order))


def on_graph(graph, messages):
    """Messages (frames, F) of a graph, with its segment nodes' messages where it has them.

    Args:
        messages: makes the messages of one node set along one edge set, given both names.
    """
    made = messages(FRAME, RELATION)
    if SEGMENT not in graph.node_sets:
        return made
    return made + _sum(graph, CONTEXT, messages(SEGMENT, BETWEEN))


def offsets(graph, edges):
    """The feature "offset" (E,) of an edge set.

    Raises:
        ValueError: the edge set has none.
    """
    features = graph.edge_sets[edges].features
    if OFFSET not in features:
        raise ValueError(
            f"RelationBlock: alpha 'learned' needs the edge feature '{OFFSET}', but edge set "
            f"'{edges}' has {sorted(features)}. Add it, or choose another alpha."
        )
    return features[OFFSET]
