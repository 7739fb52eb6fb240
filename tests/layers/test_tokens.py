import numpy as np
import pytest
from contract import check_layer

from sora_tf.layers.tokens import RealTokens, TokenVectors


def test_contract():
    check_layer(TokenVectors(5, 3, 4), np.array([[0, 4], [2, 2]], np.int32))


def test_vector_and_place_are_added():
    layer = TokenVectors(3, 2, 4)
    layer.build((None, None))
    vectors, places = [[1.0, 2], [3, 4], [5, 6]], [[10.0, 20], [30, 40], [0, 0], [0, 0]]
    layer.set_weights([np.array(vectors), np.array(places)])
    # Token 2 at place 0: (5, 6) + (10, 20); token 0 at place 1: (1, 2) + (30, 40).
    np.testing.assert_allclose(layer(np.array([[2, 0]])), [[[15, 26], [31, 42]]])


@pytest.mark.parametrize("wrong", [(0, 2, 2), (2, 0, 2), (2, 2, 0)])
def test_sizes_are_checked(wrong):
    with pytest.raises(ValueError, match=r"TokenVectors: .* must be at least 1"):
        TokenVectors(*wrong)


def test_real_tokens_by_hand():
    check_layer(RealTokens(), np.array([[0, 4], [2, 2]], np.int32))
    assert RealTokens()(np.array([[3, 0, 1]])).numpy().tolist() == [[True, False, True]]
