"""The detector: its halves are the whole, it remembers, and it streams."""

from dataclasses import replace

import numpy as np
import pytest

from sora_tf._keras import keras
from sora_tf.config import DetectorConfig, ExtractorConfig
from sora_tf.models.detector import (
    BOXES,
    boxes_of,
    build_detector,
    head_of_detector,
    scale_maps,
    with_boxes,
)
from sora_tf.models.streaming import Stream, streaming

CONFIG = DetectorConfig(
    frames=4,
    size=(64, 96),
    extractor=ExtractorConfig(channels=(8, 8, 16, 24), depths=(1, 1, 1, 1), memory=0.25),
    stride=4,
    channels=16,
    blocks=1,
    most=5,
    dropout=0.0,
)
SINGLE = replace(CONFIG, memory=0.0, extractor=replace(CONFIG.extractor, memory=0.0))


def woken(config, classes=2):
    """A detector whose norms and last layers are not as they began, which is nearly silent."""
    keras.utils.set_random_seed(0)
    model = build_detector(config, classes)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name in ("there", "named", "shapes", "told"):
            kernel, bias = layer.get_weights()
            layer.set_weights([rng.normal(size=kernel.shape, scale=0.3), bias])
    return model


@pytest.fixture(scope="module")
def model():
    return woken(CONFIG)


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(1).integers(0, 256, (2, 4, 64, 96, 3)).astype(np.float32)


def test_shapes(model, clip):
    assert model.predict(clip, verbose=0).shape == (2, 4, 16, 24, 7)
    assert with_boxes(model, CONFIG).predict(clip, verbose=0).shape == (2, 4, 5, 6)


def test_maps_go_from_fine_to_coarse(model, clip):
    maps = scale_maps(model)(clip)
    shapes = [tuple(maps[f"map{number}"].shape[2:]) for number in range(len(maps))]
    assert shapes == [(16, 24, 8), (8, 12, 24), (1, 1, 192)]


def test_two_halves_are_the_whole(model, clip):
    maps = scale_maps(model)(clip)
    head = head_of_detector(model)
    mask = np.ones((2, 4), bool)
    found = head({**maps, "mask": mask}).numpy()
    np.testing.assert_allclose(found, model(clip).numpy(), atol=1e-5)
    # The head has none of the CNN.
    assert not [layer for layer in head.layers if layer.name.startswith(("stem", "stage"))]


def test_a_frame_depends_on_the_frames_before_and_on_none_after(model, clip):
    before = model(clip).numpy()
    other = clip.copy()
    other[:, 1] = 255 - other[:, 1]
    after = model(other).numpy()
    changed = np.abs(after - before).max(axis=(0, 2, 3, 4))
    assert changed[0] == 0
    assert (changed[1:3] > 1e-3).all()


def test_without_memory_frames_are_single(clip):
    model = woken(SINGLE)
    other = clip.copy()
    other[:, 0] = 0
    found, changed = model(clip).numpy(), model(other).numpy()
    np.testing.assert_allclose(found[:, 1:], changed[:, 1:], atol=1e-6)
    assert np.abs(found[:, 0] - changed[:, 0]).max() > 1e-3


def test_a_stream_gives_what_the_clip_gives(model, clip):
    whole = with_boxes(model, CONFIG)(clip).numpy()
    stream = Stream(streaming(with_boxes(model, CONFIG)), batch=2)
    frames = [stream.feed(clip[:, t : t + 1])[BOXES] for t in range(4)]
    np.testing.assert_allclose(np.concatenate(frames, axis=1), whole, atol=1e-3)


def test_it_saves_and_loads(model, clip, tmp_path):
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(again(clip).numpy(), model(clip).numpy(), atol=1e-6)


def test_boxes_that_say_something():
    answer = np.array([[1, 2, 3, 4, 0.9, 1], [5, 6, 7, 8, 0.5, 0], [0, 0, 1, 1, 0.0, 0]])
    boxes = boxes_of(answer, 7)
    assert boxes.frames.tolist() == [7, 7]
    assert boxes.labels.tolist() == [1, 0]
    assert boxes.boxes[0].tolist() == [1, 2, 3, 4]


def test_what_cannot_be_built_is_said():
    with pytest.raises(ValueError, match="num_classes must be at least 1 class"):
        build_detector(CONFIG, 0)
    with pytest.raises(ValueError, match="stride must be one of 4, 8 for separable, got 16"):
        build_detector(replace(CONFIG, stride=16), 1)
    with pytest.raises(ValueError, match="size must be a height and a width in multiples of 32"):
        replace(CONFIG, size=(60, 96))
    with pytest.raises(ValueError, match="block must be separable, lite0"):
        replace(CONFIG, extractor=ExtractorConfig(block="MobileNetV2", memory=0.0))
    with pytest.raises(ValueError, match="block must be one of lite0, lite1, lite2"):
        build_detector(CONFIG, 1, "imagenet")


def test_a_config_comes_back_from_json():
    import json
    from dataclasses import asdict

    values = json.loads(json.dumps(asdict(CONFIG)))
    assert DetectorConfig.from_dict(values) == CONFIG
    with pytest.raises(ValueError, match="a name or type this version does not know"):
        DetectorConfig.from_dict({**values, "depth": 3})
