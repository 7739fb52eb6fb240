import numpy as np
from contract import check_layer

from sora_tf.layers.frame_relations import FrameRelations

MASK = np.array([[True, True, False], [True, True, True]])


def test_cosines_by_hand():
    x = np.array([[[3.0, 4], [4, 3], [1, 1]], [[1, 0], [0, 2], [-5, 0]]], "float32")
    y = FrameRelations()([x, MASK]).numpy()
    # (3·4 + 4·3) / 25; the padded frame is like none.
    np.testing.assert_allclose(y[0], [[1, 0.96, 0], [0.96, 1, 0], [0, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(y[1], [[1, 0, -1], [0, 1, 0], [-1, 0, 1]], atol=1e-6)


def test_contract():
    x = np.random.default_rng(0).normal(size=(2, 3, 5)).astype("float32")
    check_layer(FrameRelations(), [x, MASK])
