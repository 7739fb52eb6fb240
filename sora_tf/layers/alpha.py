"""The weight α of an edge, one function a kind.

Kinds that do not look at the features ("uniform", "gcn", "learned") are a table of weights and
factors: one for each sender before the sum, one for each receiver after it. Kinds that do
("attention", "similarity") make the weights of a block of pairs from its features.
"""

import tensorflow as tf

NOT_JOINED = -1e9  # added to a score, it leaves nothing of the softmax weight in float32
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
        real: (..., K, 1) float32, 1 for a real sender and 0 for none.
        total: sums each receiver's senders, (..., K, F) to (..., Q, F).
        causal: whether senders never come after receivers.
        sent: sums each sender's receivers; None where the joined pairs are symmetric.
    """
    before, after = FACTORS[alpha](causal, lambda: (total(real), (sent or total)(real)))
    messages = total(x * real if before is None else x * (real * before))
    return messages if after is None else messages * after


def offset_weights(table, offsets, rule):
    """The trained weight of every t - i (in frames); offsets out of reach share the end weight.

    Args:
        table: (past + future + 1,) float, from the farthest sender ahead to the farthest behind.
        offsets: int numbers of any shape.
        rule: the EdgeRule.
    """
    past, future = rule.reach()
    return tf.gather(table, tf.clip_by_value(offsets // rule.step, -future, past) + future)


def attention_logits(queries, keys, attention):
    """a·leaky_relu(query + key), less what is the same for all keys of a query.

    As leaky_relu(q + k) = 0.2·(q + k) + 0.8·(max(q, -k) + k), what is left beside the pairwise
    maximum is a·k, and a·q falls out of the softmax.

    Args:
        queries: (N, Q, U) float32.
        keys: (N, K, U) float32.
        attention: (U / heads, heads) float32.

    Returns:
        (N, heads, Q, K) float32.
    """
    by_head = attention_matrix(attention)  # (U, heads)
    pairs = tf.maximum(queries[:, :, None], -keys[:, None])  # (N, Q, K, U)
    pairs = tf.einsum("nqku,uh->nhqk", pairs, (1.0 - SLOPE) * by_head)
    return pairs + tf.einsum("nku,uh->nhk", keys, by_head)[:, :, None]


def attention_matrix(attention):
    """(U / heads, heads) to (U, heads), zero where the channel is another head's."""
    width, heads = attention.shape
    blocks = tf.transpose(attention)[:, :, None] * tf.eye(heads)[:, None]  # (heads, width, heads)
    return tf.reshape(blocks, [heads * width, heads])


def attention_weights(queries, keys, penalty, attention):
    """GATv2's weights, softmax over keys: (N, heads, Q, K); see `attention_logits`."""
    logits = attention_logits(queries, keys, attention)
    return tf.nn.softmax(logits if penalty is None else logits + penalty)


def similarity_weights(queries, keys, penalty, neighbours):
    """Softmax of the cosine over the `neighbours` most similar keys, ties by index.

    Args:
        queries: (N, Q, F) float32 of length 1.
        keys: (N, K, F) float32 of length 1.
        penalty: broadcasts to (N, 1, Q, K), NOT_JOINED where a pair is not joined; None for none.
        neighbours: keys kept.

    Returns:
        (N, 1, Q, K) float32.
    """
    cosine = tf.matmul(queries, keys, transpose_b=True)[:, None]
    cosine = cosine if penalty is None else cosine + penalty
    kept = neighbours if cosine.shape[-1] is None else min(neighbours, cosine.shape[-1])
    if cosine.shape[-1] is None:
        kept = tf.minimum(neighbours, tf.shape(cosine)[-1])
    least = tf.math.top_k(cosine, kept).values[..., -1:]
    more, same = cosine > least, tf.cast(cosine == least, tf.float32)
    left = tf.cast(kept, tf.float32) - tf.reduce_sum(tf.cast(more, tf.float32), -1, keepdims=True)
    among = more | ((same > 0) & (tf.cumsum(same, axis=-1) <= left))
    return tf.nn.softmax(tf.where(among, cosine, 2.0 * NOT_JOINED))
