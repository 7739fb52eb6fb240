"""A function of receivers and senders, computed for a few receivers at a time to bound memory."""

import tensorflow as tf

from sora_tf.layers.frames import length_of

PAIR_VALUES = 2**18  # values of one block's pairs made at once: what stays in a core's cache


def by_receivers(make, per_receiver, queries, positions, shared):
    """make(queries (N, Q, F), positions (Q,), *shared), in chunks of receivers where Q is large.

    Gradients are recomputed chunk by chunk, so that neither way holds more than a chunk of pairs.

    Args:
        make: returns (N, Q, V).
        per_receiver: values that one receiver of a block takes inside `make`.
        queries: (N, Q, F) float.
        positions: (Q,) int.
        shared: tensors that every chunk needs, float; gradients flow to them.

    Returns:
        (N, Q, V).
    """
    receivers = length_of(queries, 1)
    known = isinstance(receivers, int) and isinstance(per_receiver, int)
    if known and receivers * per_receiver <= 8 * PAIR_VALUES:
        return make(queries, positions, *shared)
    least, most = (min, max) if known else (tf.minimum, tf.maximum)
    rows = least(receivers, most(1, PAIR_VALUES // per_receiver))
    count = -(-receivers // rows)
    short = count * rows - receivers
    positions = tf.reshape(tf.pad(positions, [[0, short]]), [count, rows])

    @tf.custom_gradient
    def run(queries, *shared):
        def cut(x):  # (N, count·rows, F) to (count, N, rows, F)
            x = tf.pad(x, [[0, 0], [0, short], [0, 0]])
            x = tf.reshape(x, [tf.shape(x)[0], count, rows, x.shape[-1]])
            return tf.transpose(x, [1, 0, 2, 3])

        def join(x):
            x = tf.transpose(x, [1, 0, 2, 3])
            return tf.reshape(x, [tf.shape(x)[0], count * rows, x.shape[-1]])[:, :receivers]

        parts = cut(queries)

        def gradient(upstream):
            upstream = cut(upstream)

            def body(i, grads, sums):
                # Keys and values may be one tensor; each is to get its own gradient.
                sources = [tf.identity(x) for x in (parts[i], *shared)]
                with tf.GradientTape() as tape:
                    tape.watch(sources)
                    made = make(sources[0], positions[i], *sources[1:])
                grad, *more = tape.gradient(
                    made, sources, upstream[i], unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
                return i + 1, grads.write(i, grad), [a + b for a, b in zip(sums, more, strict=True)]

            start = tf.TensorArray(queries.dtype, count)
            zeros = [tf.zeros_like(x) for x in shared]
            _, grads, sums = tf.while_loop(
                lambda i, *_: i < count, body, (0, start, zeros), parallel_iterations=1
            )
            return join(grads.stack()), *sums

        made = tf.map_fn(
            lambda chunk: make(*chunk, *shared), (parts, positions),
            fn_output_signature=queries.dtype, parallel_iterations=1,
        )  # fmt: skip
        return join(made), gradient

    return run(queries, *shared)
