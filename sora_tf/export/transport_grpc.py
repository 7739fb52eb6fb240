"""TensorFlow Serving's gRPC API, by the official protos of tensorflow-serving-api."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from sora_tf.export.transport import (
    WRONG_LABEL,
    Kind,
    Metadata,
    ServingError,
    Target,
    TensorInfo,
    VersionStatus,
    address,
    check_size,
    open_shape,
)

KINDS: dict[str, Kind] = {
    "UNAVAILABLE": "unavailable",
    "DEADLINE_EXCEEDED": "deadline exceeded",
    "NOT_FOUND": "not found",
    "INVALID_ARGUMENT": "bad input",
    "FAILED_PRECONDITION": "bad input",
    "OUT_OF_RANGE": "bad input",
    "RESOURCE_EXHAUSTED": "over the limit",
}
PORTS = {"grpc": 8500, "grpcs": 443}


class GrpcTransport:
    """Asks over one channel, which threads share.

    Args:
        server: "grpc://host:8500", or "grpcs://…" for TLS.
        message_bytes: largest message sent or taken.
    Raises:
        ServingError: the extra "serving" is not installed.
    """

    signature = "serving_default"
    byte_size = 1

    def __init__(self, server: str, message_bytes: int):
        try:
            import grpc
            from tensorflow import make_ndarray, make_tensor_proto
            from tensorflow.core.framework import types_pb2
            from tensorflow_serving.apis import (
                classification_pb2,
                get_model_metadata_pb2,
                get_model_status_pb2,
                model_service_pb2_grpc,
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ImportError as error:
            raise ServingError(
                server, "not installed", f"gRPC needs grpcio and tensorflow-serving-api ({error})"
            ) from None
        parts = address(server, "grpc://host:8500")
        self.server = server
        self._limit = message_bytes
        self._rpc_error = grpc.RpcError
        self._to_proto, self._to_array = make_tensor_proto, make_ndarray
        self._dtype = types_pb2.DataType.Name
        self._classification = classification_pb2
        self._metadata, self._status = get_model_metadata_pb2, get_model_status_pb2
        self._predict = predict_pb2
        place = parts.netloc if parts.port else f"{parts.netloc}:{PORTS[parts.scheme]}"
        options = [
            ("grpc.max_send_message_length", message_bytes),
            ("grpc.max_receive_message_length", message_bytes),
            # We try again ourselves; the channel must not sit out a longer pause of its own.
            ("grpc.enable_retries", 0),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 1000),
        ]
        if parts.scheme == "grpcs":
            self._channel = grpc.secure_channel(place, grpc.ssl_channel_credentials(), options)
        else:
            self._channel = grpc.insecure_channel(place, options)
        self._prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(
        self, target: Target, signature: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        """See `Transport`."""
        request = self._predict.PredictRequest()
        _fill(request.model_spec, target, signature)
        size = sum(value.nbytes for value in inputs.values())
        check_size(self.server, size, self._limit)  # before it is copied
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(self._to_proto(value))
        answer = self._call(self._prediction.Predict, request, seconds)
        return {name: _text(self._to_array(proto)) for name, proto in answer.outputs.items()}

    def classify(
        self, target: Target, clips: Sequence[Sequence[bytes]], seconds: float
    ) -> list[list[tuple[str, float]]]:
        """See `Transport`."""
        request = self._classification.ClassificationRequest()
        _fill(request.model_spec, target, "classify")
        for clip in clips:
            example = request.input.example_list.examples.add()
            example.features.feature["frames"].bytes_list.value.extend(clip)
        answer = self._call(self._prediction.Classify, request, seconds)
        rows = answer.result.classifications
        return [[(found.label, found.score) for found in row.classes] for row in rows]

    def metadata(self, target: Target, seconds: float) -> Metadata:
        """See `Transport`."""
        request = self._metadata.GetModelMetadataRequest(metadata_field=["signature_def"])
        _fill(request.model_spec, target)
        answer = self._call(self._prediction.GetModelMetadata, request, seconds)
        found = self._metadata.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(found)
        inputs = {
            signature: {name: self._info(info) for name, info in definition.inputs.items()}
            for signature, definition in found.signature_def.items()
        }
        return Metadata(answer.model_spec.version.value, inputs)

    def status(self, target: Target, seconds: float) -> list[VersionStatus]:
        """See `Transport`."""
        request = self._status.GetModelStatusRequest()
        _fill(request.model_spec, target)
        answer = self._call(self._models.GetModelStatus, request, seconds)
        name = self._status.ModelVersionStatus.State.Name
        return [
            VersionStatus(found.version, name(found.state), found.status.error_message)
            for found in answer.model_version_status
        ]

    def close(self) -> None:
        """See `Transport`."""
        self._channel.close()

    def _call(self, method: Any, request: Any, seconds: float) -> Any:
        check_size(self.server, request.ByteSize(), self._limit)
        try:
            return method(request, timeout=max(seconds, 1e-3))
        except self._rpc_error as error:
            code, said = error.code().name, error.details() or ""
            kind = KINDS.get(code, "server failed")
            if kind == "deadline exceeded":
                said = f"no answer within {seconds:.3g} s"
            elif WRONG_LABEL in said:
                kind = "not found"
            raise ServingError(self.server, kind, said or code) from error

    def _info(self, info: Any) -> TensorInfo:
        shape = open_shape(dim.size for dim in info.tensor_shape.dim)
        return TensorInfo(self._dtype(info.dtype), shape)


def _fill(spec: Any, target: Target, signature: str = "") -> None:
    spec.name = target.model
    spec.signature_name = signature
    if target.version is not None:
        spec.version.value = target.version
    elif target.label is not None:
        spec.version_label = target.label


def _text(value: np.ndarray) -> np.ndarray:
    """Strings as str; numbers as they are."""
    if value.dtype != object:
        return value
    texts = [text.decode("utf-8") for text in value.ravel()]
    return np.array(texts, object).reshape(value.shape)
