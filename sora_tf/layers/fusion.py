"""Frames, sound windows and sentences as one heterogeneous graph, joined by overlap in time.

A node set is named; its nodes have vectors (B, n, D), a mask (B, n) of those that are there, and
times (B, n, 2), begin and end in s. Within a set neighbours are joined, between sets what is
there at the same time.
"""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.frames import length_of
from sora_tf.layers.graph import EdgeRule

# isort: split
# TensorFlow GNN picks its Keras while it is imported, so ours comes first.
import tensorflow_gnn as tfgnn

LOWERINGS = ("dense", "graph")


def overlapping(receivers: tf.Tensor, senders: tf.Tensor) -> tf.Tensor:
    """Which spans of time have a moment in common: (B, R, 2), (B, S, 2) to (B, R, S) bool.

    A span may be a single moment; one that begins where another ends touches it.
    """
    begin = tf.maximum(receivers[:, :, None, 0], senders[:, None, :, 0])
    end = tf.minimum(receivers[:, :, None, 1], senders[:, None, :, 1])
    return begin <= end


def joined_nodes(nodes: dict[str, list[tf.Tensor]], window: int, into: str, out_of: str):
    """Which nodes of two sets are joined: (B, R, S) bool, receivers by senders.

    Args:
        nodes: [vectors, mask, times] of every set.
        window: neighbours of a node on each side, within a set; it is not joined with itself.
        into, out_of: names of the sets of receivers and senders.
    """
    (_, real, times), (_, sent, sent_times) = nodes[into], nodes[out_of]
    both = real[:, :, None] & sent[:, None, :]
    if into != out_of:
        return both & overlapping(times, sent_times)
    place = tf.range(length_of(real, 1))
    receiver, sender = place[:, None], place[None, :]
    near = EdgeRule("window", window).joined(receiver, sender) & tf.not_equal(receiver, sender)
    return both & near


def fusion_graph(nodes: dict[str, list[tf.Tensor]], window: int) -> tfgnn.GraphTensor:
    """The graph of a batch of clips.

    Args:
        nodes: [vectors (B, n, D), mask (B, n) bool, times (B, n, 2) in s] of every node set.
        window: neighbours on each side, within a set.

    Returns:
        A scalar GraphTensor of B components, a node set for each name, its "hidden_state"
        (B·n, D), and an edge set "SENDERS_RECEIVERS" for each two names and each name with itself.
        Nodes that are not there stay, so that shapes keep, but have no edges.
    """
    node_sets, edge_sets = {}, {}
    for into, (vectors, mask, _) in nodes.items():
        batch, length = tf.shape(vectors)[0], length_of(vectors, 1)
        node_sets[into] = tfgnn.NodeSet.from_fields(
            sizes=tf.fill([batch], length),
            features={tfgnn.HIDDEN_STATE: tf.reshape(vectors, [-1, vectors.shape[-1]])},
        )
        for out_of, (others, _, _) in nodes.items():
            pairs = joined_nodes(nodes, window, into, out_of)
            at = tf.cast(tf.where(pairs), tf.int32)  # (E, 3) clip, receiver, sender
            sources = at[:, 0] * length_of(others, 1) + at[:, 2]
            targets = at[:, 0] * length_of(mask, 1) + at[:, 1]
            edge_sets[edge_name(out_of, into)] = tfgnn.EdgeSet.from_fields(
                sizes=tf.reduce_sum(tf.cast(pairs, tf.int32), axis=[1, 2]),
                adjacency=tfgnn.Adjacency.from_indices(
                    source=(out_of, sources), target=(into, targets)
                ),
            )
    return tfgnn.GraphTensor.from_pieces(node_sets=node_sets, edge_sets=edge_sets)


def edge_name(out_of: str, into: str) -> str:
    """The name of the edge set from one node set into another."""
    return f"{out_of}_{into}"


@keras.utils.register_keras_serializable(package="sora_tf")
class FusionBlock(keras.layers.Layer):
    """One round of message passing among the nodes of all sets.

    h'_r = σ(W_s·h_r + Σ_e mean_{i in N_e(r)} V_e·h_i + b_s), s the set of r, e the edge sets into
    s, one from each set and one from s itself; a mean of no nodes is 0. So a set none of whose
    nodes is there changes nothing for the others.

    Args:
        units: length U of a node's output.
        window: neighbours of a node on each side that it hears within its own set.
        activation: σ.
        lowering: how it is computed; both give the same numbers. "dense": all pairs of nodes.
            "graph": TensorFlow GNN's operations on the GraphTensor of `fusion_graph`.
    Call arguments:
        inputs: {name: [vectors (B, n, D) float, mask (B, n) bool, times (B, n, 2) in s]}; n and D
            may differ between the sets.
    Output: {name: (B, n, U)}, zeros at nodes that are not there.
    Raises:
        ValueError: an argument is out of range.
    Reference: Schlichtkrull et al., "Modeling Relational Data with Graph Convolutional
        Networks", ESWC 2018, equation 2, with c the number of neighbours.
    """

    def __init__(self, units, window=2, activation="relu", lowering="dense", **kwargs):
        super().__init__(**kwargs)
        owner = "FusionBlock"
        self.units = _checks.at_least(owner, "units", units, 1, "channel", "64 is usual.")
        self.window = _checks.at_least(owner, "window", window, 1, "node", "2 is usual.")
        self.activation = keras.activations.get(activation)
        self.lowering = _checks.one_of(owner, "lowering", lowering, LOWERINGS)

    def build(self, input_shape):
        """Makes the weights of every set and of every pair of sets."""
        self.own, self.bias, self.sent = {}, {}, {}
        for into in input_shape:
            self.own[into] = self._kernel(into, input_shape[into])
            self.bias[into] = self.add_weight(
                name=f"{into}_bias", shape=[self.units], initializer="zeros"
            )
            for out_of in input_shape:
                name = edge_name(out_of, into)
                self.sent[name] = self._kernel(name, input_shape[out_of])
        super().build(input_shape)

    def _kernel(self, name, shapes):
        return self.add_weight(name=f"{name}_kernel", shape=[shapes[0][-1], self.units])

    def call(self, inputs):
        """Passes the messages; see the class."""
        messages = self._on_graph if self.lowering == "graph" else self._dense
        heard = messages(inputs)
        outputs = {}
        for into, (vectors, mask, _) in inputs.items():
            x = tf.matmul(vectors, self.own[into]) + heard[into] + self.bias[into]
            outputs[into] = self.activation(x) * tf.cast(mask, x.dtype)[..., None]
        return outputs

    def _dense(self, nodes):
        heard = {}
        for into in nodes:
            parts = []
            for out_of, (vectors, _, _) in nodes.items():
                pairs = joined_nodes(nodes, self.window, into, out_of)
                alpha = tf.cast(pairs, vectors.dtype)
                alpha /= tf.maximum(tf.reduce_sum(alpha, axis=2, keepdims=True), 1.0)
                sent = tf.matmul(vectors, self.sent[edge_name(out_of, into)])
                parts.append(tf.matmul(alpha, sent))
            heard[into] = tf.add_n(parts)
        return heard

    def _on_graph(self, nodes):
        graph = fusion_graph(nodes, self.window)
        heard = {}
        for into, (vectors, _, _) in nodes.items():
            parts = []
            for out_of in nodes:
                edges = edge_name(out_of, into)
                state = graph.node_sets[out_of][tfgnn.HIDDEN_STATE]
                sent = tfgnn.broadcast_node_to_edges(
                    graph, edges, tfgnn.SOURCE, feature_value=tf.matmul(state, self.sent[edges])
                )
                parts.append(
                    tfgnn.pool_edges_to_node(graph, edges, tfgnn.TARGET, "mean", feature_value=sent)
                )
            shape = [-1, length_of(vectors, 1), self.units]
            heard[into] = tf.reshape(tf.add_n(parts), shape)
        return heard

    def compute_output_shape(self, input_shape):
        """{name: [(B, n, D), (B, n), (B, n, 2)]} to {name: (B, n, U)}."""
        return {
            name: tf.TensorShape([*shapes[0][:2], self.units])
            for name, shapes in input_shape.items()
        }

    def get_config(self):
        """All constructor arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "window": self.window,
            "activation": keras.activations.serialize(self.activation),
            "lowering": self.lowering,
        }


@keras.utils.register_keras_serializable(package="sora_tf")
class ModalityDropout(keras.layers.Layer):
    """In training, takes whole node sets away from a clip, but never all that it has.

    Each set of a clip that has nodes is dropped with probability `rate`; where that would leave
    nothing, none is. So a model learns to do with any of them.

    Args:
        rate: probability, at least 0 and below 1.
    Call arguments:
        inputs: {name: mask (B, n) bool}.
    Output: the same with False all over where a set is dropped.
    Raises:
        ValueError: `rate` is out of range.
    Reference: Neverova et al., "ModDrop: Adaptive Multi-Modal Gesture Recognition", TPAMI 2016.
    """

    def __init__(self, rate=0.3, **kwargs):
        super().__init__(**kwargs)
        self.rate = _checks.between("ModalityDropout", "rate", rate, 0.0, 0.99, "0.3 is usual.")

    def call(self, inputs, training=None):
        """Drops; see the class."""
        if not training or not self.rate:
            return {name: tf.identity(mask) for name, mask in inputs.items()}
        there = tf.stack([tf.reduce_any(mask, axis=1) for mask in inputs.values()], axis=1)
        kept = tf.random.uniform(tf.shape(there)) >= self.rate  # (B, sets)
        some = tf.reduce_any(kept & there, axis=1, keepdims=True)
        kept = kept | ~some
        return {
            name: mask & kept[:, place, None] for place, (name, mask) in enumerate(inputs.items())
        }

    def compute_output_shape(self, input_shape):
        """As the inputs."""
        return input_shape

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "rate": self.rate}
