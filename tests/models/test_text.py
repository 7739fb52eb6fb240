"""Words to vectors: the vocabulary by hand, and an encoder that learns, saves and exports."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as some

from sora_tf._keras import keras
from sora_tf.models.text import (
    MASK,
    SENTENCES,
    TextConfig,
    Vocabulary,
    build_text_encoder,
    encode_sentences,
)

TEXTS = ["the cat sat", "The cat ran!", "我喜欢猫", "我"]


def test_words_are_numbered_by_how_often_they_are():
    vocabulary = Vocabulary.of(TEXTS)
    # Twice: the, cat, 我; once: sat, ran, 喜, 欢, 猫.
    assert set(vocabulary.known[:3]) == {"the", "cat", "我"}
    assert vocabulary.size == 2 + 8
    number = {word: n + 2 for n, word in enumerate(vocabulary.known)}
    made = vocabulary.tokens(["CAT, the dog", "猫我", "", "the cat sat ran"], 3)
    assert made.tolist() == [
        [number["cat"], number["the"], 1],
        [number["猫"], number["我"], 0],
        [0, 0, 0],
        [number["the"], number["cat"], number["sat"]],
    ]
    assert Vocabulary.of(TEXTS, most=3).size == 5
    assert vocabulary.tokens([], 3).shape == (0, 3)


def test_a_vocabulary_is_a_file(tmp_path):
    vocabulary = Vocabulary.of(TEXTS)
    vocabulary.write(tmp_path / "words.txt")
    read = Vocabulary.read(tmp_path / "words.txt")
    assert read.known == vocabulary.known
    assert (read.tokens(TEXTS, 4) == vocabulary.tokens(TEXTS, 4)).all()
    empty = Vocabulary.of([])
    assert empty.size == 2
    assert empty.tokens(["a b"], 3).tolist() == [[1, 1, 0]]


@settings(max_examples=8, deadline=None)
@given(some.lists(some.text(max_size=30), max_size=5), some.integers(1, 6))
def test_any_text_becomes_numbers(texts, length):
    vocabulary = Vocabulary.of(texts)
    made = vocabulary.tokens(texts, length)
    assert made.shape == (len(texts), length)
    assert ((made >= 0) & (made < vocabulary.size) & (made != 1)).all()


def given_to(model, tokens, mask):
    return model({SENTENCES: np.array(tokens, np.int32), MASK: np.array(mask)})


def test_the_encoder_saves_and_loads(tmp_path):
    model = build_text_encoder(TextConfig(9, length=4, width=6, units=5))
    tokens, mask = [[[2, 3, 0, 0], [0, 0, 0, 0]]], [[True, False]]
    made = given_to(model, tokens, mask)
    assert made["vectors"].shape == (1, 2, 5)
    assert made["mask"].numpy().tolist() == mask
    model.save(tmp_path / "text.keras")
    loaded = keras.models.load_model(tmp_path / "text.keras", safe_mode=True)
    np.testing.assert_allclose(given_to(loaded, tokens, mask)["vectors"], made["vectors"])


def test_sentences_do_not_see_each_other():
    model = build_text_encoder(TextConfig(9, length=4))
    both = given_to(model, [[[2, 3, 0, 0], [4, 5, 6, 7]]], [[True, True]])["vectors"][0]
    alone = given_to(model, [[[4, 5, 6, 7]]], [[True]])["vectors"][0, 0]
    np.testing.assert_allclose(both[1], alone, atol=1e-6)
    assert np.abs(both[0] - both[1]).max() > 1e-4


def test_tflite_takes_tokens_with_builtins_alone():
    model = build_text_encoder(TextConfig(9, length=4), sentences=3)
    function = tf.function(lambda tokens, mask: model({SENTENCES: tokens, MASK: mask})["vectors"])
    concrete = function.get_concrete_function(
        tf.TensorSpec([1, 3, 4], tf.int32), tf.TensorSpec([1, 3], tf.bool)
    )
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model).convert()
    runner = tf.lite.Interpreter(model_content=content)
    assert not [op for op in runner._get_ops_details() if op["op_name"].startswith("Flex")]
    runner.allocate_tensors()
    tokens = np.array([[[2, 3, 0, 0], [4, 5, 6, 8], [1, 0, 0, 0]]], np.int32)
    mask = np.array([[True, True, False]])
    for detail in runner.get_input_details():
        runner.set_tensor(detail["index"], tokens if detail["dtype"] == np.int32 else mask)
    runner.invoke()
    made = runner.get_tensor(runner.get_output_details()[0]["index"])
    np.testing.assert_allclose(made, given_to(model, tokens, mask)["vectors"], atol=1e-6)


def test_it_learns_what_words_say():
    rng = np.random.default_rng(0)
    filler = np.array(["a", "b", "c", "d", "e", "f", "g", "h"])
    truth = rng.integers(0, 2, 200)
    texts = [
        " ".join(rng.permutation([*rng.choice(filler, 5), ("bad", "good")[label]]))
        for label in truth
    ]
    vocabulary = Vocabulary.of(texts[:100])
    config = TextConfig(vocabulary.size, length=8)
    tokens = keras.Input((1, 8), dtype="int32")
    mask = keras.Input((1,), dtype="bool")
    logits = keras.layers.Dense(2)(encode_sentences(tokens, mask, config)[:, 0])
    model = keras.Model([tokens, mask], logits)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    x = [vocabulary.tokens(texts, 8)[:, None], np.ones((200, 1), bool)]
    model.fit([part[:100] for part in x], truth[:100], epochs=15, verbose=0)
    _, accuracy = model.evaluate([part[100:] for part in x], truth[100:], verbose=0)
    assert accuracy > 0.9  # chance 0.5


@pytest.mark.parametrize(
    "wrong", [{"vocabulary": 0}, {"length": 0}, {"units": 0}, {"dropout": 1.0}]
)
def test_settings_are_checked(wrong):
    with pytest.raises(ValueError, match="TextConfig: "):
        TextConfig(**{"vocabulary": 5, **wrong})
    with pytest.raises(ValueError, match="most must be at least 1"):
        Vocabulary.of(["a"], most=0)
