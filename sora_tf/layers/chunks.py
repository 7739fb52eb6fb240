"""A function of receivers and senders, computed for a few receivers at a time to bound memory."""

import tensorflow as tf

from sora_tf.layers.frames import length_of

PAIR_VALUES = 2**19  # made at once in a chunk: about what a core's cache holds


def by_receivers(make, per_receiver, queries, positions, senders, params):
    """make(queries (N, Q, F), positions (Q,), senders, params), in chunks where Q is large.

    Then clips go one by one, and gradients are recomputed chunk by chunk, so that neither way
    holds more than a chunk of pairs.

    Args:
        make: returns (N, Q, V).
        per_receiver: values that one receiver of a block takes inside `make`.
        queries: (N, Q, F) float.
        positions: (Q,) int.
        senders: tensors (N, ...) float.
        params: tensors float.

    Returns:
        (N, Q, V).
    """
    receivers = length_of(queries, 1)
    known = isinstance(receivers, int) and isinstance(per_receiver, int)
    if known and receivers * per_receiver <= 4 * PAIR_VALUES:
        return make(queries, positions, senders, params)
    least, most = (min, max) if known else (tf.minimum, tf.maximum)
    rows = least(receivers, most(1, PAIR_VALUES // per_receiver))
    positions = tf.pad(positions, [[0, -receivers % rows]])

    def one_clip(clip):
        queries, *senders = (x[None] for x in clip)
        return _in_chunks(make, rows, positions, queries, senders, params)[0]

    return tf.map_fn(
        one_clip, [queries, *senders], fn_output_signature=queries.dtype, parallel_iterations=1
    )


def _in_chunks(make, rows, positions, queries, senders, params):
    """`by_receivers` for one clip: (1, Q, F) to (1, Q, V)."""
    receivers = length_of(queries, 1)
    count = -(-receivers // rows)
    positions = tf.reshape(positions, [count, rows])

    def cut(x):  # (1, Q, F) to (count, 1, rows, F)
        x = tf.pad(x, [[0, 0], [0, count * rows - receivers], [0, 0]])
        return tf.reshape(x, [count, 1, rows, x.shape[-1]])

    def join(x):
        return tf.reshape(x, [1, count * rows, x.shape[-1]])[:, :receivers]

    @tf.custom_gradient
    def run(queries, *others):
        parts = cut(queries)

        def part(queries, positions, others):
            return make(queries, positions, others[: len(senders)], others[len(senders) :])

        def gradient(upstream):
            upstream = cut(upstream)

            def body(i, grads, sums):
                # Keys and values may be one tensor; each is to get its own gradient.
                sources = [tf.identity(x) for x in (parts[i], *others)]
                with tf.GradientTape() as tape:
                    tape.watch(sources)
                    made = part(sources[0], positions[i], sources[1:])
                grad, *more = tape.gradient(
                    made, sources, upstream[i], unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
                return i + 1, grads.write(i, grad), [a + b for a, b in zip(sums, more, strict=True)]

            start = tf.TensorArray(queries.dtype, count)
            zeros = [tf.zeros_like(x) for x in others]
            _, grads, sums = tf.while_loop(
                lambda i, *_: i < count, body, (0, start, zeros), parallel_iterations=1
            )
            return join(grads.stack()), *sums

        made = tf.map_fn(
            lambda chunk: part(chunk[0], chunk[1], others),
            (parts, positions),
            fn_output_signature=queries.dtype,
            parallel_iterations=1,
        )
        return join(made), gradient

    return run(queries, *senders, *params)
