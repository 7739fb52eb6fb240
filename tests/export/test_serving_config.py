import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

pytest_plugins = ["served"]

FOLDER = Path(__file__).parents[2] / "export" / "serving"
# tensorflow-serving-api brings ModelServerConfig alone. These are the fields of the official
# session_bundle_config.proto and monitoring_config.proto: (name, number, type).
INT = ".google.protobuf.Int64Value"
MESSAGES = {
    "BatchingParameters": [
        ("max_batch_size", 1, INT),
        ("batch_timeout_micros", 2, INT),
        ("max_enqueued_batches", 3, INT),
        ("num_batch_threads", 4, INT),
        ("thread_pool_name", 5, ".google.protobuf.StringValue"),
        ("allowed_batch_sizes", 6, [Field.TYPE_INT64]),
        ("pad_variable_length_inputs", 7, Field.TYPE_BOOL),
    ],
    "PrometheusConfig": [("enable", 1, Field.TYPE_BOOL), ("path", 2, Field.TYPE_STRING)],
    "MonitoringConfig": [("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig")],
}


def message(name: str):
    """An official message that no package brings."""
    from google.protobuf import wrappers_pb2

    file = descriptor_pb2.FileDescriptorProto(
        name="config.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for kind, fields in MESSAGES.items():
        described = file.message_type.add(name=kind)
        for field, number, type_ in fields:
            label = Field.LABEL_REPEATED if isinstance(type_, list) else Field.LABEL_OPTIONAL
            added = described.field.add(name=field, number=number, label=label)
            if isinstance(type_, str):
                added.type, added.type_name = Field.TYPE_MESSAGE, type_
            else:
                added.type = type_[0] if isinstance(type_, list) else type_
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"tensorflow.serving.{name}")
    )()


def text_of(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def model():
    """The one ModelConfig of models.config."""
    from tensorflow_serving.config import model_server_config_pb2

    server = model_server_config_pb2.ModelServerConfig()
    (found,) = text_format.Parse(text_of("models.config"), server).model_config_list.config
    return found


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(text_of("docker-compose.yml"))


@pytest.fixture(scope="module")
def flags(compose):
    """{flag: value} of the server's command line."""
    return dict(flag[2:].split("=", 1) for flag in compose["services"]["serving"]["command"])


def test_models(model):
    assert (model.name, model.base_path, model.model_platform) == (
        "sora",
        "/models/sora",
        "tensorflow",
    )
    assert list(model.model_version_policy.specific.versions) == [1, 2]
    assert dict(model.version_labels) == {"stable": 1, "canary": 2}


def test_labels_answer(model, base):
    from standin import StandIn

    from sora_tf.export.client import Client

    with StandIn(base, name=model.name, labels=dict(model.version_labels)) as server:
        for label, version in model.version_labels.items():
            with Client(server.rest, label=label) as client:
                assert client.metadata().version == version


def test_batching():
    found = text_format.Parse(text_of("batching.config"), message("BatchingParameters"))
    sizes = list(found.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == found.max_batch_size.value  # else the server does not start
    assert not found.pad_variable_length_inputs
    assert found.num_batch_threads.value >= 1


def test_the_client_sends_no_more_than_a_batch():
    import inspect

    from sora_tf.export.client import Client

    found = text_format.Parse(text_of("batching.config"), message("BatchingParameters"))
    batch = inspect.signature(Client).parameters["batch"].default
    assert batch <= found.max_batch_size.value


def test_monitoring():
    found = text_format.Parse(text_of("monitoring.config"), message("MonitoringConfig"))
    assert found.prometheus_config.enable
    (job,) = yaml.safe_load(text_of("prometheus.yml"))["scrape_configs"]
    assert job["metrics_path"] == found.prometheus_config.path
    assert job["static_configs"] == [{"targets": ["serving:8501"]}]


@pytest.mark.parametrize(
    ("name", "kind"),
    [("batching.config", "BatchingParameters"), ("monitoring.config", "MonitoringConfig")],
)
def test_the_parser_would_notice(name, kind):
    with pytest.raises(text_format.ParseError):
        text_format.Parse(text_of(name) + "\nmax_batch: 3", message(kind))


def test_compose(compose, flags):
    service = compose["services"]["serving"]
    assert re.fullmatch(r"tensorflow/serving:2\.17\.\d+", service["image"])
    assert flags["allow_version_labels_for_unavailable_models"] == "true"
    assert int(flags["grpc_max_threads"]) >= 64
    published = {place.rsplit(":", 1)[1] for place in service["ports"]}
    assert published == {flags["port"], flags["rest_api_port"]}
    targets = {place.rsplit(":", 2)[-2] for place in service["volumes"]}
    assert targets == {"/models", "/config"}
    for flag in ("model_config_file", "monitoring_config_file"):
        folder, name = flags[flag].rsplit("/", 1)
        assert folder in targets
        assert (FOLDER / name).is_file()
    assert compose["services"]["prometheus"]["profiles"] == ["monitoring"]  # only where asked for


def test_batching_can_be_turned_on(flags):
    """The lines left out of the compose file are flags of the server, with a file that is there."""
    left_out = re.findall(r"# - --(\w+)=(\S+)", text_of("docker-compose.yml"))
    assert [name for name, _ in left_out] == ["enable_batching", "batching_parameters_file"]
    assert (FOLDER / Path(left_out[1][1]).name).is_file()


@pytest.mark.parametrize(("name", "healthy"), [("sora", True), ("other", False)])
def test_healthcheck(compose, server, name, healthy):
    program, *arguments = compose["services"]["serving"]["healthcheck"]["test"][1:]
    script = arguments[-1].replace("/8501", f"/{server.rest_port}").replace("/sora", f"/{name}")
    done = subprocess.run([program, *arguments[:-1], script], timeout=10)
    assert (done.returncode == 0) == healthy


def test_healthcheck_without_a_server(compose):
    program, *arguments = compose["services"]["serving"]["healthcheck"]["test"][1:]
    script = arguments[-1].replace("/8501", "/1")
    assert subprocess.run([program, *arguments[:-1], script], capture_output=True).returncode


def test_the_readme_claims_no_more_than_is_tested():
    text = " ".join(text_of("README.md").split())
    assert (
        "TensorFlow Serving compatible, checked through the C API and the official protos" in text
    )
    assert "tested on TensorFlow Serving" not in text


def test_the_readmes_curl(server, tmp_path):
    from tiny import clip_of, scores_of, vectors_of

    from sora_tf.export.encoding import encode

    clip = clip_of(0, 3)
    for number, frame in enumerate(clip):
        (tmp_path / f"frame-{number}.jpg").write_bytes(encode(frame))
    (block,) = [
        text for text in re.findall(r"```sh\n(.*?)```", text_of("README.md"), re.S) if "b64" in text
    ]
    script = block.replace("localhost:8501", f"127.0.0.1:{server.rest_port}")
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, check=True)
    (answer,) = json.loads(done.stdout)["predictions"]
    assert set(answer) == {"scores", "labels", "global_vector"}
    truth = scores_of(vectors_of(clip).mean(0))
    found = dict(zip(answer["labels"], answer["scores"], strict=True))
    assert found == pytest.approx(truth, abs=0.02)


def test_the_readmes_python(server, tmp_path, monkeypatch):
    import numpy as np

    from sora_tf.video import write

    monkeypatch.chdir(tmp_path)
    for name, colour in (("a", (200, 0, 0)), ("b", (0, 0, 200))):
        write(f"{name}.mp4", np.full((8, 32, 32, 3), colour, np.uint8), 8.0)
    block, _ = re.findall(r"```python\n(.*?)```", text_of("README.md"), re.S)
    printed: list[str] = []
    exec(
        block.replace("localhost:8501", f"127.0.0.1:{server.rest_port}"),
        {"print": lambda label, *_: printed.append(label)},
    )
    assert printed == ["red", "blue", *["red"] * 8, ("red", "green", "blue")]
