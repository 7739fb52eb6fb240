"""TensorFlow Serving's REST API, by the standard library alone."""

import base64
import http.client
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

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

# The server's own table of codes (http_server.cc), as far as they call for different advice.
KINDS: dict[int, Kind] = {
    400: "bad input",
    404: "not found",
    413: "over the limit",
    429: "unavailable",
    502: "unavailable",
    503: "unavailable",
    504: "deadline exceeded",
}


class RestTransport:
    """Asks over HTTP; connections are kept and shared between threads.

    Args:
        server: "http://host:8501" or "https://…", with the path of a proxy where there is one.
        message_bytes: largest request sent.
    """

    signature = "jpeg"
    byte_size = 4  # three digits and a comma

    def __init__(self, server: str, message_bytes: int):
        parts = address(server, "http://host:8501")
        self.server = server
        self._limit = message_bytes
        self._place = (str(parts.hostname), parts.port)
        self._secure = parts.scheme == "https"
        self._prefix = parts.path.rstrip("/")
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def predict(
        self, target: Target, signature: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        """See `Transport`."""
        body = {
            "signature_name": signature,
            "inputs": {name: _plain(value.tolist()) for name, value in inputs.items()},
        }
        answer = self._post(target, "predict", body, seconds)
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            raise ServingError(self.server, "server failed", "its answer does not name its outputs")
        return {name: _array(value) for name, value in outputs.items()}

    def classify(
        self, target: Target, clips: Sequence[Sequence[bytes]], seconds: float
    ) -> list[list[tuple[str, float]]]:
        """See `Transport`."""
        examples = [{"frames": _plain(list(clip))} for clip in clips]
        body = {"signature_name": "classify", "examples": examples}
        answer = self._post(target, "classify", body, seconds)
        return [[(label, float(score)) for label, score in row] for row in answer["results"]]

    def metadata(self, target: Target, seconds: float) -> Metadata:
        """See `Transport`."""
        answer = self._ask("GET", f"{_path(target)}/metadata", None, seconds)
        signatures = answer["metadata"]["signature_def"]["signature_def"]
        inputs = {
            signature: {name: _info(info) for name, info in found["inputs"].items()}
            for signature, found in signatures.items()
        }
        return Metadata(int(answer["model_spec"]["version"]), inputs)

    def status(self, target: Target, seconds: float) -> list[VersionStatus]:
        """See `Transport`."""
        answer = self._ask("GET", _path(target), None, seconds)
        return [
            VersionStatus(int(found["version"]), found["state"], found["status"]["error_message"])
            for found in answer["model_version_status"]
        ]

    def close(self) -> None:
        """See `Transport`."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _post(self, target: Target, verb: str, body: dict[str, Any], seconds: float) -> Any:
        text = json.dumps(body, separators=(",", ":")).encode()
        check_size(self.server, len(text), self._limit)
        return self._ask("POST", f"{_path(target)}:{verb}", text, seconds)

    def _ask(self, method: str, path: str, body: bytes | None, seconds: float) -> Any:
        """The parsed answer to one request."""
        connection = self._take(seconds)
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            connection.request(method, self._prefix + path, body, headers)
            response = connection.getresponse()
            text = response.read()
        except TimeoutError:
            connection.close()
            raise ServingError(
                self.server, "deadline exceeded", f"no answer within {seconds:.3g} s"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            self.close()  # a server that was started anew knows none of them
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ServingError(self.server, "unavailable", reason) from error
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return self._parsed(response.status, text)

    def _parsed(self, status: int, text: bytes) -> Any:
        try:
            answer = json.loads(text)
        except ValueError:
            answer = None
        if status == 200 and isinstance(answer, dict):
            return answer
        said = answer.get("error") if isinstance(answer, dict) else None
        kind = KINDS.get(status, "server failed")
        if said is not None and WRONG_LABEL in said:
            kind = "not found"
        raise ServingError(self.server, kind, said or f"HTTP status {status}, no JSON")

    def _take(self, seconds: float) -> http.client.HTTPConnection:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            make = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            return make(*self._place, timeout=max(seconds, 1e-3))
        connection.timeout = max(seconds, 1e-3)
        if connection.sock is not None:
            connection.sock.settimeout(connection.timeout)
        return connection


def _path(target: Target) -> str:
    path = f"/v1/models/{quote(target.model, safe='')}"
    if target.version is not None:
        return f"{path}/versions/{target.version}"
    if target.label is not None:
        return f"{path}/labels/{quote(target.label, safe='')}"
    return path


def _plain(value: Any) -> Any:
    """Nested lists with bytes as JSON has them; lists of numbers stay as they are."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode("ascii")}
    if isinstance(value, list) and value and isinstance(value[0], (bytes, list)):
        return [_plain(item) for item in value]
    return value


def _array(value: Any) -> np.ndarray:
    found = np.array(value)
    return found.astype(object if found.dtype.kind == "U" else np.float32)


def _info(found: dict[str, Any]) -> TensorInfo:
    shape = open_shape(int(dim["size"]) for dim in found["tensor_shape"].get("dim", ()))
    return TensorInfo(found["dtype"], shape)
