"""RelationBlock beside what else could relate frames: forward, one thread, turn by turn.

python benchmarks/relation.py [--json FILE] [--rounds N]

Peers compute the same numbers with the same kernel, bias and ReLU where their formula allows:
dense adjacency, sparse adjacency, TensorFlow GNN's GCNConv and GATv2Conv; their graphs are made
beforehand and only the layer is timed. Multi-head attention and LSTM are other formulas of the
same shape. Processor time is measured, in which other work on the machine counts less.

Aim: no "gcn" row above 1.15 times the best of all others, no "attention" row above 1.15 times
GATv2Conv, and windows linear in T.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import _machine

_machine.pin()

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from sora_tf._keras import keras  # noqa: E402
from sora_tf.layers.graph import EdgeRule, FrameGraph  # noqa: E402
from sora_tf.layers.relation import RelationBlock  # noqa: E402

# isort: split
# TensorFlow GNN picks its Keras while it is imported, so ours comes first.
import tensorflow_gnn as tfgnn  # noqa: E402
from tensorflow_gnn.models.gat_v2 import GATv2Conv  # noqa: E402
from tensorflow_gnn.models.gcn import GCNConv  # noqa: E402

CLIPS, FEATURES, WINDOW, HEADS = 8, 128, 8, 4
LENGTHS = (16, 64, 256, 1024)
LONG = (1024, 4096, 16384)
EDGE_BYTES = 2**31  # a peer that makes more values on edges than fit here is left out
SLOWEST = 10.0  # seconds a call may take


def rule_of(edges):
    """The edges that all candidates share."""
    return EdgeRule(edges, WINDOW)


def adjacency(edges, length):
    """GCN's matrix (T, T), 1/√(deg_t·deg_i) where frames are joined."""
    frames = np.arange(length)
    joined = rule_of(edges).joined(frames[:, None], frames[None]).astype(np.float32)
    root = np.sqrt(joined.sum(axis=1))
    return joined / root[:, None] / root[None]


def ours(alpha, edges, x):
    """RelationBlock as it is."""
    block = RelationBlock(FEATURES, alpha=alpha, edges=edges, window=WINDOW, heads=HEADS)
    block(x)
    return block, lambda: block(x)


def last_step(block, y):
    """σ(W·y + b) with the kernel and bias of `block`."""
    y = tf.matmul(tf.reshape(y, [-1, FEATURES]), block.kernel)
    return tf.reshape(tf.nn.relu(tf.nn.bias_add(y, block.bias)), [CLIPS, -1, FEATURES])


def dense_matmul(block, edges, x):
    """Adjacency (T, T) times frames."""
    matrix = tf.constant(adjacency(edges, x.shape[1]))
    return lambda: last_step(block, tf.matmul(matrix, x))


def sparse_matmul(block, edges, x):
    """Sparse adjacency (T, T) times frames laid out for it, (T, B·D)."""
    matrix = tf.sparse.from_dense(adjacency(edges, x.shape[1]))

    def run():
        wide = tf.reshape(tf.transpose(x, [1, 0, 2]), [x.shape[1], -1])
        y = tf.reshape(tf.sparse.sparse_dense_matmul(matrix, wide), [-1, CLIPS, FEATURES])
        return last_step(block, tf.transpose(y, [1, 0, 2]))

    return run


def graph_of(edges, x):
    """The frames as TensorFlow GNN's GraphTensor."""
    return FrameGraph(edges, WINDOW)(x)


def gcn_conv(block, edges, x):
    """TensorFlow GNN's GCNConv."""
    graph = graph_of(edges, x)
    conv = GCNConv(FEATURES, degree_normalization="in_out")
    conv(graph, edge_set_name="relation")
    conv.set_weights([block.kernel.numpy(), block.bias.numpy()])
    return lambda: tf.reshape(conv(graph, edge_set_name="relation"), x.shape)


def gat_v2_conv(block, edges, x):
    """TensorFlow GNN's GATv2Conv."""
    graph = graph_of(edges, x)
    conv = GATv2Conv(
        num_heads=HEADS, per_head_channels=FEATURES // HEADS, receiver_tag=tfgnn.TARGET
    )
    conv(graph, edge_set_name="relation")
    same = {
        "query": (block.query_kernel, block.query_bias),
        "value_node": (block.kernel, block.bias),
        "attn_logits": (block.attention,),
    }
    for layer, values in same.items():
        named = [weight for weight in conv.weights if f"{layer}/" in weight.name]
        for weight, value in zip(named, values, strict=True):
            weight.assign(value)
    return lambda: tf.reshape(conv(graph, edge_set_name="relation"), x.shape)


def multi_head_attention(block, edges, x):
    """Keras's MultiHeadAttention with the edges as its mask."""
    layer = keras.layers.MultiHeadAttention(HEADS, FEATURES // HEADS)
    frames = np.arange(x.shape[1])
    mask = None
    if edges != "full":
        mask = tf.constant(rule_of(edges).joined(frames[:, None], frames[None]))[None]
    layer(x, x, attention_mask=mask)
    return lambda: layer(x, x, attention_mask=mask)


def lstm(block, edges, x):
    """Keras's LSTM, which has no edges."""
    layer = keras.layers.LSTM(FEATURES, return_sequences=True)
    layer(x)
    return lambda: layer(x)


# Peer, whether it computes our numbers, values it makes per pair of joined frames and clip.
GCN_PEERS = {
    "dense matmul": (dense_matmul, True, 0),
    "sparse matmul": (sparse_matmul, True, 0),
    "TF-GNN GCNConv": (gcn_conv, True, FEATURES),
    "MultiHeadAttention": (multi_head_attention, False, 0),
    "LSTM": (lstm, False, 0),
}
ATTENTION_PEERS = {
    "TF-GNN GATv2Conv": (gat_v2_conv, True, 3 * FEATURES),
    "MultiHeadAttention": (multi_head_attention, False, 0),
}
PEERS = {"gcn": GCN_PEERS, "attention": ATTENTION_PEERS}


def timed(run, calls):
    """Seconds of processor time a call takes."""
    start = time.process_time()
    for _ in range(calls):
        made = run()
    made.numpy()
    return (time.process_time() - start) / calls


def interleave(runs, rounds):
    """Median milliseconds of each run; in every round each has its turn.

    The turns are shuffled: who always follows the LSTM always finds the caches cold.
    """
    quickest = {name: min(timed(run, 1) for _ in range(2)) for name, run in runs.items()}
    calls = {name: max(1, min(20, int(0.02 / seconds))) for name, seconds in quickest.items()}
    taken = {name: [] for name in runs}
    generator = np.random.default_rng(0)
    for _ in range(rounds):
        for name in generator.permutation(list(runs)).tolist():
            taken[name].append(timed(runs[name], calls[name]))
    return {name: 1e3 * statistics.median(seconds) for name, seconds in taken.items()}


def row(alpha, edges, length, rounds, generator):
    """One row: our milliseconds, each peer's, and our ratio to the best peer."""
    x = tf.constant(generator.normal(size=[CLIPS, length, FEATURES]).astype(np.float32))
    block, run = ours(alpha, edges, x)
    runs, skipped = {"ours": tf.function(run)}, {}
    expected = runs["ours"]().numpy()
    pairs = int((adjacency(edges, length) > 0).sum()) * CLIPS
    for name, (make, same, per_pair) in PEERS[alpha].items():
        if 4 * pairs * per_pair > EDGE_BYTES:
            skipped[name] = f"{4 * pairs * per_pair / 2**30:.0f} GiB of values on edges"
            continue
        peer = tf.function(make(block, edges, x))
        made = peer().numpy()
        if same:
            np.testing.assert_allclose(made, expected, atol=1e-4)
        if (seconds := timed(peer, 1)) > SLOWEST:
            skipped[name] = f"{seconds:.0f} s a call"
            continue
        runs[name] = peer
    taken = interleave(runs, rounds)
    own = taken.pop("ours")
    # Attention is held to the peer of the same formula.
    rivals = [name for name in taken if alpha == "gcn" or PEERS[alpha][name][1]]
    best = min(rivals, key=taken.get) if rivals else None
    return {
        "alpha": alpha, "edges": edges, "frames": length, "ours_ms": own, "peers_ms": taken,
        "skipped": skipped, "best_peer": best, "ratio": own / taken[best] if best else None,
    }  # fmt: skip


def linearity(alpha, rounds, generator):
    """Milliseconds per frame of long windows, one clip."""
    runs = {}
    for length in LONG:
        x = tf.constant(generator.normal(size=[1, length, FEATURES]).astype(np.float32))
        runs[length] = tf.function(ours(alpha, "window", x)[1])
        runs[length]()
    taken = interleave(runs, rounds)
    return {"alpha": alpha, "ms_per_frame": {str(t): ms / t for t, ms in taken.items()}}


def main():
    """Runs everything and prints it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds (default 15)")
    options = parser.parse_args()
    packages = ("sora_tf", "tensorflow", "tf-keras", "tensorflow-gnn", "numpy")
    report = {"machine": _machine.print_machine(*packages), "rows": [], "linearity": []}
    generator = np.random.default_rng(0)
    for alpha in PEERS:
        for edges in ("full", "window"):
            for length in LENGTHS:
                made = row(alpha, edges, length, options.rounds, generator)
                report["rows"].append(made)
                print(line(made), flush=True)
    for alpha in PEERS:
        made = linearity(alpha, options.rounds, generator)
        report["linearity"].append(made)
        print(f"{alpha}, window, 1 clip, ms a frame: {made['ms_per_frame']}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def line(made):
    """A row as text."""
    peers = [f"{name} {ms:.2f}" for name, ms in made["peers_ms"].items()]
    peers += [f"{name} left out ({why})" for name, why in made["skipped"].items()]
    ratio = f"{made['ratio']:.2f}" if made["ratio"] else "-"
    return (
        f"{made['alpha']:9s} {made['edges']:6s} T={made['frames']:<5d} "
        f"ours {made['ours_ms']:.2f} ms, {ratio} of the best; " + ", ".join(peers)
    )


if __name__ == "__main__":
    main()
