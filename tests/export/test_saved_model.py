"""A SavedModel is proved as a server would use it: C API, stock operations, warmup from disk."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from sora_tf.export import c_api, saved_model, serving_check
from sora_tf.export.errors import ExportError
from sora_tf.export.saved_model import WARMUP, check_saved_model, example_request
from sora_tf.export.serving_check import Request, run_clean
from sora_tf.export.signature import endpoints

SIGNATURES = {"serving_default", "embed", "jpeg", "classify", "step", "facts"}


@pytest.fixture(scope="module")
def served(exported):
    out, _ = exported
    return out / "serving" / "sora" / "1"


def request(deployable, name, batch):
    one = example_request(deployable, name)
    return Request(name, {key: np.repeat(value, batch, axis=0) for key, value in one.items()})


@pytest.mark.parametrize("batch", [1, 3])
def test_every_signature_runs_through_the_c_api_and_says_what_keras_says(served, deployable, batch):
    requests = [request(deployable, name, batch) for name in sorted(SIGNATURES)]
    for asked, answer in zip(requests, run_clean(served, requests), strict=True):
        endpoint = endpoints(deployable)[asked.signature]
        given = {key: tf.constant(value.tolist() if value.dtype == object else value)
                 for key, value in asked.inputs.items()}  # fmt: skip
        if asked.signature == "step":
            wanted = endpoint.function(given)
        else:
            (wanted,) = [endpoint.function(value) for value in given.values()]
        assert set(answer) == set(wanted)
        for key, value in wanted.items():
            assert len(answer[key]) == batch
            if value.dtype == tf.string:
                assert answer[key].tolist() == value.numpy().tolist()
            else:
                np.testing.assert_allclose(answer[key], value, atol=1e-5)


def test_the_clean_process_knows_nothing_of_us(served):
    ours = {"tensorflow", "tf_keras", "keras", "sora_tf"}
    code = (
        f"import runpy, sys; runpy.run_path({c_api.__file__!r}); print({ours} & {{*sys.modules}})"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_assets_say_how_to_feed_it(served, deployable):
    labels = (served / "assets" / "labels.txt").read_text().split()
    assert labels == list(deployable.labels)
    assert '"frame_rate"' in (served / "assets" / "config.json").read_text()
    assert "Apache" in (served / "assets" / "LICENSE").read_text()


def test_a_second_export_is_the_next_version(causal_run, exported):
    from sora_tf.export.publish import export_run

    out, _ = exported
    result = export_run(causal_run, ["saved_model"], out)
    assert list(result["artefacts"]) == ["serving/sora/2"]
    assert (out / "serving" / "sora" / "1" / "saved_model.pb").is_file()


def tiny(folder, function, signature):
    module = tf.Module()
    module.serve = tf.function(function, input_signature=signature)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def test_python_and_foreign_operations_are_refused(tmp_path):
    spec = [tf.TensorSpec((None, 2), tf.float32, "x")]
    tiny(tmp_path / "good", lambda x: {"y": x + 1.0}, spec)
    assert "AddV2" in serving_check.operations(tmp_path / "good")
    tiny(tmp_path / "py", lambda x: {"y": tf.numpy_function(np.sin, [x], tf.float32)}, spec)
    with pytest.raises(ExportError, match="PyFunc"):
        serving_check.operations(tmp_path / "py")
    # The operation of another library: the bytes of the graph renamed, length by length.
    proto = tmp_path / "good" / "saved_model.pb"
    proto.write_bytes(proto.read_bytes().replace(b"AddV2", b"IO>Go"))
    with pytest.raises(ExportError, match="IO>Go, which a stock TensorFlow Serving does not have"):
        serving_check.operations(tmp_path / "good")


def test_a_planted_operation_stops_the_export(causal_run, tmp_path, monkeypatch):
    from sora_tf.export import publish, signature

    plain = signature.endpoints

    def planted(what):
        found = plain(what)

        def embed(frames):
            answer = found["embed"].function(frames)
            vector = tf.numpy_function(np.asarray, [answer["global_vector"]], tf.float32)
            return {**answer, "global_vector": vector}

        return {**found, "embed": signature.Endpoint(embed, found["embed"].signature)}

    monkeypatch.setattr(saved_model, "endpoints", planted)
    result = publish.export_run(causal_run, ["saved_model"], tmp_path / "out")
    assert not result["artefacts"]
    assert "PyFunc" in result["failed"]["serving/sora/1"]
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_a_wrong_warmup_request_stops_the_export(causal_run, tmp_path, monkeypatch):
    from sora_tf.export import publish

    plain = saved_model.example_request

    def wrong(what, name):
        found = plain(what, name)
        return {"frames": found["frames"].astype("float32")} if name == "embed" else found

    monkeypatch.setattr(saved_model, "example_request", wrong)
    result = publish.export_run(causal_run, ["saved_model"], tmp_path / "out")
    assert not result["artefacts"]
    assert "the request to 'embed' must give frames as uint8" in result["failed"]["serving/sora/1"]
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == []


def test_every_signature_must_be_warmed_up(served, tmp_path):
    records = list(tf.data.TFRecordDataset(str(served / WARMUP)).as_numpy_iterator())
    with tf.io.TFRecordWriter(str(tmp_path / "few")) as writer:
        for record in records[1:]:
            writer.write(record)
    with pytest.raises(ExportError, match="have no warmup request"):
        serving_check.replay_warmup(served, tmp_path / "few")
    assert serving_check.replay_warmup(served, served / WARMUP) == len(SIGNATURES)


def test_what_does_not_fit_a_signature_is_refused_in_one_line(served, deployable):
    size = deployable.config.size
    frames = np.zeros((1, 4, *size, 3), np.uint8)
    with pytest.raises(ExportError, match="there is no signature 'predict', only"):
        run_clean(served, [Request("predict", {"frames": frames})])
    with pytest.raises(ExportError, match="must have the inputs frames, got clip"):
        run_clean(served, [Request("embed", {"clip": frames})])
    with pytest.raises(ExportError, match="C API cannot run"):
        run_clean(served, [Request("jpeg", {"frames": np.array([[b"no picture"]], object)})])


def test_checks_of_a_good_model(served):
    found = check_saved_model(served)
    assert found["warmup"] == len(SIGNATURES)
    assert found["operations"]["Conv2D"] > 0
