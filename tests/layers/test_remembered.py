"""Things remembered inside a graph: what `ThingMemory` remembers of the same boxes."""

import numpy as np
import pytest
import tensorflow as tf

from sora_tf.data.boxes import Boxes, joined
from sora_tf.layers.remembered import remembered, width_of_things
from sora_tf.tasks.thing_memory import ThingMemory


def run(frames, keep):
    """Boxes (K, 4) and scores (K, C) of frame after frame, as they come out."""
    _, scores = frames[0]
    state = tf.zeros((1, len(scores), width_of_things(scores.shape[1])))
    out = []
    for boxes, scores in frames:
        given = [tf.constant(value[None], tf.float32) for value in (boxes, scores)]
        found, sure, state = remembered(*given, state, keep)
        out.append((found.numpy()[0], sure.numpy()[0]))
    return out, state.numpy()[0]


def test_scores_and_sizes_are_means_by_hand():
    first = np.array([[10, 10, 8, 16.0]]), np.array([[0.6, 0.2]])
    second = np.array([[8, 12, 16, 16.0]]), np.array([[0.3, 0.5]])
    (_, (boxes, scores)), state = run([first, second], 0.5)
    # Weights 0.5 and 1: a third is the old. Middle (16, 20); sides 8^(1/3)·16^(2/3), 16.
    width = np.exp((np.log(8) + 2 * np.log(16)) / 3)
    np.testing.assert_allclose(boxes, [[16 - width / 2, 12, width, 16]], rtol=1e-5)
    np.testing.assert_allclose(scores, [[0.4, 0.4]], rtol=1e-5)
    row = [8, 12, 16, 16, np.log(width), np.log(16), 0.4, 0.4, 1.5]
    np.testing.assert_allclose(state, [row], rtol=1e-5)


def test_a_box_without_a_side_is_none():
    nothing = np.array([[10, 10, 0, 16.0]]), np.array([[0.9, 0.1]])
    ((boxes, scores),), state = run([nothing], 0.5)
    assert np.isfinite(boxes).all()
    assert not scores.any()
    assert not state.any()


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_is_remembered_outside_a_graph(seed):
    """Six boxes of three classes wander about, appear and vanish, and change places in the list."""
    rng = np.random.default_rng(seed)
    keep = rng.uniform(0.2, 0.9)
    middles, sides = rng.uniform(0, 60, (6, 2)), rng.uniform(4, 25, (6, 2))
    frames = []
    for _ in range(5):
        middles += rng.normal(0, 6, (6, 2))
        own = sides * np.exp(rng.normal(0, 0.3, (6, 2)))
        scores = rng.dirichlet([1, 1, 1], 6) * rng.choice([0.02, 0.4, 0.9], (6, 1))
        order = rng.permutation(6)
        boxes = np.concatenate([middles - own / 2, own], 1).astype(np.float32)
        frames.append((boxes[order], scores[order].astype(np.float32)))
    found, _ = run(frames, keep)
    things = ThingMemory(keep, 3)
    for number, ((boxes, scores), (own, sure)) in enumerate(zip(frames, found, strict=True)):
        names = [
            Boxes(np.full(6, number), boxes, np.full(6, label), scores[:, label])
            for label in range(3)
        ]
        known = things.known(joined(names), [number])
        rows, labels = np.nonzero(sure >= 0.01)
        mine = np.column_stack([labels, sure[rows, labels], own[rows]])
        wanted = np.column_stack([known.labels, known.scores, known.boxes])
        wanted = wanted[wanted[:, 1] >= 0.01]
        assert len(mine) == len(wanted)
        for table in (mine, wanted):
            table[:] = table[np.lexsort((table[:, 2], table[:, 0]))]
        np.testing.assert_allclose(mine, wanted, rtol=1e-3, atol=2e-3)
