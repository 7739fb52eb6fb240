"""The messages of a clip's frames, computed on the layout that is cheapest for their edges."""

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from sora_tf.layers import alpha as weights
from sora_tf.layers.blocks import Blocks, Whole, sliding_mean
from sora_tf.layers.chunks import by_receivers
from sora_tf.layers.frames import length_of

CONTENT = ("attention", "similarity")
ALPHAS = (*weights.FACTORS, *CONTENT)
SHORT = 64  # frames up to which all pairs in one product with a fixed table beat blocks
RUN = 32  # receivers in a block of a fixed table: fewer copies for a few more products


def _band(rule, run):
    """Blocks of at least `run` receivers that hold all pairs of a local rule."""
    if rule.edges == "segments":
        return Blocks(rule.segment)
    past, future = rule.reach()
    return Blocks(max(run, past, future), past, future, rule.step)


def cheapest(alpha, rule, length):
    """The cheapest lowering for a clip of `length` frames (a tensor or None where unknown)."""
    if rule.edges == "full":
        return "sum" if alpha in ("uniform", "gcn") else "dense"
    if rule.edges == "segments" or not isinstance(length, int):
        return "band"
    return "dense" if length <= (3 * rule.window if alpha in CONTENT else SHORT) else "band"


def resolve(lowering, alpha, rule, length):
    """The lowering that "auto" stands for; segment nodes, joined in full, have no "band"."""
    if lowering == "auto" or (lowering == "band" and rule.edges == "full"):
        return cheapest(alpha, rule, length)
    return lowering


def fixed(lowering, kind, x, real, rule, table):
    """Σ_i α_it·x_i where α does not look at the features.

    Args:
        lowering: "sum", "dense" or "band".
        kind: a key of FACTORS.
        x: (B, T, F) float32.
        real: (B, T, 1) float32, 1 at real frames; None where all are.
        rule: the EdgeRule.
        table: the trained weights of "learned"; None else.

    Returns:
        (B, T, F) float32, or of "sum" (B, 1, F): the same for all frames.
    """
    length = length_of(x, 1)

    def everyone(v, before=None, after=None):
        return weights.scaled(
            tf.reduce_sum(weights.scaled(v, before), axis=1, keepdims=True), after
        )

    def window(v, before=None, after=None):
        past, future = rule.reach()
        mean = sliding_mean(weights.scaled(v, before), past, future, rule.step)
        return mean * weights.scaled(past + future + 1.0, after)

    def dense(v, before=None, after=None):
        alpha = pair_table(rule, Whole().positions(length), table)
        return weighted_pairs(alpha, v, before, after)

    def blocked(v, before=None, after=None):
        blocks = _band(rule, RUN)
        alpha = pair_table(rule, blocks.positions(length), table)
        sums = tf.matmul(alpha, blocks.senders(weights.scaled(v, before)))
        return weights.scaled(blocks.merge(sums, length), after)

    local = lowering == "band" and table is None and rule.edges != "segments"
    total = {"sum": everyone, "dense": dense, "band": window if local else blocked}[lowering]
    return weights.weighted_sum(kind, x, real, total, rule.edges == "causal")


def weighted_pairs(table, v, before=None, after=None):
    """after·(table @ (before·v)); factors the same for all clips go to the table, which is smaller.

    Args:
        table: (Q, K) float32.
        v: (B, K, F) float32.
        before, after: (B or 1, K, 1) and (B or 1, Q, 1) float32, or None for 1.
    """
    if before is not None and before.shape[0] == 1:
        table, before = table * before[0, :, 0], None
    if after is not None and after.shape[0] == 1:
        table, after = table * after[0], None
    return weights.scaled(tf.matmul(table, weights.scaled(v, before)), after)


def pair_table(rule, positions, table):
    """(Q, K) float32: 1, or the trained weight, where a pair is joined, else 0."""
    receivers, senders = positions[0][:, None], positions[1][None]
    joined = tf.cast(rule.joined(receivers, senders), tf.float32)
    if table is None:
        return joined
    return joined * weights.offset_weights(table, receivers - senders, rule)


class Content(NamedTuple):
    """What α looks at, and what it weighs.

    Args:
        weigh: (queries (N, Q, F), keys (N, F, K), valid, *params) to (N, Q, heads, K).
        heads: independent weights of a pair.
        width: values that `weigh` makes for a pair.
        queries, keys, values: (..., F), (..., F), (..., V) float32.
        params: trained tensors of `weigh`.
    """

    weigh: Callable
    heads: int
    width: int
    queries: tf.Tensor
    keys: tf.Tensor
    values: tf.Tensor
    params: tuple = ()


def by_content(lowering, content, real, rule):
    """Σ_i α_it·values_i where α looks at the features: Content of (B, T, ·) to (B, T, V)."""
    length = length_of(content.values, 1)
    blocks = Whole() if lowering == "dense" else _band(rule, 1)
    if real is None and lowering == "band":  # blocks are filled up with frames that are not
        real = tf.ones_like(content.values[..., :1])
    cut = content._replace(
        queries=blocks.receivers(content.queries),
        keys=blocks.senders(content.keys),
        values=blocks.senders(content.values),
    )
    real = None if real is None else blocks.senders(real)
    return blocks.merge(attend(cut, real, rule, *blocks.positions(length)), length)


def attend(content, real, rule, receivers, senders):
    """Σ α·value for blocks of pairs.

    Args:
        content: Content of queries (N, Q, F), keys (N, K, F) and values (N, K, V).
        real: (N, K, 1) float32, 1 for a real sender; None where all are.
        rule: the EdgeRule.
        receivers, senders: frame numbers (Q,) and (K,).

    Returns:
        (N, Q, V) float32.
    """
    # Laid out once, not for every chunk: keys (N, F, K), values (N, heads, K, V / heads).
    length, heads, features = length_of(content.values, 1), content.heads, content.values.shape[-1]
    keys = tf.transpose(content.keys, [0, 2, 1])
    values = tf.reshape(content.values, [-1, length, heads, features // heads])
    values = tf.transpose(values, [0, 2, 1, 3])

    def make(queries, receivers, sent, params):
        keys, values, *real = sent
        valid = None
        if rule.edges != "full":
            valid = rule.joined(receivers[:, None], senders[None])[:, None]  # (Q, 1, K)
        if real:
            there = real[0][:, None, None, :, 0] > 0  # (N, 1, 1, K)
            valid = there if valid is None else there & valid
        alpha = content.weigh(queries, keys, valid, *params)  # (N, Q, heads, K)
        messages = tf.matmul(tf.transpose(alpha, [0, 2, 1, 3]), values)  # (N, heads, Q, V / heads)
        messages = tf.transpose(messages, [0, 2, 1, 3])
        return tf.reshape(messages, [-1, length_of(queries, 1), features])

    sent = [keys, values] if real is None else [keys, values, real]
    width = length * content.width
    return by_receivers(make, width, content.queries, receivers, sent, content.params)


def segment_means(x, real, segment):
    """Mean of each segment's real frames (B, G, D), and 1 where it has any, else 0 (B, G, 1)."""
    blocks = Blocks(segment)

    def total(v):
        sums = tf.reduce_sum(blocks.receivers(v), axis=1)
        return tf.reshape(sums, [-1, -(-length_of(v, 1) // segment), v.shape[-1]])

    if real is None:
        return total(x) / total(tf.ones([1, length_of(x, 1), 1])), None
    count = total(real)
    return total(x * real) / tf.maximum(count, 1.0), tf.cast(count > 0, tf.float32)
