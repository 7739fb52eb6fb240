"""The model of dialogues: what it hears and what it does not."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from sora_tf._keras import keras
from sora_tf.config import RelationConfig
from sora_tf.models.dialogue import DialogueConfig, build_dialogue
from sora_tf.models.text import TextConfig

RELATION = RelationConfig(edges="causal", window=1, blocks=2, units=8, heads=2)
SMALL = DialogueConfig(vector=6, bag=10, words=TextConfig(9, length=3), relation=RELATION, units=8)


def inputs(rng, count=6):
    return {
        "vectors": rng.normal(size=(1, count, 6)).astype(np.float32),
        "bag": rng.normal(size=(1, count, 10)).astype(np.float32),
        "words": rng.integers(0, 9, (1, count, 3)).astype(np.int32),
        "speakers": rng.integers(0, 2, (1, count, 2)).astype(np.float32),
        "mask": np.ones((1, count), bool),
    }


@pytest.fixture
def given():
    return inputs(np.random.default_rng(0))


def test_what_was_said_before_counts_and_no_more(given):
    model = build_dialogue(SMALL, 3)
    made = model(given).numpy()
    assert made.shape == (1, 6, 3)
    np.testing.assert_allclose(made.sum(-1), 1, atol=1e-5)
    other = {**given, "vectors": given["vectors"].copy()}
    other["vectors"][0, 2, 1] += 1.0
    moved = np.abs(model(other).numpy() - made).max(-1)[0]
    # Causal, two rounds of one step: utterance 2 is heard by itself, 3 and 4.
    assert (moved[[2, 3, 4]] > 1e-5).all()
    assert (moved[[0, 1, 5]] < 1e-6).all()
    assert SMALL.reach == 2


def test_padding_changes_nothing(given):
    model = build_dialogue(SMALL, 3)
    short = {name: values[:, :4] for name, values in given.items()}
    masked = {**given, "mask": np.array([[True] * 4 + [False] * 2])}
    np.testing.assert_allclose(model(masked)[:, :4], model(short), atol=1e-6)


@pytest.mark.parametrize("left_out", [{"words": None}, {"bag": 0}, {"vector": 0}])
def test_parts_can_be_left_out(given, left_out, tmp_path):
    config = replace(SMALL, **left_out)
    model = build_dialogue(config, 2)
    names = {"words": "words", "bag": "bag", "vector": "vectors"}
    gone = names[next(iter(left_out))]
    assert gone not in model.input
    kept = {name: values for name, values in given.items() if name != gone}
    made = model(kept)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(loaded(kept), made, atol=1e-6)


def test_configs_are_data():
    for config in (SMALL, DialogueConfig(relation=None)):
        assert DialogueConfig.from_dict(asdict(config)) == config
    assert DialogueConfig(relation=None).reach == 0
    with pytest.raises(ValueError, match="must not all be left out"):
        DialogueConfig(vector=0, bag=0)
    with pytest.raises(ValueError, match="dropout must be from 0"):
        DialogueConfig(dropout=1.0)
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        build_dialogue(SMALL, 1)
