"""TensorFlow.js graph models: what is in them, and what is refused."""

import gzip
import io
import json
import tarfile
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sora_tf.models import tfjs_file
from sora_tf.models.tfjs_file import read_graph, runnable

# y = x · scale + shift, where x comes out of a loop that is not needed.
SCALE, SHIFT = np.array([2, 3], np.float32), np.array([10, 20], np.float32)
X = {"x": tf.TensorSpec((None, 2), tf.float32)}


def constant(name, shape, kind=1):
    said = {"dtype": kind, "tensorShape": {"dim": [{"size": str(side)} for side in shape]}}
    return {
        "name": name,
        "op": "Const",
        "attr": {"dtype": {"type": kind}, "value": {"tensor": said}},
    }


def node(name, op, *inputs):
    return {"name": name, "op": op, "input": list(inputs), "attr": {"T": {"type": 1}}}


def model(shape=(2,), kind="float32", **more):
    nodes = [
        {"name": "loop", "op": "LoopCond", "input": []},
        {"name": "x", "op": "Exit", "input": ["loop"], "attr": {"T": {"type": 1}}},
        constant("scale", (2,)),
        constant("shift", (2,)),
        node("product", "Mul", "x", "scale"),
        node("y", "Add", "product", "shift"),
    ]
    weights = [
        {"name": "scale", "shape": list(shape), "dtype": kind, **more},
        {"name": "shift", "shape": [2], "dtype": "float32"},
    ]
    return {
        "modelTopology": {"node": nodes},
        "weightsManifest": [{"paths": ["one", "two"], "weights": weights}],
    }


def shards(*arrays):
    data = b"".join(array.tobytes() for array in arrays or (SCALE, SHIFT))
    return {"one": data[:5], "two": data[5:]}  # a shard ends anywhere


def folder(tmp_path, described, files):
    for name, data in {"model.json": json.dumps(described).encode(), **files}.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def package(tmp_path, described, files, inside=("package/models/m/",)):
    with tarfile.open(tmp_path / "model.tgz", "w:gz") as archive:
        for place in inside:
            for name, data in {"model.json": json.dumps(described).encode(), **files}.items():
                member = tarfile.TarInfo(place + name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    return tmp_path / "model.tgz"


@pytest.fixture(params=[folder, package])
def write(request, tmp_path):
    return lambda described, files: request.param(tmp_path, described, files)


def refused(path, words):
    """Checks that a file is refused in one line that names it, without taking much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as caught:
            read_graph(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} must be a TensorFlow.js graph model, but: ")
    assert peak < 2e6


def test_a_part_of_it_runs(write):
    run = runnable(read_graph(write(model(), shards())), X, ["y"])
    # 1 · 2 + 10, 2 · 3 + 20; 0 · 2 + 10, 1 · 3 + 20
    (y,) = run(tf.constant([[1.0, 2], [0, 1]]))
    assert y.numpy().tolist() == [[12, 26], [10, 23]]


def test_weights_kept_coarsely_are_made_whole(write):
    # 0 and 4 steps of a half from 2: 2 and 4.
    described = model(quantization={"dtype": "uint8", "scale": 0.5, "min": 2.0})
    graph = read_graph(write(described, shards(np.array([0, 4], np.uint8), SHIFT)))
    (y,) = runnable(graph, X, ["product"])(tf.constant([[1.0, 1]]))
    assert y.numpy().tolist() == [[2, 4]]


def test_halves_are_made_whole(write):
    described = model(quantization={"dtype": "float16"})
    graph = read_graph(write(described, shards(SCALE.astype(np.float16), SHIFT)))
    (y,) = runnable(graph, X, ["product"])(tf.constant([[1.0, 1]]))
    assert y.numpy().tolist() == [[2, 3]]


def test_text_as_a_list_of_its_bytes(write):
    described = model()
    described["modelTopology"]["node"][0]["attr"] = {
        "a": {"s": [78, 72]},
        "b": {"list": {"s": [[67]]}},
        "c": {"s": "TkhX"},
    }
    attr = read_graph(write(described, shards())).node[0].attr
    assert (attr["a"].s, list(attr["b"].list.s), attr["c"].s) == (b"NH", [b"C"], b"NHW")


def test_a_truncated_shard(write):
    files = shards()
    refused(
        write(model(), {**files, "two": files["two"][:-1]}), "hold 15 bytes and its list says 16"
    )


def test_a_shard_that_is_not_there_is_named(tmp_path):
    refused(package(tmp_path, model(), {"one": b""}), "two is not in it")
    with pytest.raises(FileNotFoundError, match="two"):
        read_graph(folder(tmp_path, model(), {"one": b""}))


def test_a_wrong_shape(write):
    path = write(model(shape=(1, 2)), shards())
    refused(path, r"scale is float32 \[2\] in the graph and float32 \[1, 2\] in the list")


def test_a_wrong_kind(write):
    path = write(model(kind="int32"), shards())
    refused(path, r"scale is float32 \[2\] in the graph and int32 \[2\]")


def test_a_huge_shape_makes_nothing(write):
    path = write(model(shape=(2**40, 2**40)), shards())
    refused(path, "hold 16 bytes and its list says 48357032784585")


@pytest.mark.parametrize("shape", [[-2], [2.0], ["2"], [True, 2]])
def test_a_shape_that_is_none(write, shape):
    refused(write(model(shape=shape), shards()), "scale has the shape")


@pytest.mark.parametrize("change", [{"kind": "string"}, {"quantization": {"dtype": "float8"}}])
def test_an_unknown_kind(write, change):
    refused(write(model(**change), shards()), "scale is of the unknown kind")


def test_a_shard_elsewhere(write):
    described = model()
    described["weightsManifest"][0]["paths"] = ["../one", "two"]
    refused(write(described, shards()), "names a file elsewhere, '../one'")


def test_a_constant_without_weights(write):
    described = model()
    described["modelTopology"]["node"].append(constant("more", ()))
    refused(write(described, shards()), "more has no weights")


def test_functions_of_its_own(write):
    described = model()
    described["modelTopology"]["library"] = {"function": [{"signature": {"name": "f"}}]}
    refused(write(described, shards()), "it has functions of its own")


@pytest.mark.parametrize("described", [[], {}, {"weightsManifest": []}, {"modelTopology": {}}, 3])
def test_json_of_something_else(write, described):
    refused(write(described, shards()), "but: ")


def test_two_models_in_one_package_or_none(tmp_path):
    refused(package(tmp_path, model(), shards(), ("a/", "b/")), "it holds 2 model.json")
    refused(package(tmp_path, model(), shards(), ()), "it holds 0 model.json")


def test_what_is_no_package(tmp_path):
    path = tmp_path / "file.tgz"
    path.write_bytes(b"not one")
    refused(path, "it is no .tgz")
    path.write_bytes(gzip.compress(b"not a tar"))
    refused(path, "but: ")
    whole = package(tmp_path, model(), shards()).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "but: ")


def test_a_package_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(tfjs_file, "LIMIT", 1000)
    path = tmp_path / "file.tgz"
    path.write_bytes(gzip.compress(bytes(10**8)))
    refused(path, "it unpacks to more than 1000 bytes")
    refused(folder(tmp_path, model(), {"one": b"", "two": bytes(1001)}), "larger than 1000 bytes")


def test_a_part_that_is_more_than_arithmetic(write):
    graph = read_graph(write(model(), shards()))
    with pytest.raises(ValueError, match="must be of plain arithmetic, got Exit, LoopCond"):
        runnable(graph, {}, ["y"])
    with pytest.raises(ValueError, match="must have the node 'z', got 6 others"):
        runnable(graph, X, ["z"])


def test_a_part_that_does_not_fit(write):
    described = model()
    described["modelTopology"]["node"][4]["attr"]["T"]["type"] = 3  # int32 times float32
    graph = read_graph(write(described, shards()))
    with pytest.raises(ValueError, match="runnable: the graph must fit together, but: ") as caught:
        runnable(graph, X, ["y"])
    assert "\n" not in str(caught.value)


fuzz = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@fuzz
@given(data=st.data(), kind=st.sampled_from(["model.json", "model.tgz"]))
def test_files_damaged_at_random_are_read_or_refused(tmp_path, data, kind):
    whole = folder(tmp_path, model(), shards())
    path = package(tmp_path, model(), shards()) if kind == "model.tgz" else whole
    damaged = tmp_path / kind
    content = bytearray(damaged.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(bytes(content))
    try:
        (y,) = runnable(read_graph(path), X, ["y"])(tf.constant([[1.0, 2]]))
    except (ValueError, FileNotFoundError, tf.errors.OpError):
        return
    assert y.dtype == tf.float32
