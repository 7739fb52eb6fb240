"""Proof that a server without our code can run a SavedModel.

Every operation is one of stock TensorFlow's, and every request runs in a clean process through
the C API (`c_api.py`), which is what a server loads models with.
"""

import base64
import functools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import op_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from sora_tf.export import c_api
from sora_tf.export.errors import ExportError

# They call back into the Python process that made them.
PYTHON_OPERATIONS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
TIMEOUT = 600  # s for all requests of a check
METHODS = ("predict_log", "classify_log")


@dataclass(frozen=True)
class Request:
    """What a signature is asked: {input name: array}."""

    signature: str
    inputs: dict[str, np.ndarray]


def operations(folder: Path) -> dict[str, int]:
    """How often each operation is used, in the graph and in all its functions.

    Raises:
        ExportError: one that stock TensorFlow does not have, or that needs Python.
    """
    graph = _meta_graph(folder).graph_def
    nodes = [
        *graph.node,
        *(node for function in graph.library.function for node in function.node_def),
    ]
    used = Counter(node.op for node in nodes)
    functions = {function.signature.name for function in graph.library.function}
    for name in sorted(set(used) - functions):
        if name in PYTHON_OPERATIONS or name not in _stock_operations():
            raise ExportError(
                f"the SavedModel uses the operation {name}, which a stock TensorFlow Serving does "
                "not have. Leave the layer that brings it out of the model."
            )
    return dict(sorted(used.items()))


def replay_warmup(folder: Path, records: Path) -> int:
    """Runs every warmup request from disk; returns how many there are.

    Raises:
        ExportError: a request that does not parse, fit or run, or a signature without one.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    requests = []
    for record in tf.data.TFRecordDataset(str(records)).as_numpy_iterator():
        log = prediction_log_pb2.PredictionLog()
        log.ParseFromString(record)
        kind = log.WhichOneof("log_type")
        if kind not in METHODS:
            raise ExportError(f"a warmup request of kind {kind} is of no use. Give {METHODS}.")
        sent = getattr(log, kind).request
        if kind == "predict_log":
            inputs = {name: tf.make_ndarray(value) for name, value in sent.inputs.items()}
        else:
            examples = sent.input.example_list.examples
            inputs = {"inputs": np.array([e.SerializeToString() for e in examples], object)}
        requests.append(Request(sent.model_spec.signature_name, inputs))
    missing = set(_signatures(folder)) - {request.signature for request in requests}
    if missing:
        raise ExportError(
            f"the signatures {', '.join(sorted(missing))} have no warmup request. Write one each."
        )
    run_clean(folder, requests)
    return len(requests)


def run_clean(folder: Path, requests: Sequence[Request]) -> list[dict[str, np.ndarray]]:
    """Runs requests through the C API in a clean process.

    Args:
        folder: the SavedModel.
        requests: what to ask.

    Returns:
        {output name: array} for each.

    Raises:
        ExportError: a request does not fit its signature, or does not run.
    """
    signatures = _signatures(folder)
    plan = []
    for request in requests:
        if request.signature not in signatures:
            raise ExportError(
                f"there is no signature {request.signature!r}, only {', '.join(signatures)}."
            )
        signature = signatures[request.signature]
        _check_fits(request, signature)
        inputs = {signature.inputs[k].name: _packed(v) for k, v in request.inputs.items()}
        outputs = {name: info.name for name, info in signature.outputs.items()}
        plan.append({"inputs": inputs, "outputs": outputs})
    printed = _clean_process([str(folder)], json.dumps(plan).encode())
    return [{n: _unpacked(v) for n, v in answer.items()} for answer in json.loads(printed)]


def _check_fits(request: Request, signature: Any) -> None:
    """What a server checks before it runs a request."""
    where = f"the request to {request.signature!r}"
    if set(request.inputs) != set(signature.inputs):
        raise ExportError(
            f"{where} must have the inputs {', '.join(sorted(signature.inputs))}, got "
            f"{', '.join(sorted(request.inputs))}."
        )
    for name, value in request.inputs.items():
        info = signature.inputs[name]
        kind = tf.as_dtype(info.dtype)
        shape = tf.TensorShape(info.tensor_shape)
        if kind != tf.as_dtype(np.asarray(value).dtype) or not shape.is_compatible_with(
            value.shape
        ):
            raise ExportError(
                f"{where} must give {name} as {kind.name} of shape {shape}, got "
                f"{value.dtype} of shape {value.shape}."
            )


def _packed(value: np.ndarray) -> dict[str, Any]:
    kind = "string" if value.dtype == object else value.dtype.name
    if kind == "string":
        data: Any = [base64.b64encode(text).decode() for text in value.ravel()]
    else:
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
    return {"dtype": kind, "shape": list(value.shape), "data": data}


def _unpacked(value: dict[str, Any]) -> np.ndarray:
    if value["dtype"] == "string":
        texts = [base64.b64decode(text) for text in value["data"]]
        return np.array(texts, object).reshape(value["shape"])
    raw = base64.b64decode(value["data"])
    return np.frombuffer(raw, value["dtype"]).reshape(value["shape"])


def _signatures(folder: Path) -> dict[str, Any]:
    found = _meta_graph(folder).signature_def
    return {name: found[name] for name in found if not name.startswith("__")}


def _meta_graph(folder: Path) -> Any:
    return _parsed((folder / "saved_model.pb").read_bytes())


@functools.lru_cache(maxsize=1)
def _parsed(content: bytes) -> Any:
    """All checks of an export read the same file; by its content, which a path may change."""
    return saved_model_pb2.SavedModel.FromString(content).meta_graphs[0]


@functools.cache
def _stock_operations() -> frozenset[str]:
    """The operations of TensorFlow alone, without those that this process has added to it."""
    listed = op_def_pb2.OpList.FromString(_clean_process([], b""))
    return frozenset(operation.name for operation in listed.op)


def _clean_process(arguments: Sequence[str], text: bytes) -> bytes:
    """What `c_api.py` prints, started alone."""
    library = Path(tf.sysconfig.get_lib()) / "libtensorflow_cc.so.2"
    done = subprocess.run(
        [sys.executable, "-I", c_api.__file__, str(library), *arguments],
        input=text,
        capture_output=True,
        timeout=TIMEOUT,
        env={"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise ExportError(
            "TensorFlow's C API cannot run the SavedModel: "
            + (lines[-1] if lines else f"exit code {done.returncode}")
        )
    return done.stdout
