import functools
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig, micro, small
from sora_tf.data import make_digits
from sora_tf.models import VideoModel, embedder, streaming
from sora_tf.models.baselines import BASELINES
from sora_tf.models.baselines.c3d import AnyOfEvery
from sora_tf.models.baselines.real_frame import RealFrame
from sora_tf.models.baselines.slowfast import TakeEvery
from sora_tf.models.baselines.transformer import LearnedPositions
from sora_tf.models.baselines.volume import ZeroMasked
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR

check_layer = runpy.run_path(str(Path(__file__).parents[1] / "layers" / "contract.py"))[
    "check_layer"
]

NAMES = sorted(BASELINES)
WITHOUT_FRAME_VECTORS = {"c3d", "slowfast"}
BLIND_TO_ORDER = {"frame_mean", "single_frame"}
TINY = SoraConfig(
    frames=9,
    size=(32, 24),
    extractor=ExtractorConfig(channels=(8, 8, 12), depths=(1, 1, 1), features=16),
    relation=RelationConfig(units=16, window=3, blocks=2),
)
DIGITS = replace(
    micro(), frames=5, extractor=replace(micro().extractor, channels=(8, 16), features=32)
)


@functools.cache
def tiny(name):
    """A baseline with weights of a fixed seed and batch norms that are not the identity."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    model = BASELINES[name](TINY, 3)
    norms = [n for n in model.layers if isinstance(n, keras.layers.BatchNormalization)]
    for norm in norms:
        norm.beta.assign(rng.normal(size=norm.beta.shape) * 0.3)
        norm.momentum = 0.0
    logits = model.get_layer("logits")  # all classes are alike at first
    logits.kernel.assign(rng.normal(size=logits.kernel.shape) * 0.5)
    model(clips(8), training=True)  # the norms take this batch's statistics
    return model


def clips(count=2, frames=TINY.frames):
    """Clips whose frames differ in brightness, so that their order shows."""
    rng = np.random.default_rng(1)
    light = rng.permuted(np.tile(np.linspace(0.2, 1, frames), (count, 1)), axis=1)
    pixels = rng.integers(0, 256, (count, frames, *TINY.size, 3))
    return (pixels * light[..., None, None, None]).astype("uint8")


def vectors(model, clip):
    """The vectors a baseline has, by name."""
    named = dict(zip(model.input_names, model.inputs, strict=True))
    there = {layer.name for layer in model.layers} & {FRAME_VECTORS, GLOBAL_VECTOR}
    return VideoModel(named, {name: model.get_layer(name).output for name in there})(clip)


@pytest.mark.parametrize("config", [micro(), small()], ids=["micro", "small"])
@pytest.mark.parametrize("name", NAMES)
def test_scores_sum_to_one(name, config):
    model = BASELINES[name](config, 2)
    assert isinstance(model, VideoModel)
    clip = np.random.default_rng(0).integers(0, 256, (1, config.frames, *config.size, 3), "uint8")
    scores = model(clip)
    assert scores.shape == (1, 2)
    assert scores.dtype == "float32"
    np.testing.assert_allclose(np.sum(scores, axis=1), 1, atol=1e-6)
    if name in {"c3d", "slowfast"}:
        assert 0.5e6 < model.count_params() < 2e6


@pytest.mark.parametrize("name", NAMES)
def test_vectors_are_named_as_in_sora(name):
    model, clip = tiny(name), clips()
    if name in WITHOUT_FRAME_VECTORS:
        found = vectors(model, clip)
        assert set(found) == {GLOBAL_VECTOR}
    else:
        found = embedder(model)(clip)
        frames = 1 if name == "single_frame" else TINY.frames
        assert found[FRAME_VECTORS].shape == (2, frames, found[GLOBAL_VECTOR].shape[-1])
    # The scores are a linear function of the global vector, and a softmax.
    kernel, bias = model.get_layer("logits").get_weights()
    by_hand = tf.nn.softmax(found[GLOBAL_VECTOR] @ kernel + bias)
    np.testing.assert_allclose(model(clip), by_hand, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_padded_is_bare(name):
    model, clip = tiny(name), clips()
    for real in (7, 4, 1):
        mask = np.arange(TINY.frames) < np.full((2, 1), real)
        padded, bare = vectors(model, [clip, mask]), vectors(model, clip[:, :real])
        np.testing.assert_allclose(padded[GLOBAL_VECTOR], bare[GLOBAL_VECTOR], atol=1e-5)
        np.testing.assert_allclose(model([clip, mask]), model(clip[:, :real]), atol=1e-5)
        if FRAME_VECTORS in bare:
            frames = padded[FRAME_VECTORS][:, :real]
            np.testing.assert_allclose(frames, bare[FRAME_VECTORS], atol=1e-5)
        # The mask is used: the whole clip is another.
        assert np.abs(model(clip) - model([clip, mask])).max() > 1e-4


@pytest.mark.parametrize("name", ["c3d", "slowfast"])
def test_padded_is_bare_where_several_frames_are_left_to_pool(name):
    # c3d halves time four times: 40 frames end as 3, and 17 as 2.
    model, clip = tiny(name), clips(1, 40)
    mask = np.arange(40)[None] < 17
    padded, bare = vectors(model, [clip, mask]), vectors(model, clip[:, :17])
    np.testing.assert_allclose(padded[GLOBAL_VECTOR], bare[GLOBAL_VECTOR], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_padded_frames_do_not_matter_wherever_they_are(name):
    model, clip = tiny(name), clips()
    mask = np.ones((2, TINY.frames), bool)
    mask[0, [0, 3, 4]] = mask[1, [5, 8]] = False
    other = np.where(mask[..., None, None, None], clip, 255 - clip)
    np.testing.assert_allclose(model([other, mask]), model([clip, mask]), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_order_is_seen_by_those_that_see_it(name):
    model, clip = tiny(name), clips()
    change = np.abs(model(clip[:, ::-1]) - model(clip)).max()
    if name in BLIND_TO_ORDER:
        assert change < 1e-6
    else:
        assert change > 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_open_width_and_standardised_vectors(name):
    # 4 x 12 channels of the extractor's head; on top of them 256 units as in small().
    config = replace(TINY, standardise=True, extractor=replace(TINY.extractor, features=0))
    model = BASELINES[name](config, 2)
    width = model.get_layer(GLOBAL_VECTOR).output.shape[-1]
    own = {"frame_mean": 48, "shift": 48, "single_frame": 48, "relation": 16, "slowfast": 576}
    assert width == {**own, "cnn_bilstm_attention": 512}.get(name, 256)
    assert "standardise" in {layer.name for layer in model.layers}
    assert "standardise" not in {layer.name for layer in tiny(name).layers}


def test_single_frame_sees_the_middle_alone():
    model, clip = tiny("single_frame"), clips()
    others = 255 - clip
    others[:, 4] = clip[:, 4]
    np.testing.assert_array_equal(model(others), model(clip))
    others[:, 4] = 255 - clip[:, 4]
    assert np.abs(model(others) - model(clip)).max() > 1e-4


def test_fast_pathway_sees_what_the_slow_one_skips():
    model, clip = tiny("slowfast"), clips()
    named = dict(zip(model.input_names, model.inputs, strict=True))
    slow = VideoModel(named, model.get_layer("slow_pictures").output)
    np.testing.assert_allclose(slow(clip), clip[:, [0, 4, 8]] / 127.5 - 1, atol=1e-6)
    changed = clip.copy()
    changed[:, 2] = 255 - clip[:, 2]
    assert np.abs(model(changed) - model(clip)).max() > 1e-4


@pytest.mark.parametrize("name", sorted({*NAMES} - {"frame_mean", "relation", "shift"}))
def test_what_cannot_run_in_steps_says_so(name):
    with pytest.raises(ValueError, match="may mix frames"):
        streaming(tiny(name))


@pytest.mark.parametrize("name", NAMES)
def test_saved_is_loaded(name, tmp_path):
    model, clip = tiny(name), clips()
    mask = np.arange(TINY.frames) < np.array([[9], [6]])
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert isinstance(again, VideoModel)
    np.testing.assert_array_equal(again(clip), model(clip))
    np.testing.assert_array_equal(again([clip, mask]), model([clip, mask]))


def test_motion_is_learned_in_order_and_not_from_the_mean():
    # Of four labels, each has the same frames in another order, so a mean is right 1 time in 4.
    clip, label, _ = make_digits(400, DIGITS.frames)
    test_clip, test_label, _ = make_digits(200, DIGITS.frames, seed=1)
    accuracy = {}
    for name in ("cnn_lstm", "frame_mean"):
        keras.utils.set_random_seed(0)
        model = BASELINES[name](DIGITS, 4)
        model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
        model.fit(clip, label, epochs=9, batch_size=32, verbose=0)
        guess = np.argmax(model.predict(test_clip, verbose=0), axis=1)
        accuracy[name] = np.mean(guess == test_label)
    assert accuracy["cnn_lstm"] > 0.75
    assert accuracy["frame_mean"] < 0.35


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: BASELINES["c3d"](TINY, 1), "build_c3d: num_classes must be at least 2"),
        (lambda: BASELINES["shift"](TINY, 1), "num_classes must be at least 2"),
        (
            lambda: BASELINES["relation"](replace(TINY, relation=None), 2),
            "relation must be a RelationConfig, got None",
        ),
        (
            lambda: BASELINES["shift"](
                replace(TINY, extractor=replace(TINY.extractor, memory=0.0)), 2
            ),
            "must see the frame before",
        ),
        (lambda: RealFrame(0), "place must be above 0, got 0"),
        (lambda: RealFrame(1.5), "place must be from 0 to 1, got 1.5"),
        (lambda: TakeEvery(0), "step must be at least 1 frame, got 0"),
        (lambda: AnyOfEvery(0), "step must be at least 1 frame, got 0"),
        (lambda: LearnedPositions()(keras.Input((None, 4))), "T must be known"),
    ],
)
def test_bad_arguments_are_named(build, words):
    with pytest.raises(ValueError, match=words):
        build()


MASK = np.array([[True, False, True, True, False], [False] * 5, [True] * 5])
FRAMES = np.arange(1.0, 31.0, dtype=np.float32).reshape(3, 5, 2)


@pytest.mark.parametrize(
    "layer", [ZeroMasked(), RealFrame(0.5), RealFrame(1.0)], ids=["zero", "middle", "last"]
)
def test_contract_of_layers_with_a_mask(layer):
    check_layer(layer, [FRAMES, MASK])


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [(TakeEvery(2), FRAMES), (TakeEvery(4), MASK), (AnyOfEvery(2), MASK)],
    ids=["frames", "mask", "any"],
)
def test_contract_of_layers_without(layer, inputs):
    check_layer(layer, inputs)


def test_contract_of_positions():
    check_layer(LearnedPositions(), FRAMES)


def test_real_frame_counts_real_frames():
    # Real are frames 0, 2, 3 of clip 0: the middle one is 2, the last 3. Clip 1 has none. The
    # middle of five is the third.
    middle, last = RealFrame(0.5)([FRAMES, MASK]), RealFrame(1.0)([FRAMES, MASK])
    np.testing.assert_array_equal(middle[:, 0], [[5, 6], [0, 0], [25, 26]])
    np.testing.assert_array_equal(last[:, 0], [[7, 8], [0, 0], [29, 30]])
    # Of two the earlier is the middle, and one is its own.
    few = np.array([[False, True, False, True, False], [False] * 4 + [True], [True] + [False] * 4])
    middle = RealFrame(0.5)([FRAMES, few])
    np.testing.assert_array_equal(middle[:, 0], [[3, 4], [19, 20], [21, 22]])


def test_masks_over_time_by_hand():
    mask = [[False, True, False, False, True], [False, False, True, False, False]]
    pooled = AnyOfEvery(2)(np.array(mask))
    np.testing.assert_array_equal(pooled, [[True, False, True], [False, True, False]])
    taken = TakeEvery(4)(np.array(mask))
    np.testing.assert_array_equal(taken, [[False, True], [False, False]])


def test_positions_are_added_by_number():
    layer = LearnedPositions()
    layer(FRAMES)
    table = np.arange(10.0).reshape(5, 2)
    layer.set_weights([table])
    np.testing.assert_array_equal(layer(FRAMES), FRAMES + table)
    np.testing.assert_array_equal(layer(FRAMES[:, :3]), FRAMES[:, :3] + table[:3])
