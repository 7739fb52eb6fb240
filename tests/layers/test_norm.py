import numpy as np
from contract import check_layer

from sora_tf._keras import keras
from sora_tf.layers import FrameNorm

RNG = np.random.default_rng(0)


def test_it_is_keras_layer_normalisation():
    x = RNG.normal(3.0, 20.0, (2, 5, 7)).astype("float32")
    ours, stock = FrameNorm(), keras.layers.LayerNormalization()
    ours.build(x.shape)
    stock.build(x.shape)
    weights = [RNG.normal(size=7), RNG.normal(size=7)]
    ours.set_weights(weights)
    stock.set_weights(weights)
    np.testing.assert_allclose(ours(x), stock(x), atol=1e-5)


def test_by_hand():
    # Mean 3, differences -2, 0, 2, variance 8/3; ε = 1/3 makes the divisor √3.
    y = FrameNorm(epsilon=1 / 3)(np.array([[1.0, 3.0, 5.0]], "float32"))
    np.testing.assert_allclose(y, [[-2 / 3**0.5, 0.0, 2 / 3**0.5]], atol=1e-6)


def test_contract():
    check_layer(FrameNorm(), RNG.normal(size=(2, 3, 4)).astype("float32"))
