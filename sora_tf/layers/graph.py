"""The frame graph: which frames are joined, said once, and as a TensorFlow GNN GraphTensor."""

from dataclasses import asdict, dataclass

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.frames import length_of

# isort: split
# TensorFlow GNN picks its Keras while it is imported, so ours comes first.
import tensorflow_gnn as tfgnn

FRAME, RELATION = "frame", "relation"
SEGMENT, CONTAINS, CONTEXT, BETWEEN = "segment", "contains", "context", "between"
OFFSET = "offset"


def _full(rule, receiver, sender):
    return abs(receiver - sender) >= 0


def _window(rule, receiver, sender):
    return abs(receiver - sender) <= rule.window


def _causal(rule, receiver, sender):
    return (receiver - sender >= 0) & (receiver - sender <= rule.window)


def _dilated(rule, receiver, sender):
    offset = receiver - sender
    return (abs(offset) <= rule.window * rule.dilation) & (offset % rule.dilation == 0)


def _segments(rule, receiver, sender):
    return receiver // rule.segment == sender // rule.segment


KINDS = {
    "full": _full,
    "window": _window,
    "causal": _causal,
    "dilated": _dilated,
    "segments": _segments,
}


@dataclass(frozen=True)
class EdgeRule:
    """Says which frames are joined. A frame is always joined with itself.

    Args:
        edges: "full" (all with all), "window" (|t - i| <= window), "causal" (0 <= t - i <=
            window), "dilated" (|t - i| <= window·dilation and a multiple of dilation) or
            "segments" (the same run of `segment` frames; the segments are joined all with all).
        window: reach, in frames; for "dilated" in steps of `dilation` frames.
        dilation: frames from one step to the next.
        segment: frames in a segment.
    Raises:
        ValueError: `edges` is unknown, or a length is below 1.
    """

    edges: str = "window"
    window: int = 8
    dilation: int = 2
    segment: int = 16

    def __post_init__(self):
        """Checks every value."""
        owner = "EdgeRule"
        _checks.one_of(owner, "edges", self.edges, KINDS)
        _checks.at_least(owner, "window", self.window, 1, "frame", "8 is usual.")
        _checks.at_least(owner, "dilation", self.dilation, 1, "frame", "2 skips every other.")
        _checks.at_least(owner, "segment", self.segment, 1, "frame", "16 is usual.")

    def joined(self, receiver, sender):
        """Whether `sender` sends to `receiver`: frame numbers, arrays or tensors that broadcast."""
        return KINDS[self.edges](self, receiver, sender)

    @property
    def step(self) -> int:
        """Frames between neighbours that follow each other."""
        return self.dilation if self.edges == "dilated" else 1

    @property
    def nodes(self) -> "EdgeRule | None":
        """The rule among segment nodes: all with all; None where there are none."""
        return EdgeRule("full", self.window) if self.edges == "segments" else None

    def reach(self) -> tuple[int, int]:
        """Steps back and ahead that differ from each other; beyond them, full edges go on."""
        if self.edges == "segments":
            return self.segment - 1, self.segment - 1
        return self.window, 0 if self.edges == "causal" else self.window

    def offsets(self, length):
        """All t - i that a clip of `length` frames may have, in frames, largest first."""
        if self.edges == "full":
            return tf.range(length - 1, -length, -1)
        past, future = self.reach()
        return tf.range(past, -future - 1, -1) * self.step


def _joined_pairs(rule, mask):
    """Pairs of real frames that are joined: clip, receiver and sender (E,) int, per clip (B,)."""
    length = length_of(mask, 1)
    receiver = tf.range(length)[:, None]
    sender = receiver - rule.offsets(length)[None]  # (T, O), rising along O
    inside = (sender >= 0) & (sender < length)
    there = tf.gather(mask, tf.clip_by_value(sender, 0, length - 1), axis=1)  # (B, T, O)
    pairs = mask[:, :, None] & there & (inside & rule.joined(receiver, sender))
    clip, at, nth = tf.unstack(tf.cast(tf.where(pairs), tf.int32), axis=1)
    sizes = tf.reduce_sum(tf.cast(pairs, tf.int32), axis=[1, 2])
    return clip, at, tf.gather_nd(sender, tf.stack([at, nth], axis=1)), sizes


def _self_relation(name, rule, mask):
    """The edge set that joins the nodes of one node set by a rule."""
    clip, receiver, sender, sizes = _joined_pairs(rule, mask)
    start = clip * length_of(mask, 1)
    return tfgnn.EdgeSet.from_fields(
        sizes=sizes,
        features={OFFSET: receiver - sender},
        adjacency=tfgnn.Adjacency.from_indices(
            source=(name, start + sender), target=(name, start + receiver)
        ),
    )


def _node_set(values):
    batch, length, features = tf.shape(values)[0], length_of(values, 1), values.shape[-1]
    return tfgnn.NodeSet.from_fields(
        sizes=tf.fill([batch], length),
        features={tfgnn.HIDDEN_STATE: tf.reshape(values, [-1, features])},
    )


def _with_segments(rule, frames, mask, node_sets, edge_sets):
    """Adds the segment nodes, each the mean of its real frames, and their edges."""
    batch, length = tf.shape(mask)[0], length_of(mask, 1)
    count = -(-length // rule.segment)
    short = count * rule.segment - length
    parts = tf.reshape(tf.pad(mask, [[0, 0], [0, short]]), [-1, count, rule.segment])
    at = tf.cast(tf.where(mask), tf.int32)  # (E, 2) clip and frame of every real frame
    frame = (FRAME, at[:, 0] * length + at[:, 1])
    segment = (SEGMENT, at[:, 0] * count + at[:, 1] // rule.segment)
    sizes = tf.reduce_sum(tf.cast(mask, tf.int32), axis=1)
    node_sets[SEGMENT] = _node_set(tf.zeros([batch, count, frames.shape[-1]], frames.dtype))
    edge_sets[CONTAINS] = tfgnn.EdgeSet.from_fields(
        sizes=sizes, adjacency=tfgnn.Adjacency.from_indices(source=frame, target=segment)
    )
    edge_sets[CONTEXT] = tfgnn.EdgeSet.from_fields(
        sizes=sizes, adjacency=tfgnn.Adjacency.from_indices(source=segment, target=frame)
    )
    edge_sets[BETWEEN] = _self_relation(SEGMENT, rule.nodes, tf.reduce_any(parts, axis=2))
    graph = tfgnn.GraphTensor.from_pieces(node_sets=node_sets, edge_sets=edge_sets)
    sent = tfgnn.broadcast_node_to_edges(
        graph, CONTAINS, tfgnn.SOURCE, feature_name=tfgnn.HIDDEN_STATE
    )
    mean = tfgnn.pool_edges_to_node(graph, CONTAINS, tfgnn.TARGET, "mean", feature_value=sent)
    return graph.replace_features(node_sets={SEGMENT: {tfgnn.HIDDEN_STATE: mean}})


def frame_graph(frames, mask, rule: EdgeRule) -> tfgnn.GraphTensor:
    """The graph of a batch of clips; see `FrameGraph`."""
    node_sets = {FRAME: _node_set(frames)}
    edge_sets = {RELATION: _self_relation(FRAME, rule, mask)}
    if rule.nodes:
        return _with_segments(rule, frames, mask, node_sets, edge_sets)
    return tfgnn.GraphTensor.from_pieces(node_sets=node_sets, edge_sets=edge_sets)


@keras.utils.register_keras_serializable(package="sora_tf")
class FrameGraph(keras.layers.Layer):
    """Joins the frames of every clip to a graph: the definition that `RelationBlock` computes on.

    A masked frame stays a node, so that shapes keep, but has no edges.

    Args:
        edges, window, dilation, segment: which frames are joined; see `EdgeRule`.
    Call arguments:
        inputs: [x (B, T, D) float, mask (B, T) bool], or x alone where all frames are real.
    Output: a scalar GraphTensor of B components. Node set "frame": feature "hidden_state"
        (B·T, D). Edge set "relation", sender to receiver: feature "offset" (E,), t - i in frames.
        With "segments" also node set "segment", B·ceil(T/segment) nodes with the mean of their
        real frames as "hidden_state", and edge sets "contains" (frame to its segment), "context"
        (segment to its frames) and "between" (segment to segment, "offset" in segments).
    Raises:
        ValueError: `edges` is unknown, or a length is below 1.
    """

    def __init__(self, edges="window", window=8, dilation=2, segment=16, **kwargs):
        super().__init__(**kwargs)
        self.rule = EdgeRule(edges, window, dilation, segment)

    def call(self, inputs):
        """Makes the graph; see the class."""
        frames, mask = inputs if isinstance(inputs, (list, tuple)) else (inputs, None)
        if mask is None:
            mask = tf.fill(tf.shape(frames)[:2], True)
        return frame_graph(frames, tf.cast(mask, tf.bool), self.rule)

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), **asdict(self.rule)}
