"""The weight α of an edge, one function a kind.

Kinds that do not look at the features ("uniform", "gcn", "learned") are a table of weights and
factors: one for each sender before the sum, one for each receiver after it. Kinds that do
("attention", "similarity") make the weights of a block of pairs from its features.
"""

import tensorflow as tf

from sora_tf.layers.frames import length_of

SLOPE = 0.2  # of leaky ReLU in GATv2


def _no_factors(causal, degrees):
    return None, None


def _gcn_factors(causal, degrees):
    received, sent = degrees()
    received = tf.maximum(received, 1.0)
    if causal:  # the sender's degree counts frames yet to come
        return None, 1.0 / received
    return tf.math.rsqrt(tf.maximum(sent, 1.0)), tf.math.rsqrt(received)


# (causal, degrees) to a factor for each sender and one for each receiver, None for 1; degrees()
# gives the number of real senders of each receiver and of real receivers of each sender.
FACTORS = {"uniform": _no_factors, "gcn": _gcn_factors, "learned": _no_factors}


def weighted_sum(alpha, x, real, total, causal, sent=None):
    """Σ_i α_it·x_i for a kind that does not look at the features.

    Args:
        alpha: a key of FACTORS.
        x: (..., K, F) float32, the senders.
        real: (..., K, 1) float32, 1 for a real sender and 0 for none; None where all are real.
        total: (v, before, after) to after·Σ before·v of each receiver's senders, (..., K, F) to
            (..., Q, F); before (..., K, 1) and after (..., Q, 1) are None for 1.
        causal: whether senders never come after receivers.
        sent: the same for each sender's receivers; None where the joined pairs are symmetric.
    """
    everyone = [1] * (x.shape.rank - 2) + [length_of(x, -2), 1]  # one row for all clips
    ones = tf.ones(everyone) if real is None else real
    before, after = FACTORS[alpha](causal, lambda: (total(ones), (sent or total)(ones)))
    if real is not None:
        before = scaled(real, before)
    return total(x, before, after)


def scaled(v, scale):
    """v·scale; None is 1."""
    return v if scale is None else v * scale


def offset_weights(table, offsets, rule):
    """The trained weight of every t - i (in frames); offsets out of reach share the end weight.

    Args:
        table: (past + future + 1,) float, from the farthest sender ahead to the farthest behind.
        offsets: int numbers of any shape.
        rule: the EdgeRule.
    """
    past, future = rule.reach()
    places = tf.clip_by_value(offsets // rule.step, -future, past) + future
    return tf.cast(tf.gather(table, places), tf.float32)


def attention_weights(queries, keys, valid, attention):
    """GATv2: softmax over keys of a·leaky_relu(query + key), for each head.

    leaky_relu(q + k) = 0.2·(q + k) + 0.8·(max(q, -k) + k), and what all keys of a query share
    falls out of the softmax: what is left is 0.8·a·max(q, -k) + a·k, one operation on pairs
    instead of two.

    Args:
        queries: (N, Q, U) float32.
        keys: (N, U, K) float32; with keys innermost pairs vectorise best.
        valid: broadcasts to (N, Q, 1, K) bool, the pairs that are joined; None for all.
        attention: (U / heads, heads) float32, the vector a of each head.

    Returns:
        (N, Q, heads, K) float32.
    """
    width, heads = attention.shape
    by_head = tf.transpose(attention)[:, None] * tf.eye(heads)[:, :, None]  # (heads, heads, width)
    by_head = tf.reshape(tf.transpose(by_head, [1, 0, 2]), [heads, heads * width])
    pairs = tf.maximum(queries[..., None], -keys[:, None])  # (N, Q, U, K)
    logits = tf.matmul((1.0 - SLOPE) * by_head, pairs)  # (N, Q, heads, K)
    return masked_softmax(logits + tf.matmul(by_head, keys)[:, None], valid)


def similarity_weights(queries, keys, valid, neighbours):
    """Softmax of the cosine over the `neighbours` most similar keys, ties by index.

    Args:
        queries: (N, Q, F) float32 of length 1.
        keys: (N, F, K) float32 of length 1.
        valid: broadcasts to (N, Q, 1, K) bool, the pairs that are joined; None for all.
        neighbours: keys kept.

    Returns:
        (N, Q, 1, K) float32.
    """
    cosine = tf.matmul(queries, keys)[:, :, None]
    ranked = cosine if valid is None else tf.where(valid, cosine, -2.0)  # below any cosine
    length = length_of(cosine, -1)
    kept = min(neighbours, length) if isinstance(length, int) else tf.minimum(neighbours, length)
    least = tf.math.top_k(ranked, kept).values[..., -1:]
    more, same = ranked > least, ranked == least
    left = tf.cast(kept, tf.float32) - tf.reduce_sum(tf.cast(more, tf.float32), -1, keepdims=True)
    among = more | (same & (tf.cumsum(tf.cast(same, tf.float32), axis=-1) <= left))
    return masked_softmax(cosine, among if valid is None else among & valid)


def masked_softmax(logits, valid):
    """Softmax over the last axis among valid entries; 0 elsewhere, and where none is valid.

    Invalid entries stand in as the row's least, not as a huge negative number, which would leave
    int8 no levels for the others.
    """
    if valid is None:
        return tf.nn.softmax(logits)
    least = tf.stop_gradient(tf.reduce_min(logits, axis=-1, keepdims=True))
    kept = tf.nn.softmax(tf.where(valid, logits, least)) * tf.cast(valid, logits.dtype)
    count = tf.cast(length_of(logits, -1), logits.dtype)
    # A valid entry is no less than 1/count, so the floor is for rows without any, and int8 has it.
    share = tf.reduce_mean(kept, axis=-1, keepdims=True)
    return kept / (count * tf.maximum(share, 0.5 / count**2))
