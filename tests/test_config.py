import dataclasses

import pytest

from sora_tf.config import PRESETS, ExtractorConfig, RelationConfig, SoraConfig, resolve


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    config = resolve(name)
    assert SoraConfig.from_json(config.to_json()) == config


def test_no_relation_survives_json():
    config = dataclasses.replace(resolve("micro"), relation=None)
    assert SoraConfig.from_json(config.to_json()).relation is None


def test_micro_is_the_papers_case():
    micro = resolve("micro")
    assert micro.extractor.channels == (32, 64)
    assert micro.extractor.features == 64
    assert micro.relation == RelationConfig("uniform", "full", units=64, blocks=1, residual=False)
    assert micro.pooling == "mean"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"extractor": {"memory": 0.6}}, "memory must be from 0.0 to 0.5, got 0.6"),
        ({"extractor": {"block": "resnet"}}, "block must be one of conv, separable"),
        ({"extractor": {"channels": [8], "depths": [1, 2]}}, "name the same stages"),
        ({"relation": {"blocks": 0}}, "blocks must be at least 1"),
        ({"size": [0, 10]}, "size must be"),
        ({"pooling": "max"}, "pooling must be one of mean, attention"),
        ({"colour": 1}, "does not know"),
        ({"extractor": {"depth": 1}}, "does not know"),
    ],
)
def test_bad_values_are_named(values, words):
    with pytest.raises(ValueError, match=words):
        SoraConfig.from_dict(values)


def test_a_frame_must_survive_the_pools():
    # Two stages of a 3×3 convolution and a pool of 2: 10 → 8 → 4 → 2 → 1, and 9 leaves nothing.
    extractor = ExtractorConfig("conv", (4, 4), (1, 1))
    SoraConfig(size=(10, 10), extractor=extractor)
    with pytest.raises(ValueError, match="at least 10 pixels"):
        SoraConfig(size=(9, 10), extractor=extractor)


def test_unknown_preset_lists_the_known():
    with pytest.raises(ValueError, match="preset must be one of micro, small, lite, got 'huge'"):
        resolve("huge")
