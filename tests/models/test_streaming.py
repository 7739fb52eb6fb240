from dataclasses import replace

import numpy as np
import pytest

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig, resolve
from sora_tf.models import Stream, build_sora, build_temporal_relation_model, embedder, streaming
from sora_tf.train.fit import precision
from sora_tf.train.settings import TrainConfig

RNG = np.random.default_rng(0)
TINY = SoraConfig(
    frames=9,
    size=(32, 24),
    extractor=ExtractorConfig(channels=(8, 8, 12), depths=(1, 2, 1), features=16),
    relation=RelationConfig(units=16, window=3, blocks=2),
)


def run_both(config, chunk):
    model = build_sora(config, 3)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(RNG.uniform(0.5, 2, layer.moving_variance.shape))
    x = RNG.integers(0, 256, (2, config.frames, *config.size, 3)).astype("uint8")
    stream = Stream(streaming(model, chunk=None), batch=2)
    answers = [stream.feed(x[:, i : i + chunk]) for i in range(0, config.frames, chunk)]
    frames = np.concatenate([answer["frame_vectors"] for answer in answers], axis=1)
    whole = embedder(model)(x)
    np.testing.assert_allclose(frames, whole["frame_vectors"], atol=1e-5)
    np.testing.assert_allclose(answers[-1]["global_vector"], whole["global_vector"], atol=1e-5)
    np.testing.assert_allclose(answers[-1]["scores"], model(x), atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 4, 7])
@pytest.mark.parametrize("pooling", ["mean", "attention"])
def test_clip_is_stream(pooling, chunk):
    run_both(replace(TINY, pooling=pooling), chunk)


@pytest.mark.parametrize("chunk", [1, 2, 4, 7])
@pytest.mark.parametrize("alpha", ["uniform", "gcn", "learned", "similarity"])
def test_clip_is_stream_for_every_alpha(alpha, chunk):
    run_both(replace(TINY, relation=replace(TINY.relation, alpha=alpha)), chunk)


@pytest.mark.parametrize("chunk", [1, 7])
def test_small_is_its_stream(chunk):
    run_both(resolve("small"), chunk)


def test_clip_is_stream_for_plain_convolutions():
    extractor = ExtractorConfig("conv", (4, 6), (1, 1), memory=0.5, features=8)
    run_both(replace(TINY, extractor=extractor, relation=None), 4)


def test_clip_is_stream_with_peaks_and_changes():
    run_both(replace(TINY, extractor=replace(TINY.extractor, peak=True, change=True)), 4)


@pytest.mark.parametrize("extractor", ["separable", "conv"])
def test_frame_by_frame_of_known_length_is_the_clip(extractor):
    config = TINY
    if extractor == "conv":
        plain = ExtractorConfig("conv", (4, 6), (1, 1), memory=0.5, features=8)
        config = replace(TINY, extractor=plain)
    model = build_sora(config, 3)
    x = RNG.integers(0, 256, (2, config.frames, *config.size, 3)).astype("uint8")
    stream = Stream(streaming(model, chunk=1), batch=2)
    answers = [stream.feed(x[:, i : i + 1]) for i in range(config.frames)]
    frames = np.concatenate([answer["frame_vectors"] for answer in answers], axis=1)
    np.testing.assert_allclose(frames, embedder(model)(x)["frame_vectors"], atol=1e-5)
    np.testing.assert_allclose(answers[-1]["scores"], model(x), atol=1e-5)
    np.testing.assert_allclose(answers[-1]["recent_scores"], model(x), atol=1e-5)


def test_recent_answers_forget_what_is_long_past():
    # Memory reaches a frame per convolution with memory (stem, 2 of 3 stages' blocks: 4 in all)
    # and the relation 2·3 frames back: 9 + 10 frames decide, whatever came before.
    model = build_sora(TINY, 3)
    step = streaming(model)
    end = RNG.integers(0, 256, (1, TINY.frames + 10, *TINY.size, 3)).astype("uint8")
    answers = []
    for seed in range(2):
        before = np.random.default_rng(seed).integers(0, 256, (1, 20, *TINY.size, 3))
        stream = Stream(step)
        for frames in (before, end):
            for t in range(frames.shape[1]):
                answer = stream.feed(frames[:, t : t + 1])
        answers.append(answer)
    one, two = answers
    np.testing.assert_allclose(one["recent_vector"], two["recent_vector"], atol=1e-6)
    np.testing.assert_allclose(one["recent_scores"], two["recent_scores"], atol=1e-6)
    assert np.abs(one["global_vector"] - two["global_vector"]).max() > 1e-4


def test_only_mean_pooling_of_known_length_has_recent_answers():
    assert "recent_scores" in streaming(build_sora(TINY, 3)).output
    assert "recent_vector" in streaming(build_sora(TINY)).output
    assert "recent_scores" not in streaming(build_sora(TINY)).output
    attention = streaming(build_sora(replace(TINY, pooling="attention"), 3))
    assert not any("recent" in name for name in attention.output)


def test_step_model_is_saved_and_loaded(tmp_path):
    step = streaming(build_sora(TINY, 3))
    step.save(tmp_path / "step.keras")
    again = keras.models.load_model(tmp_path / "step.keras", safe_mode=True)
    x = RNG.integers(0, 256, (2, 1, 32, 24, 3)).astype("uint8")
    one, two = Stream(step, 2), Stream(again, 2)
    for _ in range(3):
        np.testing.assert_allclose(one.feed(x)["scores"], two.feed(x)["scores"], atol=1e-6)


def test_clip_is_stream_in_half_precision(tmp_path):
    with precision(TrainConfig(mixed_precision=True)):
        model = build_sora(TINY, 3)
    streaming(model).save(tmp_path / "step.keras")
    step = keras.models.load_model(tmp_path / "step.keras", safe_mode=True)
    assert step.get_layer("step_relation0").compute_dtype == "float16"
    x = RNG.integers(0, 256, (2, TINY.frames, *TINY.size, 3)).astype("uint8")
    stream = Stream(step, 2)
    answers = [stream.feed(x[:, t : t + 1]) for t in range(TINY.frames)]
    frames = np.concatenate([answer["frame_vectors"] for answer in answers], axis=1)
    np.testing.assert_allclose(frames, embedder(model)(x)["frame_vectors"], atol=2e-3)
    np.testing.assert_allclose(answers[-1]["scores"], model(x), atol=1e-3)


def test_states_are_bounded_and_named():
    step = streaming(build_sora(TINY, 3))
    states = {name for name in step.input_names if name != "frames"}
    assert states == {name for name in step.output if name.startswith("state_")}
    assert "state_stem_memory_previous" in states
    assert all(dim is not None for tensor in step.inputs for dim in tensor.shape[1:])


@pytest.mark.parametrize("edges", ["full", "window", "dilated", "segments"])
def test_a_model_that_sees_the_future_is_refused(edges):
    model = build_sora(replace(TINY, relation=replace(TINY.relation, edges=edges)), 3)
    with pytest.raises(ValueError, match="causal"):
        streaming(model)


def test_a_layer_that_mixes_frames_is_refused():
    relation = replace(TINY.relation, recurrent=True)
    with pytest.raises(ValueError, match="'relation_lstm' \\(LSTM\\) may mix frames"):
        streaming(build_sora(replace(TINY, relation=relation), 3))


def test_relation_model_alone_streams():
    model = build_temporal_relation_model((None, 8), 8, replace(TINY.relation, units=8))
    x = RNG.normal(size=(1, 6, 8)).astype("float32")
    stream = Stream(streaming(model, 2))
    parts = [stream.feed(x[:, i : i + 2]) for i in range(0, 6, 2)]
    (name,) = parts[0]
    np.testing.assert_allclose(
        np.concatenate([p[name] for p in parts], axis=1), model(x), atol=1e-5
    )
