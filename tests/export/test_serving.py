"""Real exports, on the stand-in server and, where there is one, on TensorFlow Serving itself."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from standin import StandIn, free_port
from tiny import clip_of

from sora_tf.config import micro
from sora_tf.export.client import Client
from sora_tf.export.remote import predict_files
from sora_tf.export.saved_model import write_saved_model
from sora_tf.export.signature import Deployable
from sora_tf.models import build_sora, embedder
from sora_tf.tasks import Reading, classify_files

pytest_plugins = ["served"]


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A real export of an untrained causal model, and the model."""
    config = micro()
    extractor = replace(config.extractor, channels=(8, 16), features=32)
    relation = replace(config.relation, alpha="attention", edges="causal", window=4, units=32)
    config = replace(config, extractor=extractor, relation=replace(relation, residual=True))
    model = build_sora(config, 3)
    folder = tmp_path_factory.mktemp("export") / "sora"
    what = Deployable(model, config, ("left", "right", "up"), "stretch", 1.0)
    write_saved_model(what, folder / "1")
    return folder, model, config


def answers_of(model, clip):
    """Scores (C,) and vectors of a clip by Keras, without a server."""
    mask = np.ones((1, len(clip)), bool)
    batch = {"frames": clip[None].astype(np.float32), "mask": mask}
    vectors = embedder(model)(batch)
    return model(batch)[0], vectors["global_vector"][0], vectors["frame_vectors"][0]


def check_export(server, model, config):
    """Every call of a client on a server of a real export, against Keras."""
    clips = [clip_of(seed, config.frames, config.size) for seed in range(3)]
    truth = [answers_of(model, clip) for clip in clips]
    with Client(server, pictures="png") as client:
        told = client.facts()
        assert (told.frames, told.size) == (config.frames, config.size)
        assert told.labels == ("left", "right", "up")
        for found, named, (scores, vector, _) in zip(
            client.predict(clips), client.classify(clips), truth, strict=True
        ):
            assert list(found.scores) == ["left", "right", "up"]
            np.testing.assert_allclose(list(found.scores.values()), scores, atol=1e-5)
            np.testing.assert_allclose(list(named.scores.values()), scores, atol=1e-5)
            np.testing.assert_allclose(found.global_vector, vector, atol=1e-5)
        for found, (_, vector, frames) in zip(client.embed(clips), truth, strict=True):
            np.testing.assert_allclose(found.global_vector, vector, atol=1e-5)
            np.testing.assert_allclose(found.frame_vectors, frames, atol=1e-5)
        last = list(client.stream(clips[0]))[-1]
        scores, vector, _ = truth[0]
        np.testing.assert_allclose(list(last.scores.values()), scores, atol=1e-5)
        np.testing.assert_allclose(last.global_vector, vector, atol=1e-5)


def test_a_real_export(export, api):
    folder, model, config = export
    with StandIn(folder) as server:
        check_export(getattr(server, api), model, config)


def test_the_terminal_here_and_there(run, digits, tmp_path):
    """A server names files as `sora-tf classify` does; the model is one that does not stream."""
    config = run.read_config()
    write_saved_model(Deployable.of(run), tmp_path / "1")
    paths = [str(path) for path in sorted(digits.glob("*/*.mp4"))[::24]] + ["nothing.mp4"]
    reading = Reading(config.model.frames, config.model.size, seconds=0.5)
    here = list(classify_files(run.load_model(), config.labels, paths, reading))
    with StandIn(tmp_path) as server:
        there = list(predict_files(server.grpc, paths, seconds=reading.seconds))
    assert [set(answer) for answer in there] == [set(answer) for answer in here]
    for one, other in zip(there[:-1], here[:-1], strict=True):
        assert (one["path"], one["label"], one["damage"]) == (
            other["path"],
            other["label"],
            other["damage"],
        )
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-5)
        for window, same in zip(one["windows"], other["windows"], strict=True):
            assert (window["start"], window["end"]) == (same["start"], same["end"])
            assert window["scores"] == pytest.approx(same["scores"], abs=1e-5)
    assert there[-1] == here[-1]


def real_server(folder: Path, ports: tuple[int, int]) -> list[str]:
    """The command that starts TensorFlow Serving; the test is skipped where there is none."""
    flags = ["--grpc_max_threads=64"]
    binary = os.environ.get("TFSERVING_BIN")
    if binary:
        names = ["--model_name=sora", f"--model_base_path={folder}"]
        return [binary, f"--port={ports[0]}", f"--rest_api_port={ports[1]}", *names, *flags]
    if (
        not shutil.which("docker")
        or subprocess.run(["docker", "info"], capture_output=True).returncode
    ):
        pytest.skip("no TensorFlow Serving: TFSERVING_BIN is not set and docker does not run")
    compose = Path(__file__).parents[2] / "export/serving/docker-compose.yml"
    image = yaml.safe_load(compose.read_text())["services"]["serving"]["image"]
    published = [f"-p127.0.0.1:{ports[0]}:8500", f"-p127.0.0.1:{ports[1]}:8501"]
    mounts = [f"-v{folder}:/models/sora:ro", "-eMODEL_NAME=sora"]
    return ["docker", "run", "--rm", "--init", *published, *mounts, image, *flags]


def test_tensorflow_serving_itself(export):
    folder, model, config = export
    ports = free_port(), free_port()
    process = subprocess.Popen(real_server(folder, ports), stderr=subprocess.DEVNULL)
    try:
        rest = f"http://127.0.0.1:{ports[1]}"
        with Client(rest, timeout=120, retries=100) as client:
            assert client.status()[0].state == "AVAILABLE"
        check_export(rest, model, config)
        check_export(f"grpc://127.0.0.1:{ports[0]}", model, config)
    finally:
        process.terminate()
        process.wait()
