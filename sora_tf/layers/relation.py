"""RelationBlock: one round of message passing on the frame graph."""

import functools

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers import alpha as weights
from sora_tf.layers import passing
from sora_tf.layers.frames import length_of
from sora_tf.layers.graph import FRAME, RELATION, EdgeRule, frame_graph
from sora_tf.layers.messages import (
    ALPHAS,
    CONTENT,
    Content,
    attend,
    by_content,
    cheapest,
    fixed,
    pair_table,
    resolve,
    segment_means,
    weighted_pairs,
)

# isort: split
# TensorFlow GNN picks its Keras while it is imported, so ours comes first.
import tensorflow_gnn as tfgnn

LOWERINGS = ("auto", "sum", "dense", "band", "graph")


@keras.utils.register_keras_serializable(package="sora_tf")
class RelationBlock(keras.layers.Layer):
    """One round of message passing among the frames of a clip.

    h'_t = σ(Σ_{i in N(t)} α_it·W·h_i + b)

    N(t) are the real frames joined with t, itself among them (`EdgeRule`); with "segments" the
    message of t's segment node is added, whose features are the mean of its real frames.

    Args:
        units: length U of a frame's output.
        alpha: the edge weight α_it. "uniform": 1. "gcn": 1/√(deg_t·deg_i) over real frames, with
            causal edges 1/deg_t, as the sender's degree counts frames yet to come. "learned": a
            trained weight for each t - i, at first 1/|N| of a frame in mid-clip. "attention":
            GATv2, softmax of a·leaky_relu(W_q·h_t + b_q + W·h_i + b), on each head's share of
            the channels. "similarity": softmax of cosine(h_t, h_i) over the `neighbours` most
            similar frames, ties by index.
        edges, window, dilation, segment: which frames are joined; see `EdgeRule`. With "full"
            edges (and among segment nodes) "learned" offsets beyond `window` share a weight.
        heads: heads of "attention"; must divide `units`.
        neighbours: frames kept by "similarity".
        activation: σ.
        use_bias: whether there is b (and b_q).
        lowering: how it is computed; all give the same numbers. "sum": one sum for all receivers
            ("full" edges, "uniform" or "gcn"). "dense": all pairs of frames. "band": blocks of
            neighbouring frames, linear in T (not for "full"). "graph": TensorFlow GNN's
            operations on the GraphTensor of `FrameGraph`. "auto" takes "sum" or else "dense" for
            "full" edges, "dense" for short clips of known length (64 frames; three windows where
            α looks at the features), else "band".
    Call arguments:
        inputs: [x (B, T, D) float, mask (B, T) bool], True where the frame is real; or x alone
            where all are; or a GraphTensor with node set "frame" (feature "hidden_state") and
            edge set "relation" from sender to receiver ("learned": with feature "offset", t - i).
    Output: (B, T, U), zeros at masked frames; for a GraphTensor the same graph with the output as
        its "hidden_state".
    Raises:
        ValueError: an argument is out of range, or `lowering` does not fit the others.
    Reference: Kipf and Welling, "Semi-Supervised Classification with Graph Convolutional
        Networks", ICLR 2017, equation 2; Brody, Alon and Yahav, "How Attentive are Graph
        Attention Networks?", ICLR 2022, equation 7.
    """

    def __init__(
        self,
        units,
        *,
        alpha="gcn",
        edges="window",
        window=8,
        dilation=2,
        segment=16,
        heads=4,
        neighbours=8,
        activation="relu",
        use_bias=True,
        lowering="auto",
        **kwargs,
    ):
        super().__init__(**kwargs)
        owner = "RelationBlock"
        self.units = _checks.at_least(owner, "units", units, 1, "channel", "64 is usual.")
        self.alpha = _checks.one_of(owner, "alpha", alpha, ALPHAS)
        self.rule = EdgeRule(edges, window, dilation, segment)
        self.heads = _checks.at_least(owner, "heads", heads, 1, "", "4 is usual.")
        self.neighbours = _checks.at_least(owner, "neighbours", neighbours, 1, "", "8 is usual.")
        self.activation = keras.activations.get(activation)
        self.use_bias = use_bias
        self.lowering = _checks.one_of(owner, "lowering", lowering, LOWERINGS)
        if alpha == "attention" and units % heads:
            raise ValueError(
                f"RelationBlock: heads must divide units, got {heads} heads for {units} units. "
                "Choose a divisor."
            )
        if lowering == "sum" and cheapest(alpha, self.rule, None) != "sum":
            raise ValueError(
                f"RelationBlock: lowering 'sum' is for full edges with alpha uniform or gcn, got "
                f"{edges} and {alpha}. Use 'auto'."
            )
        if lowering == "band" and edges == "full":
            raise ValueError(
                "RelationBlock: lowering 'band' needs edges of limited reach, got edges 'full'. "
                "Use 'auto'."
            )

    def build(self, input_shape):
        """Makes the weights; for a GraphTensor, whose shape says nothing, at the first call."""
        frames = _frames_shape(input_shape)
        if frames.rank == 3:
            self._make_weights(frames[-1], frames[1])
        super().build(input_shape)

    def _make_weights(self, features, length):
        self.offsets = self.node_offsets = None

        def weight(name, shape, initializer="glorot_uniform"):
            return self.add_weight(name=name, shape=shape, initializer=initializer)

        self.kernel = weight("kernel", [features, self.units])
        if self.use_bias:
            self.bias = weight("bias", [self.units], "zeros")
        if self.alpha == "attention":
            self.query_kernel = weight("query_kernel", [features, self.units])
            self.attention = weight("attention", [self.units // self.heads, self.heads])
            if self.use_bias:
                self.query_bias = weight("query_bias", [self.units], "zeros")
        if self.alpha == "learned":
            self.offsets = self._offset_table("offsets", self.rule, length)
            nodes = self.rule.nodes
            if nodes:
                count = length and -(-length // self.rule.segment)
                self.node_offsets = self._offset_table("node_offsets", nodes, count)

    def _offset_table(self, name, rule, length):
        past, future = rule.reach()
        joined = rule.segment if rule.edges == "segments" else past + future + 1
        if rule.edges == "full" and length:
            joined = length
        start = keras.initializers.Constant(1.0 / joined)
        return self.add_weight(name=name, shape=[past + future + 1], initializer=start)

    def call(self, inputs):
        """Passes messages; see the class."""
        if tfgnn.is_graph_tensor(inputs):
            return self._call_graph(inputs)
        x, mask = inputs if isinstance(inputs, (list, tuple)) else (inputs, None)
        if self.lowering == "graph":
            real = tf.fill(tf.shape(x)[:2], True) if mask is None else tf.cast(mask, tf.bool)
            graph = frame_graph(x, real, self.rule)
            messages = tf.reshape(
                self._graph_messages(graph), [-1, length_of(x, 1), self._width(x)]
            )
        else:
            real = None if mask is None else tf.cast(mask, tf.float32)[..., None]
            messages = self._clip_messages(x, real)
        return self._finish(messages, x, mask)

    def _width(self, x):
        return self.units if self.alpha == "attention" else x.shape[-1]

    def _finish(self, messages, x, mask):
        """σ(W·m + b), zero at masked frames; attention's messages have been through W."""
        y = tf.cast(messages, self.compute_dtype)
        if self.alpha != "attention":
            y = tf.matmul(tf.reshape(y, [-1, x.shape[-1]]), self.kernel)
        if self.use_bias:
            y = tf.nn.bias_add(y, self.bias)
        y = self.activation(y)
        y = tf.reshape(y, [-1, messages.shape[1] or tf.shape(messages)[1], self.units])
        if mask is not None:
            return y * tf.cast(mask, y.dtype)[..., None]
        return tf.repeat(y, length_of(x, 1), axis=1) if y.shape[1] == 1 else y

    def _clip_messages(self, x, real):
        """Σ α·h (B, T, D), or Σ α·W·h (B, T, U) for attention, in float32."""
        messages = self._messages(x, real, self.rule, self.offsets)
        if not self.rule.nodes:
            return messages
        nodes, there = segment_means(x, real, self.rule.segment)
        context = self._messages(nodes, there, self.rule.nodes, self.node_offsets)
        if context.shape[1] != 1:  # one row is the same for all segments
            context = tf.repeat(context, self.rule.segment, axis=1)[:, : length_of(x, 1)]
        return messages + context

    def _messages(self, x, real, rule, table):
        lowering = resolve(self.lowering, self.alpha, rule, length_of(x, 1))
        if self.alpha in CONTENT:
            return by_content(lowering, self._content(x), real, rule)
        return fixed(lowering, self.alpha, tf.cast(x, tf.float32), real, rule, table)

    def _content(self, x, receivers=None):
        """What makes the weights of pairs, and what they weigh, in float32.

        Args:
            x: the senders, (B, K, D).
            receivers: (B, Q, D); None where they are the senders.
        """
        receivers = x if receivers is None else receivers
        if self.alpha == "similarity":
            return self._similarity(x, receivers)
        return self._attention(x, receivers)

    def _similarity(self, x, receivers):
        x = tf.cast(x, tf.float32)
        keys = tf.math.l2_normalize(x, axis=-1)
        queries = tf.math.l2_normalize(tf.cast(receivers, tf.float32), axis=-1)
        weigh = functools.partial(weights.similarity_weights, neighbours=self.neighbours)
        return Content(weigh, 1, 1, queries, keys, x)

    def _attention(self, x, receivers):
        values = tf.cast(tf.tensordot(x, self.kernel, 1), tf.float32)
        queries = tf.cast(tf.tensordot(receivers, self.query_kernel, 1), tf.float32)
        if self.use_bias:  # the sender's bias too, which leaves the values to the formula
            queries += tf.cast(self.query_bias + self.bias, tf.float32)
        vector = tf.cast(self.attention, tf.float32)
        return Content(
            weights.attention_weights, self.heads, self.units, queries, values, values, (vector,)
        )

    # Graphs.

    def _call_graph(self, graph):
        """A round on a GraphTensor of any edges."""
        if FRAME not in graph.node_sets or RELATION not in graph.edge_sets:
            raise ValueError(
                f"RelationBlock: a GraphTensor must have node set '{FRAME}' and edge set "
                f"'{RELATION}', got {sorted(graph.node_sets)} and {sorted(graph.edge_sets)}. "
                "Rename them."
            )
        features = graph.node_sets[FRAME].get_features_dict()
        x = features[tfgnn.HIDDEN_STATE]
        if not hasattr(self, "kernel"):
            with tf.init_scope():
                self._make_weights(x.shape[-1], None)
        y = self._finish(self._graph_messages(graph)[None], x, None)[0]
        return graph.replace_features(node_sets={FRAME: {**features, tfgnn.HIDDEN_STATE: y}})

    def _graph_messages(self, graph):
        def messages(nodes, edges):
            x = graph.node_sets[nodes].features[tfgnn.HIDDEN_STATE]
            if self.alpha == "attention":
                content = self._content(x)
                return passing.attention(
                    graph, edges, content.queries, content.keys, content.values, *content.params
                )
            if self.alpha == "similarity":
                content = self._content(x)
                return passing.similarity(
                    graph, edges, content.keys, content.values, self.neighbours
                )
            edge_weights = None
            if self.alpha == "learned":
                among_frames = nodes == FRAME
                rule = self.rule if among_frames else self.rule.nodes
                table = self.offsets if among_frames else self.node_offsets
                edge_weights = weights.offset_weights(table, passing.offsets(graph, edges), rule)
            causal = self.rule.edges == "causal"
            x = tf.cast(x, tf.float32)
            return passing.weighted_sum(graph, edges, x, self.alpha, causal, edge_weights)

        return passing.on_graph(graph, messages)

    # Streams.

    def state_spec(self, input_shape):
        """The state between chunks: the last `window` frames and which of them are real."""
        self._check_stream()
        features = input_shape[0][-1]
        return {
            "frames": ((self.rule.window, features), self.compute_dtype),
            "real": ((self.rule.window,), "float32"),
        }

    def initial_state(self, batch_size, features):
        """The state before the first frame of `batch_size` clips: zeros."""
        spec = self.state_spec([(None, None, features), (None, None)])
        return {
            name: tf.zeros([batch_size, *shape], dtype) for name, (shape, dtype) in spec.items()
        }

    def step(self, inputs, state):
        """The same for a chunk, given what came before; for causal edges.

        Args:
            inputs: [x (B, n, D), mask (B, n)], the next n frames.
            state: {"frames": (B, window, D), "real": (B, window) float32}, zeros at the start.

        Returns:
            outputs (B, n, U) as in `call`, and the new state.

        Raises:
            ValueError: the edges are not causal.
        """
        self._check_stream()
        x, mask = inputs
        window = self.rule.window
        line = tf.concat([tf.cast(state["frames"], x.dtype), x], axis=1)  # (B, window + n, D)
        real = tf.concat([state["real"], tf.cast(mask, tf.float32)], axis=1)
        senders = tf.range(length_of(line, 1))
        receivers = senders[window:]
        if self.alpha in CONTENT:
            content = self._content(line, receivers=x)
            messages = attend(content, real[..., None], self.rule, receivers, senders)
        else:
            pairs = pair_table(self.rule, (receivers, senders), self.offsets)
            messages = weights.weighted_sum(
                self.alpha,
                tf.cast(line, tf.float32),
                real[..., None],
                functools.partial(weighted_pairs, pairs),
                causal=True,
            )
        outputs = self._finish(messages, x, mask)
        return outputs, {"frames": line[:, -window:], "real": real[:, -window:]}

    def _check_stream(self):
        if self.rule.edges != "causal":
            raise ValueError(
                f"RelationBlock: {self.name} cannot run on a stream with edges "
                f"'{self.rule.edges}', which reach into frames yet to come. Use edges='causal'."
            )

    def compute_output_shape(self, input_shape):
        """(B, T, D) to (B, T, U)."""
        return tf.TensorShape([*_frames_shape(input_shape)[:2], self.units])

    def get_config(self):
        """All constructor arguments."""
        return {
            **super().get_config(),
            "units": self.units,
            "alpha": self.alpha,
            "edges": self.rule.edges,
            "window": self.rule.window,
            "dilation": self.rule.dilation,
            "segment": self.rule.segment,
            "heads": self.heads,
            "neighbours": self.neighbours,
            "activation": keras.activations.serialize(self.activation),
            "use_bias": self.use_bias,
            "lowering": self.lowering,
        }


def _frames_shape(input_shape):
    """The shape of the frames, from that of [frames, mask] or of frames alone."""
    pair = len(input_shape) == 2 and not isinstance(input_shape, tf.TensorShape)
    return tf.TensorShape(input_shape[0] if pair else input_shape)
