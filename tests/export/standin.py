"""A stand-in for TensorFlow Serving: its gRPC services and its REST API over plain TensorFlow.

It answers with the official protos and, as far as the requests of these tests go, with the real
server's words, codes and JSON (tensorflow/serving, http_rest_api_handler.cc, json_tensor.cc,
predict_util.cc, classifier.cc). It is no server to deploy, and no proof that the real one works.
"""

import socket
import threading
import time
from concurrent import futures
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"
AVAILABLE = get_model_status_pb2.ModelVersionStatus.AVAILABLE


class Refusal(Exception):
    """A request that is not answered: a code of gRPC, and words."""

    def __init__(self, code: grpc.StatusCode, text: str):
        super().__init__(text)
        self.code = code


@dataclass(frozen=True)
class Servable:
    """A loaded version."""

    version: int
    loaded: Any
    signatures: dict[str, Any]  # SignatureDefs

    @classmethod
    def load(cls, folder: Path) -> "Servable":
        """Loads a version folder and replays its warmup requests."""
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        found = dict(saved.meta_graphs[0].signature_def)
        found.pop("__saved_model_init_op", None)
        servable = cls(int(folder.name), tf.saved_model.load(str(folder)), found)
        servable.warm_up(folder / WARMUP)
        return servable

    def warm_up(self, records: Path) -> None:
        """Replays the requests of a file, as the real server does before it is AVAILABLE."""
        if not records.exists():
            return
        try:
            for record in tf.data.TFRecordDataset(str(records)):
                log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
                if log.WhichOneof("log_type") == "predict_log":
                    self.predict(log.predict_log.request)
                elif log.WhichOneof("log_type") == "classify_log":
                    self.classify(log.classify_log.request)
                else:
                    raise Refusal(
                        grpc.StatusCode.UNIMPLEMENTED,
                        f"Unsupported log_type for warmup: {log.WhichOneof('log_type')}",
                    )
        except tf.errors.DataLossError as error:
            raise RuntimeError(
                f"{error.message}. Please verify your warmup data is in TFRecord format."
            ) from error
        except Refusal as error:
            raise RuntimeError(f"warmup of {records}: {error.code.name}: {error}") from error

    def predict(self, request: Any) -> dict[str, np.ndarray]:
        """The outputs of a PredictRequest."""
        arrays = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        outputs = self.run(request.model_spec.signature_name, arrays)
        wanted = list(request.output_filter) or list(outputs)
        return {name: outputs[name] for name in wanted}

    def classify(self, request: Any) -> Any:
        """The ClassificationResult of a ClassificationRequest."""
        examples = [e.SerializeToString() for e in request.input.example_list.examples]
        if not examples:
            raise invalid("Input is empty.")
        outputs = self.run(
            request.model_spec.signature_name, {"inputs": np.array(examples, object)}
        )
        result = classification_pb2.ClassificationResult()
        for labels, scores in zip(outputs["classes"], outputs["scores"], strict=True):
            row = result.classifications.add()
            for label, score in zip(labels, scores, strict=True):
                row.classes.add(label=label, score=score)
        return result

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Runs a signature once the inputs are seen to fit it."""
        name = signature or "serving_default"
        definition = self.signature(name)
        tensors = fitted(definition, inputs)
        try:
            outputs = self.loaded.signatures[name](**tensors)
        except tf.errors.OpError as error:
            raise Refusal(CODES[error.error_code], error.message) from error
        return {key: value.numpy() for key, value in outputs.items()}

    def signature(self, name: str) -> Any:
        """A SignatureDef."""
        if name not in self.signatures:
            raise Refusal(
                grpc.StatusCode.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.'
            )
        return self.signatures[name]


CODES = {code.value[0]: code for code in grpc.StatusCode}


def invalid(text: str) -> Refusal:
    """INVALID_ARGUMENT."""
    return Refusal(grpc.StatusCode.INVALID_ARGUMENT, text)


def fitted(definition: Any, inputs: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    """The inputs as tensors, where names, types, shapes and batch are the signature's."""
    if set(inputs) != set(definition.inputs):
        extra, missing = set(inputs) - set(definition.inputs), set(definition.inputs) - set(inputs)
        raise invalid(
            f"input size does not match signature: {len(inputs)}!={len(definition.inputs)} "
            f"Sent extra: {{{','.join(sorted(extra))}}}. "
            f"Missing but required: {{{','.join(sorted(missing))}}}."
        )
    tensors = {}
    for number, (name, info) in enumerate(sorted(definition.inputs.items())):
        value, kind = inputs[name], tf.as_dtype(info.dtype)
        given = tf.string if value.dtype == object else tf.as_dtype(value.dtype)
        if given != kind:
            raise invalid(f"Expects arg[{number}] to be {kind.name} but {given.name} is provided")
        shape = tf.TensorShape(info.tensor_shape)
        if not shape.is_compatible_with(value.shape):
            raise invalid(f"Tensor {name}, specified shape {shape}, got {list(value.shape)}")
        tensors[name] = tf.constant(value, kind)
    if len({value.shape[0] if value.ndim else None for value in inputs.values()}) > 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return tensors


def fill(proto: Any, value: np.ndarray) -> None:
    """An output as the server writes it: number by number, not as one block of bytes."""
    proto.dtype = tf.as_dtype(value.dtype).as_datatype_enum
    proto.tensor_shape.CopyFrom(tf.TensorShape(value.shape).as_proto())
    field = proto.string_val if value.dtype == object else proto.float_val
    field.extend(value.ravel().tolist())


class StandIn:
    """Serves the versions of one model; a context manager.

    Args:
        base: folder of the version folders, as in a ModelConfig's base_path.
        name: the model's name.
        labels: {version label: version}.
        delay: s that every prediction waits, to try deadlines.
        message_bytes: largest gRPC message taken.
        ports: of gRPC and of REST; 0 takes a free one.
    Raises:
        RuntimeError: a version does not load, or a warmup request fails.
    """

    def __init__(
        self,
        base: Path,
        name: str = "sora",
        labels: dict[str, int] | None = None,
        delay: float = 0.0,
        message_bytes: int = 2**31 - 1,
        ports: tuple[int, int] = (0, 0),
    ):
        from standin_rest import RestServer

        self.name, self.labels, self.delay = name, labels or {}, delay
        self.unavailable = 0  # how many of the next predictions to refuse
        self.asked: list[tuple[str, str]] = []  # (API, signature) of every prediction
        self._lock = threading.Lock()
        folders = [folder for folder in base.iterdir() if folder.name.isdigit()]
        self.versions = {int(f.name): Servable.load(f) for f in folders}
        self._grpc = grpc.server(
            futures.ThreadPoolExecutor(64),
            options=[("grpc.max_receive_message_length", message_bytes), ("grpc.so_reuseport", 0)],
        )
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(self), self._grpc
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(self), self._grpc)
        self.grpc_port = self._grpc.add_insecure_port(f"127.0.0.1:{ports[0]}")
        self._rest = RestServer(self, ports[1])
        self.rest_port = self._rest.server_port

    @property
    def rest(self) -> str:
        """The address of the REST API."""
        return f"http://127.0.0.1:{self.rest_port}"

    @property
    def grpc(self) -> str:
        """The address of the gRPC services."""
        return f"grpc://127.0.0.1:{self.grpc_port}"

    def __enter__(self) -> "StandIn":
        self._grpc.start()
        threading.Thread(target=self._rest.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._rest.shutdown()
        self._rest.server_close()
        self._grpc.stop(None).wait()

    def servable(self, spec: Any) -> Servable:
        """The version a ModelSpec asks for."""
        version = spec.version.value if spec.HasField("version") else None
        if spec.version_label:
            if spec.version_label not in self.labels:
                raise invalid(f"Unrecognized servable version label: {spec.version_label}")
            version = self.labels[spec.version_label]
        if spec.name == self.name and version is None:
            return self.versions[max(self.versions)]
        if spec.name == self.name and version in self.versions:
            return self.versions[version]
        wanted = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
        raise Refusal(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: {wanted}")

    def predict(self, request: Any, api: str) -> Any:
        """The PredictResponse to a PredictRequest."""
        servable = self._begin(request, api)
        response = predict_pb2.PredictResponse(model_spec=request.model_spec)
        response.model_spec.version.value = servable.version
        for name, value in servable.predict(request).items():
            fill(response.outputs[name], value)
        return response

    def classify(self, request: Any, api: str) -> Any:
        """The ClassificationResponse to a ClassificationRequest."""
        servable = self._begin(request, api)
        result = servable.classify(request)
        return classification_pb2.ClassificationResponse(result=result)

    def metadata(self, request: Any) -> Any:
        """The GetModelMetadataResponse to a GetModelMetadataRequest."""
        servable = self.servable(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self.name
        response.model_spec.version.value = servable.version
        found = get_model_metadata_pb2.SignatureDefMap(signature_def=servable.signatures)
        response.metadata["signature_def"].Pack(found)
        return response

    def status(self, request: Any) -> Any:
        """The GetModelStatusResponse to a GetModelStatusRequest."""
        spec = request.model_spec
        wanted = [spec.version.value] if spec.HasField("version") else sorted(self.versions)
        if spec.name != self.name or any(version not in self.versions for version in wanted):
            which = f"version {wanted[0]}" if spec.HasField("version") else "any versions"
            raise Refusal(grpc.StatusCode.NOT_FOUND, f"Could not find {which} of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in wanted:
            response.model_version_status.add(version=version, state=AVAILABLE).status.SetInParent()
        return response

    def _begin(self, request: Any, api: str) -> Servable:
        with self._lock:
            self.asked.append((api, request.model_spec.signature_name))
            refuse = self.unavailable > 0
            self.unavailable -= refuse
        if refuse:
            raise Refusal(grpc.StatusCode.UNAVAILABLE, "The batch scheduling queue is full")
        time.sleep(self.delay)
        return self.servable(request.model_spec)


def answered(context: Any, answer: Any) -> Any:
    """The answer, or the refusal as a gRPC status."""
    try:
        return answer()
    except Refusal as refusal:
        context.abort(refusal.code, str(refusal))


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """The gRPC service for predictions."""

    def __init__(self, server: StandIn):
        self.server = server

    def Predict(self, request, context):
        """See prediction_service.proto."""
        return answered(context, lambda: self.server.predict(request, "grpc"))

    def Classify(self, request, context):
        """See prediction_service.proto."""
        return answered(context, lambda: self.server.classify(request, "grpc"))

    def GetModelMetadata(self, request, context):
        """See prediction_service.proto."""
        return answered(context, lambda: self.server.metadata(request))


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """The gRPC service for the state of models."""

    def __init__(self, server: StandIn):
        self.server = server

    def GetModelStatus(self, request, context):
        """See model_service.proto."""
        return answered(context, lambda: self.server.status(request))


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]
