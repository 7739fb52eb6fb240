"""A causal RelationBlock in chunks gives what it gives for the whole clip."""

import numpy as np
import pytest

from sora_tf.layers.graph import KINDS
from sora_tf.layers.messages import ALPHAS
from sora_tf.layers.relation import RelationBlock


def causal(alpha):
    block = RelationBlock(8, alpha=alpha, edges="causal", window=3, neighbours=2, activation="tanh")
    generator = np.random.default_rng(0)
    x = generator.normal(size=[3, 15, 6]).astype(np.float32)
    mask = generator.random([3, 15]) < 0.7
    mask[0] = True
    block([x, mask])
    block.set_weights([0.5 * generator.normal(size=w.shape) for w in block.get_weights()])
    return block, x, mask


@pytest.mark.parametrize("alpha", ALPHAS)
def test_chunks_equal_the_clip(alpha):
    block, x, mask = causal(alpha)
    expected = block([x, mask])
    for frames in (1, 2, 4, 7):
        state, outputs = block.initial_state(3, 6), []
        for start in range(0, 15, frames):
            chunk = [x[:, start : start + frames], mask[:, start : start + frames]]
            y, state = block.step(chunk, state)
            outputs.append(y)
        np.testing.assert_allclose(np.concatenate(outputs, axis=1), expected, atol=1e-5)
        assert {name: value.shape[1:] for name, value in state.items()} == {
            name: shape for name, (shape, _) in block.state_spec([x.shape, mask.shape]).items()
        }


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_future_changes_nothing(alpha):
    block, x, mask = causal(alpha)
    later, other = x.copy(), mask.copy()
    later[:, 9:], other[:, 9:] = 5.0, ~mask[:, 9:]
    np.testing.assert_array_equal(
        block([later, other]).numpy()[:, :9], block([x, mask]).numpy()[:, :9]
    )


@pytest.mark.parametrize("edges", sorted({*KINDS} - {"causal"}))
def test_only_causal_edges_stream(edges):
    block = RelationBlock(8, edges=edges, name="late")
    message = f"late cannot run on a stream with edges '{edges}'.*Use edges='causal'"
    with pytest.raises(ValueError, match=message):
        block.initial_state(1, 6)
    with pytest.raises(ValueError, match=message):
        block.step([np.zeros([1, 1, 6]), np.ones([1, 1], bool)], {})
