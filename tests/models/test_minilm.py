"""The sentence encoder against a second one in numpy, and what comes of odd texts."""

import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from minilm_by_hand import forward, read_safetensors, word_pieces

from sora_tf._keras import keras
from sora_tf.models import minilm

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
pytest.importorskip(minilm.PACKAGE)

WHO = ("A man", "The old woman", "My brother's dog", "Nobody", "Mr. Smith-Jones")
DOES = (
    "walks along the unforgettable beach.",
    'said: "I can\'t believe it!"',
    "was born in 1984, near São Paulo",
    "photographs antidisestablishmentarianism?",
    "PLAYS the guitar; badly...",
    "café naïve résumé",
    "runs",
    "thinks that the film which they saw yesterday evening was far too long, and says so",
)
ENGLISH = [f"{who} {does}" for who in WHO for does in DOES]
OTHERS = [
    "我喜欢这部电影，但是结局太悲伤了。",
    "今日はとても楽しかったです",
    "هذا الفيلم رائع جدا",
    "הסרט הזה נהדר",
    "I ❤️ this 🎬 so much 😂😂",
    "Это был прекрасный день",
    "  spaces\t and\nlines  ",
    "\u200f\u202bmixed שלום and English\u202c",
    "x" * 300,
    "word " * 400,
]


# The first four numbers of some, made with sentence-transformers 6.2.0.
GOLDEN = {
    0: (-0.017730, -0.009924, 0.008592, 0.011918),
    9: (-0.083053, 0.023881, -0.028761, 0.073488),
    40: (0.026222, 0.100900, 0.069044, 0.022850),
    42: (0.000097, 0.115142, -0.062979, -0.039436),
    44: (0.011586, -0.037175, 0.077234, -0.020714),
    49: (-0.008124, -0.095586, -0.038673, 0.049662),
}


@pytest.fixture(scope="module")
def encoder():
    return minilm.SentenceEncoder()


@pytest.fixture(scope="module")
def weights():
    return read_safetensors(minilm.weights_folder() / minilm.WEIGHTS)


def test_vectors_are_those_of_the_equations(encoder, weights):
    texts = ENGLISH + OTHERS
    assert len(texts) == 50
    tokens, mask = encoder.tokens(texts)
    by_hand = [forward(list(row[real]), weights) for row, real in zip(tokens, mask, strict=True)]
    made = encoder.encode(texts, batch_size=7)
    assert made.shape == (50, 384)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, by_hand, atol=2e-6, rtol=0)
    np.testing.assert_allclose(made[list(GOLDEN), :4], list(GOLDEN.values()), atol=2e-6, rtol=0)


def test_tokens_are_those_of_word_piece(encoder):
    lines = (minilm.weights_folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
    vocabulary = {line: number for number, line in enumerate(lines)}
    tokens, mask = encoder.tokens(ENGLISH)
    for text, row, real in zip(ENGLISH, tokens, mask, strict=True):
        assert list(row[real]) == word_pieces(text, vocabulary), text
    long = "word " * 400  # 1 + 400 + 1 tokens, of which 256 are kept, the last one the end
    (row,), (real,) = encoder.tokens([long])
    assert real.sum() == 256
    assert list(row) == word_pieces(long, vocabulary)


def test_meaning_is_near(encoder):
    a, b, c = encoder.encode(["He plays a guitar.", "A man makes music.", "Taxes rise in May."])
    assert a @ b > a @ c + 0.2
    assert a @ b > b @ c + 0.2


def test_vectors_do_not_depend_on_their_batch(encoder):
    alone = np.concatenate([encoder.encode([text]) for text in OTHERS])
    np.testing.assert_allclose(encoder.encode(OTHERS), alone, atol=1e-6)


def test_texts_without_words_are_zero(encoder):
    made = encoder.encode(["", " \n\t", "\u200f", "a", "\ud800 half a sign"])
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), [0, 0, 0, 1, 1], atol=1e-5)
    assert encoder.encode([]).shape == (0, 384)
    assert np.isfinite(encoder.encode(["?" * 10**6])).all()


def test_tflite_needs_builtins_alone(encoder):
    length = 16
    model = minilm.sentence_model(length)
    spec = {
        minilm.TOKENS: tf.TensorSpec([1, length], tf.int32, name=minilm.TOKENS),
        minilm.MASK: tf.TensorSpec([1, length], tf.bool, name=minilm.MASK),
    }
    function = tf.function(lambda tokens, mask: model({"tokens": tokens, "mask": mask}))
    concrete = function.get_concrete_function(spec["tokens"], spec["mask"])
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], model)
    content = converter.convert()
    runner = tf.lite.Interpreter(model_content=content)
    names = {op["op_name"] for op in runner._get_ops_details()}
    assert not any(name.startswith(("Flex", "CUSTOM")) for name in names)
    runner.allocate_tensors()
    texts = [
        "A man walks.",
        "我喜欢这部电影",
        "It was far too long, and I went home before the end",
    ]
    tokens, mask = encoder.tokens(texts, length)
    wanted = model({"tokens": tokens, "mask": mask}).numpy()
    np.testing.assert_allclose(encoder.encode(texts[:2]), wanted[:2], atol=1e-5)
    for n in range(len(texts)):
        for detail in runner.get_input_details():
            given = tokens if detail["dtype"] == np.int32 else mask
            runner.set_tensor(detail["index"], given[n : n + 1])
        runner.invoke()
        made = runner.get_tensor(runner.get_output_details()[0]["index"])[0]
        np.testing.assert_allclose(made, wanted[n], atol=1e-5)


def test_it_saves_and_loads(tmp_path, encoder):
    tokens, mask = encoder.tokens(["A man walks.", ""])
    encoder.model.save(tmp_path / "minilm.keras")
    loaded = keras.models.load_model(tmp_path / "minilm.keras", safe_mode=True)
    given = {"tokens": tokens, "mask": mask}
    np.testing.assert_allclose(loaded(given), encoder.model(given), atol=1e-7)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}"], ids=["empty", "noise", "bare"]
)
def test_a_damaged_file_is_one_line(tmp_path, content):
    (tmp_path / minilm.WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match="must be the weights of all-MiniLM-L6-v2, but") as found:
        minilm.sentence_model(path=tmp_path)
    assert "\n" not in str(found.value)


def test_missing_files_and_wrong_arguments(tmp_path, encoder, monkeypatch):
    with pytest.raises(ValueError, match="must be the weights"):
        minilm.SentenceEncoder(tmp_path)
    with pytest.raises(ValueError, match="must be a list of texts, got the text 'hello'"):
        encoder.encode("hello")
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        encoder.encode(["hello"], batch_size=0)
    with pytest.raises(ValueError, match="length must be from 2 to 512"):
        minilm.sentence_model(1)
    with pytest.raises(ValueError, match="must be a file of the library tokenizers"):
        minilm._read_tokenizer(Path(tmp_path))
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ImportError, match=r"tokenizers is not installed.*sora_tf\[text\]"):
        minilm._read_tokenizer(Path(tmp_path))
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_anywhere")
    with pytest.raises(ImportError, match=r"MiniLM are not installed.*sora_tf\[text\]"):
        minilm.weights_folder()
