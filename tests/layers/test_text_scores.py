"""TextScores and ClippedNorm by hand, and FirstValues."""

import numpy as np
import pytest
import tensorflow as tf
from contract import check_layer

from sora_tf.layers.clipped_norm import ClippedNorm
from sora_tf.layers.first_values import FirstValues
from sora_tf.layers.text_scores import TextScores


def test_text_scores_by_hand():
    # cos 1 and 0 with temperature 0.5 and bias -1: logits 1 and -1.
    layer = TextScores(2, 0.5, "sigmoid")
    layer(np.zeros((1, 2), np.float32))
    layer.set_texts(np.eye(2, dtype=np.float32))
    made = layer(np.array([[1.0, 0.0]], np.float32)).numpy()
    np.testing.assert_allclose(made, [[1 / (1 + np.exp(-1)), 1 / (1 + np.exp(1))]], atol=1e-6)
    softmax = TextScores(2, 0.5)
    softmax(np.zeros((1, 2), np.float32))
    softmax.set_texts(np.eye(2, dtype=np.float32))
    np.testing.assert_allclose(
        softmax(np.array([[1.0, 0.0]], np.float32)),
        [[1 / (1 + np.exp(-2)), 1 / (1 + np.exp(2))]],
        atol=1e-6,
    )


@pytest.mark.parametrize("layer", [TextScores(3, 0.1, "sigmoid"), FirstValues(2), ClippedNorm(0.5)])
def test_contracts(layer):
    check_layer(layer, np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32))


@pytest.mark.parametrize(
    ("wrong", "word"),
    [({"count": 0}, "count"), ({"count": 2, "temperature": 0}, "temperature"),
     ({"count": 2, "activation": "tanh"}, "activation")],
)  # fmt: skip
def test_wrong_arguments(wrong, word):
    with pytest.raises(ValueError, match=f"TextScores: {word} must be"):
        TextScores(**wrong)
    with pytest.raises(ValueError, match="FirstValues: count must be"):
        FirstValues(0)


def test_long_vectors_are_shortened_alone():
    # (3, 4) has the length 5 and becomes (0.6, 0.8); (0.3, 0.4) stays; 0 has a gradient of 1.
    x = tf.Variable([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    with tf.GradientTape() as tape:
        made = ClippedNorm()(x)
    np.testing.assert_allclose(made, [[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]], atol=1e-6)
    np.testing.assert_allclose(tape.gradient(made, x)[2], [1.0, 1.0])
    with pytest.raises(ValueError, match="ClippedNorm: limit must be"):
        ClippedNorm(0)
