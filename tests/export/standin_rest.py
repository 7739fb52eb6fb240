"""The REST API of the stand-in server: JSON in the shapes of the real one."""

import base64
import contextlib
import json
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

import grpc
import numpy as np
import tensorflow as tf
from google.protobuf.json_format import MessageToDict
from standin import Refusal, StandIn, invalid
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    predict_pb2,
)

# http_rest_api_util.cc
ASK = re.compile(
    r"/v1/models/([^/:]+)(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?:(classify|regress|predict)",
    re.IGNORECASE,
)
LOOK = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/(\d+))|(?:/labels/([^/:]+)))?(?:/(metadata))?",
    re.IGNORECASE,
)
# http_server.cc
HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}


class RestServer(ThreadingHTTPServer):
    """Listens on a port; 0 takes a free one."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, server: StandIn, port: int):
        super().__init__(("127.0.0.1", port), Handler)
        self.standin = server
        self.connections: set[socket.socket] = set()

    def process_request(self, request, client_address):
        """Keeps the connection in mind."""
        self.connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        """Forgets the connection."""
        self.connections.discard(request)
        super().shutdown_request(request)

    def server_close(self):
        """Ends with all its connections, as a process does."""
        super().server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        """Status and metadata."""
        found = LOOK.fullmatch(self.path)
        if not found:
            return self._send(400, {"error": f"Malformed request: GET {self.path}"})
        self._answer(lambda: self._look(*found.groups()))

    def do_POST(self):
        """Predict and Classify."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        found = ASK.fullmatch(self.path)
        if not found:
            return self._send(400, {"error": f"Malformed request: POST {self.path}"})
        name, version, label, verb = found.groups()
        spec = model_spec(name, version, label)
        self._answer(lambda: VERBS[verb](self.server.standin, spec, parsed(body)))

    def log_message(self, *_):
        """Keeps quiet."""

    def _look(self, name, version, label, what):
        server = self.server.standin
        if not name:
            raise invalid("Missing model name in request.")
        spec = model_spec(name, version, label)
        if what:
            request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec)
            answer = server.metadata(request)
            found = get_model_metadata_pb2.SignatureDefMap()
            answer.metadata["signature_def"].Unpack(found)
            return {
                "model_spec": as_json(answer.model_spec),
                "metadata": {"signature_def": as_json(found)},
            }
        return as_json(server.status(get_model_status_pb2.GetModelStatusRequest(model_spec=spec)))

    def _answer(self, answer):
        try:
            self._send(200, answer())
        except Refusal as refusal:
            self._send(HTTP.get(refusal.code, 500), {"error": str(refusal)})

    def _send(self, code, value):
        text = json.dumps(value, indent=1).encode()
        try:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except (BrokenPipeError, ConnectionResetError):  # who asked has given up
            self.close_connection = True


def model_spec(name: str, version: str | None, label: str | None) -> Any:
    """A ModelSpec from the parts of a path."""
    spec = model_pb2.ModelSpec(name=unquote(name), version_label=unquote(label or ""))
    if version:
        spec.version.value = int(version)
    return spec


def parsed(body: bytes) -> dict[str, Any]:
    """The JSON object of a request."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(found, dict):
        raise invalid(f"JSON Value: {found!r:.80} Is not object")
    return found


def predict(server: StandIn, spec: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The Predict API: row format ("instances") or columnar ("inputs")."""
    spec.signature_name = body.get("signature_name", "")
    takes = server.servable(spec).signatures.get(spec.signature_name or "serving_default")
    if takes is None:
        raise invalid(f'Serving signature name: "{spec.signature_name}" not found in signature def')
    if ("instances" in body) == ("inputs" in body):
        raise invalid("Missing 'inputs' or 'instances' key, or both are there")
    rows = "instances" in body
    given = columns(body["instances"], takes.inputs) if rows else body["inputs"]
    if not isinstance(given, dict) or is_bytes(given):
        if len(takes.inputs) > 1:
            raise invalid(
                "inputs is a plain value/list, but expecting an object as multiple input tensors "
                "required as per tensorinfo_map"
            )
        given = {next(iter(takes.inputs)): given}
    request = predict_pb2.PredictRequest(model_spec=spec)
    for name, info in takes.inputs.items():
        if name not in given:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
        value = tensor(given[name], tf.as_dtype(info.dtype))
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value, info.dtype, value.shape))
    found = server.predict(request, "rest").outputs
    outputs = {name: plain(name, tf.make_ndarray(proto)) for name, proto in found.items()}
    if not rows:
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    listed = zip(*outputs.values(), strict=True)
    return {"predictions": [dict(zip(outputs, values, strict=True)) for values in listed]}


def classify(server: StandIn, spec: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The Classify API."""
    spec.signature_name = body.get("signature_name", "")
    request = classification_pb2.ClassificationRequest(model_spec=spec)
    for example in body.get("examples") or []:
        features = request.input.example_list.examples.add().features.feature
        for name, values in example.items():
            for value in values if isinstance(values, list) else [values]:
                features[name].bytes_list.value.append(leaf(value, tf.string))
    result = server.classify(request, "rest").result
    return {
        "results": [
            [[one.label, decimal(one.score)] for one in row.classes]
            for row in result.classifications
        ]
    }


def regress(server: StandIn, spec: Any, body: dict[str, Any]) -> dict[str, Any]:
    """The Regress API, which no signature of ours has."""
    raise invalid("Expected regression signature method_name")


VERBS = {"predict": predict, "classify": classify, "regress": regress}


def columns(instances: Any, takes: Any) -> Any:
    """The columnar form of a row format."""
    if not isinstance(instances, list) or not instances:
        raise invalid("Excepting 'instances' to be an list/array with values")
    if not isinstance(instances[0], dict) or is_bytes(instances[0]):
        return instances
    for number, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != set(takes):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. keys must be equal to: "
                f"{','.join(sorted(takes))}"
            )
    return {name: [row[name] for row in instances] for name in takes}


def tensor(value: Any, kind: tf.DType) -> np.ndarray:
    """Nested lists as an array of the signature's type."""
    shape = []
    level = value
    while isinstance(level, list):
        shape.append(len(level))
        level = level[0] if level else None
    leaves: list[Any] = []
    fill(value, shape, kind, leaves)
    array = np.empty(len(leaves), object if kind == tf.string else kind.as_numpy_dtype)
    array[:] = leaves
    return array.reshape(shape)


def fill(value: Any, shape: list[int], kind: tf.DType, leaves: list[Any]) -> None:
    """Collects the values of nested lists that all have the same shape."""
    if not shape:
        leaves.append(leaf(value, kind))
        return
    if not isinstance(value, list) or len(value) != shape[0]:
        got = len(value) if isinstance(value, list) else value
        raise invalid(f"Encountered list at unexpected size: {got!r:.40} expected size: {shape[0]}")
    for item in value:
        fill(item, shape[1:], kind, leaves)


def leaf(value: Any, kind: tf.DType) -> Any:
    """One value of a type."""
    if kind == tf.string and is_bytes(value):
        return base64.b64decode(value["b64"])
    if kind == tf.string and isinstance(value, str):
        return value.encode()
    whole = isinstance(value, int) and not isinstance(value, bool)
    if (kind.is_integer and whole) or (kind.is_floating and (whole or isinstance(value, float))):
        return value
    raise invalid(
        f"JSON Value: {json.dumps(value)[:40]} Type: {type(value).__name__} is not of expected "
        f"type: {kind.name}"
    )


def is_bytes(value: Any) -> bool:
    """Whether a value is {"b64": …}."""
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def plain(name: str, value: np.ndarray) -> Any:
    """An output as JSON has it."""
    if value.dtype.kind == "f":
        return nested(value, decimal)
    if value.dtype == object and name.endswith("_bytes"):
        return nested(value, lambda text: {"b64": base64.b64encode(text).decode()})
    return nested(value, bytes.decode) if value.dtype == object else value.tolist()


def nested(value: np.ndarray, change: Any) -> Any:
    """Nested lists of changed values."""
    if value.ndim == 0:
        return change(value.item())
    return [nested(item, change) for item in value] if value.ndim > 1 else list(map(change, value))


def decimal(value: float) -> float:
    """A float with as many digits as tell it from its neighbours, which is what is sent."""
    return float(f"{float(value):.9g}")


def as_json(message: Any) -> Any:
    """A message with its own names, and with the fields that are empty."""
    return MessageToDict(
        message, preserving_proto_field_name=True, including_default_value_fields=True
    )
