"""One TFLite file: three signatures, the same interface in every flavour, readable as a ZIP."""

import json
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from sora_tf.export import flatbuffer
from sora_tf.export.signature import Deployable
from sora_tf.export.tflite import FLAVOURS, write_tflite
from sora_tf.video import read

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def clips(digits, deployable):
    paths = sorted((digits).rglob("*.mp4"))[:6]
    frames = [read(str(path), size=(28, 28)).frames[:8] for path in paths]
    return [(clip, np.ones(8, bool)) for clip in frames]


def path_of(exported, flavour):
    return exported[0] / f"{flavour}.tflite"


def runner(path, signature):
    return tf.lite.Interpreter(str(path)).get_signature_runner(signature)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_every_flavour_has_the_same_interface(exported, deployable, flavour):
    path = path_of(exported, flavour)
    interpreter = tf.lite.Interpreter(str(path))
    found = interpreter.get_signature_list()
    vectors = {"global_vector", "frame_vectors"}
    states = set(deployable.states)
    assert set(found["clip"]["inputs"]) == {"frames", "mask"}
    assert set(found["clip"]["outputs"]) == {"scores", *vectors}
    assert set(found["embed"]["outputs"]) == vectors
    assert set(found["step"]["inputs"]) == {"frames", *states}
    recent = {"recent_scores", "recent_vector"}
    assert set(found["step"]["outputs"]) == {"scores", *vectors, *recent, *states}
    for signature in ("clip", "step"):
        run = interpreter.get_signature_runner(signature)
        kinds = {n: d["dtype"] for n, d in run.get_input_details().items()}
        assert kinds.pop("frames") == np.uint8
        kinds.pop("mask", None)
        assert set(kinds.values()) <= {np.float32}
        assert {d["dtype"] for d in run.get_output_details().values()} == {np.float32}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_only_builtin_operations_and_flat_convolutions(exported, flavour):
    model = flatbuffer.read(path_of(exported, flavour).read_bytes())
    used = {name for ops in flatbuffer.operations(model).values() for name in ops}
    assert not any(name.startswith("CUSTOM") or "Flex" in name for name in used)
    assert flatbuffer.largest_convolution_rank(model) == 4


def test_embed_is_the_graph_of_clip(exported):
    model = flatbuffer.read(path_of(exported, "float32").read_bytes())
    graphs = {s.signatureKey: s.subgraphIndex for s in model.signatureDefs}
    assert graphs[b"embed"] == graphs[b"clip"] != graphs[b"step"]


def test_weights_are_written_once(exported, deployable):
    # Both graphs hold every kernel; the file is little larger than one set of them.
    parameters = sum(int(np.prod(w.shape)) for w in deployable.model.weights)
    model = flatbuffer.read(path_of(exported, "float32").read_bytes())
    constants = sum(len(b.data) for b in model.buffers if b.data is not None)
    assert constants < 1.3 * 4 * parameters


def test_the_file_is_a_zip_with_labels_and_how_to_feed_it(exported, deployable):
    with zipfile.ZipFile(path_of(exported, "int8")) as archive:
        assert archive.read("labels.txt").decode().split() == list(deployable.labels)
        facts = json.loads(archive.read("sora_tf.json"))
    assert (facts["frames"], facts["size"], facts["fit"]) == (8, [28, 28], "stretch")
    assert facts["frame_rate"] == pytest.approx(8 / deployable.clip_seconds, abs=1e-3)
    assert facts["signatures"]["embed"]["outputs"] == ["frame_vectors", "global_vector"]
    assert facts["flavour"] == "int8"


def test_a_masked_clip_is_the_bare_one(exported, deployable):
    run = runner(path_of(exported, "float32"), "clip")
    x = RNG.integers(0, 256, (1, 8, 28, 28, 3)).astype("uint8")
    mask = (np.arange(8) < 5)[None]
    wanted = deployable.clip({"frames": x.astype("float32"), "mask": mask})
    found = run(frames=x, mask=mask)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=1e-5)
    other = np.where(mask[..., None, None, None], x, 255 - x)
    np.testing.assert_allclose(found["scores"], run(frames=other, mask=mask)["scores"], atol=1e-6)


@pytest.mark.parametrize(("flavour", "bound"), [("float32", 1e-5), ("float16", 1e-2)])
def test_step_is_the_clip_frame_by_frame(exported, deployable, flavour, bound):
    run = runner(path_of(exported, flavour), "step")
    x = RNG.integers(0, 256, (1, 8, 28, 28, 3)).astype("uint8")
    states = {n: np.zeros((1, *s.shape[1:]), np.float32) for n, s in deployable.states.items()}
    wanted = deployable.clip({"frames": x.astype("float32"), "mask": np.ones((1, 8), bool)})
    for t in range(8):
        found = run(frames=x[:, t : t + 1], **states)
        states = {name: found[name] for name in states}
        vector = wanted["frame_vectors"][:, t : t + 1]
        np.testing.assert_allclose(found["frame_vectors"], vector, atol=10 * bound)
    np.testing.assert_allclose(found["scores"], wanted["scores"], atol=bound)
    np.testing.assert_allclose(found["recent_scores"], wanted["scores"], atol=bound)


@pytest.mark.parametrize("flavour", ["float32", "int8"])
def test_ten_thousand_frames_later_a_window_gets_the_same_answer(exported, deployable, flavour):
    run = runner(path_of(exported, flavour), "step")
    window = RNG.integers(0, 256, (1, 30, 28, 28, 3)).astype("uint8")
    noise = RNG.integers(0, 256, (1, 64, 28, 28, 3)).astype("uint8")
    states = {n: np.zeros((1, *s.shape[1:]), np.float32) for n, s in deployable.states.items()}
    answers = []

    def feed(frames):
        nonlocal states
        for t in range(frames.shape[1]):
            found = run(frames=frames[:, t : t + 1], **states)
            states = {name: found[name] for name in states}
        return found

    answers.append(feed(window))
    for _ in range(10_000 // 64):
        feed(noise)
    answers.append(feed(window))
    for name in ("recent_scores", "recent_vector"):
        np.testing.assert_allclose(answers[1][name], answers[0][name], atol=1e-5)
    assert all(np.isfinite(value).all() for value in answers[1].values())
    # The mean of all is still counted in floating point, in an int8 model too.
    assert states["state_pooling_count"] == 10_000 // 64 * 64 + 60


def test_int8_keeps_weights_as_bytes(exported, deployable):
    model = flatbuffer.read(path_of(exported, "int8").read_bytes())
    graph = model.subgraphs[0]
    convolutions = [op for op in graph.operators
                    if flatbuffer.BUILTINS[model.operatorCodes[op.opcodeIndex].builtinCode]
                    in ("CONV_2D", "DEPTHWISE_CONV_2D")]  # fmt: skip
    assert convolutions
    for op in convolutions:
        x, kernel = graph.tensors[op.inputs[0]], graph.tensors[op.inputs[1]]
        assert (x.type, kernel.type) == (9, 9)  # INT8
        assert len(kernel.quantization.scale) > 1  # per channel


def test_slimming_changes_no_answer(deployable, tmp_path, clips, monkeypatch):
    write_tflite(deployable, "int8", tmp_path / "slim.tflite", clips)
    monkeypatch.setattr(flatbuffer, "slim", lambda model: None)
    monkeypatch.setattr(flatbuffer._SharingBuilder, "CreateString",
                        flatbuffer.flatbuffers.Builder.CreateString)  # fmt: skip
    write_tflite(deployable, "int8", tmp_path / "whole.tflite", clips)
    slim, whole = tmp_path / "slim.tflite", tmp_path / "whole.tflite"
    assert slim.stat().st_size < 0.9 * whole.stat().st_size
    frames, mask = clips[0]
    given = {"frames": frames[None], "mask": mask[None]}
    one, two = runner(slim, "clip")(**given), runner(whole, "clip")(**given)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_the_same_model_is_the_same_file(deployable, tmp_path):
    for name in ("one", "two"):
        write_tflite(deployable, "float32", tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_model_that_sees_the_future_has_no_step(run, tmp_path):
    write_tflite(Deployable.of(run), "float32", tmp_path / "clip.tflite")
    signatures = tf.lite.Interpreter(str(tmp_path / "clip.tflite")).get_signature_list()
    assert set(signatures) == {"clip", "embed"}
