"""Voices by hand: their sum, which are there, and that each learns by itself."""

import numpy as np
import pytest
import tensorflow as tf
from contract import check_config

from sora_tf._keras import keras
from sora_tf.layers.voices import Voices, VoicesJoined, VoicesThere

TRUE, FALSE = True, False


def test_which_voices_are_there():
    frame = np.array([[TRUE, FALSE], [TRUE, TRUE], [FALSE, FALSE], [FALSE, FALSE]])
    sound = np.array([[FALSE], [TRUE], [TRUE], [FALSE]])
    wanted = [[TRUE, FALSE, FALSE], [TRUE, TRUE, TRUE], [FALSE, TRUE, FALSE], [FALSE] * 3]
    layer = VoicesThere()
    assert layer([frame, sound]).numpy().tolist() == wanted
    assert layer(frame).numpy().tolist() == [[TRUE], [TRUE], [FALSE], [FALSE]]
    assert layer.compute_output_shape([(4, 2), (4, 1)]) == (4, 3)
    assert layer.compute_output_shape(tf.TensorShape([4, 2])) == (4, 1)


def test_voices_that_are_not_there_are_zeros():
    there = np.array([[TRUE, FALSE], [FALSE, TRUE]])
    parts = [np.full((2, 2), 3.0, np.float32), np.full((2, 2), 5.0, np.float32)]
    layer = VoicesJoined()
    assert layer([there, *parts]).numpy().tolist() == [[3, 3, 0, 0], [0, 0, 5, 5]]
    assert layer.compute_output_shape([(2, 2), (2, 2), (2, 2)]) == (2, 4)


@pytest.fixture
def voices():
    """Of two values each: the first judges by their sum for class 0, the second for class 1."""
    layer = Voices(2)
    layer.build([(None, 4), (None, 2)])
    first, second = np.array([[1, 0], [1, 0]]), np.array([[0, 1], [0, 1]])
    layer.set_weights([first, second, np.array([[0, 7], [9, 0]])])
    return layer


def test_together_they_say_their_sum(voices):
    vector = np.array([[1, 2, 10, 20]] * 4, np.float32)
    there = np.array([[TRUE, TRUE], [TRUE, FALSE], [FALSE, TRUE], [FALSE, FALSE]])
    wanted = [[3 + 9, 7 + 30], [3, 7], [9, 30], [0, 0]]  # the bias of who is not there is not there
    assert voices([vector, there]).numpy().tolist() == wanted


def test_in_training_one_that_is_there_speaks(voices):
    keras.utils.set_random_seed(0)
    vector = np.tile(np.array([[1, 2, 10, 20]], np.float32), (3000, 1))
    there = np.ones((3000, 2), bool)
    there[:1000, 0] = False
    said = voices([vector, there], training=True).numpy()
    first, second = (said == [3, 7]).all(axis=1), (said == [9, 30]).all(axis=1)
    assert (first | second).all()
    assert second[:1000].all()
    assert abs(first[1000:].mean() - 0.5) < 0.04
    there[:] = False
    assert not voices([vector, there], training=True).numpy().any()


def test_a_sure_voice_leaves_the_other_to_learn():
    """Trained together as one sum, the second would have nothing left to learn."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 400)
    clear = np.eye(2)[truth] * 20
    faint = np.eye(2)[truth] + rng.normal(0, 0.5, (400, 2))
    vector = np.concatenate([clear, faint], axis=1).astype(np.float32)
    keras.utils.set_random_seed(0)
    inputs = [keras.Input((4,)), keras.Input((2,), dtype=tf.bool)]
    model = keras.Model(inputs, keras.layers.Softmax()(Voices(2)(inputs)))
    model.compile(keras.optimizers.Adam(0.05), "categorical_crossentropy", ["accuracy"])
    both = np.ones((400, 2), bool)
    model.fit([vector, both], np.eye(2)[truth], epochs=20, batch_size=50, verbose=0)
    alone = both & [False, True]
    assert model.evaluate([vector, alone], np.eye(2)[truth], verbose=0)[1] > 0.88  # 0.92 at best
    assert model.evaluate([vector, both], np.eye(2)[truth], verbose=0)[1] == 1.0


@pytest.mark.parametrize("layer", [Voices(3), VoicesJoined(), VoicesThere()])
def test_configs(layer):
    check_config(layer)


def test_shapes_that_do_not_fit():
    assert Voices(3).compute_output_shape([(2, 4), (2, 2)]) == (2, 3)
    with pytest.raises(ValueError, match="units must be"):
        Voices(1)
    with pytest.raises(ValueError, match="a part for each of 2 voices, got 5 values"):
        Voices(3).build([(None, 5), (None, 2)])
