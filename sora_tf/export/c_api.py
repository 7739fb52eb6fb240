"""Runs a SavedModel through TensorFlow's C API, as a server does: no Python TensorFlow, no Keras.

This file is started as a script in a clean process, so it imports nothing of sora_tf:

    python -I c_api.py LIBRARY SAVED_MODEL < requests.json > answers.json
    python -I c_api.py LIBRARY > operations.pb

Requests are a list of {"inputs": {tensor name: value}, "outputs": {name: tensor name}}, a value is
{"dtype", "shape", "data"} with base64 data: raw bytes, or a list of them for strings. The answers
are a list of {name: value}. Without a SavedModel it writes the OpList of what stock TensorFlow
knows. A failure is one line on standard error and exit code 1.
"""

import base64
import ctypes
import json
import math
import sys
from ctypes import c_char_p, c_int, c_int64, c_size_t, c_void_p
from typing import Any

# TF_DataType (tensorflow/core/framework/types.proto) of what signatures take and give.
DTYPES = {"float32": 1, "int32": 3, "uint8": 4, "string": 7, "int64": 9, "bool": 10}
NAMES = {number: name for name, number in DTYPES.items()}
WIDTHS = {"float32": 4, "int32": 4, "uint8": 1, "int64": 8, "bool": 1}
STRING_BYTES = 24  # of a TF_TString

RESULTS = {
    "TF_NewStatus": c_void_p,
    "TF_GetCode": c_int,
    "TF_Message": c_char_p,
    "TF_NewSessionOptions": c_void_p,
    "TF_NewGraph": c_void_p,
    "TF_LoadSessionFromSavedModel": c_void_p,
    "TF_GraphOperationByName": c_void_p,
    "TF_AllocateTensor": c_void_p,
    "TF_TensorData": c_void_p,
    "TF_TensorType": c_int,
    "TF_NumDims": c_int,
    "TF_Dim": c_int64,
    "TF_TensorByteSize": c_size_t,
    "TF_StringGetDataPointer": c_void_p,
    "TF_StringGetSize": c_size_t,
}


class Output(ctypes.Structure):
    """TF_Output: an operation and which of its results."""

    _fields_ = [("oper", c_void_p), ("index", c_int)]


class Buffer(ctypes.Structure):
    """TF_Buffer: bytes."""

    _fields_ = [("data", c_void_p), ("length", c_size_t), ("free", c_void_p)]


def operations(library: str) -> bytes:
    """The serialized OpList of all registered operations."""
    c = ctypes.CDLL(library)
    c.TF_GetAllOpList.restype = ctypes.POINTER(Buffer)
    buffer = c.TF_GetAllOpList().contents
    return ctypes.string_at(buffer.data, buffer.length)


class Session:
    """A SavedModel loaded for serving.

    Args:
        library: path of libtensorflow_cc.
        folder: the SavedModel.
    Raises:
        RuntimeError: TensorFlow's own message where it does not load.
    """

    def __init__(self, library: str, folder: str):
        self.c = ctypes.CDLL(library)
        for name, kind in RESULTS.items():
            getattr(self.c, name).restype = kind
        self.status = c_void_p(self.c.TF_NewStatus())
        options = c_void_p(self.c.TF_NewSessionOptions())
        self.graph = c_void_p(self.c.TF_NewGraph())
        tags = (c_char_p * 1)(b"serve")
        self.session = c_void_p(
            self.c.TF_LoadSessionFromSavedModel(
                options, None, folder.encode(), tags, 1, self.graph, None, self.status
            )
        )
        self._check()

    def run(self, inputs: dict[str, Any], outputs: dict[str, str]) -> dict[str, Any]:
        """Feeds tensors by name and fetches others.

        Raises:
            RuntimeError: TensorFlow's own message where it does not run.
        """
        feeds = (Output * len(inputs))(*map(self._output, inputs))
        values = (c_void_p * len(inputs))(*map(self._tensor, inputs.values()))
        fetches = (Output * len(outputs))(*map(self._output, outputs.values()))
        results = (c_void_p * len(outputs))()
        self.c.TF_SessionRun(
            self.session, None, feeds, values, len(inputs), fetches, results, len(outputs),
            None, 0, None, self.status,
        )  # fmt: skip
        for value in values:
            self.c.TF_DeleteTensor(c_void_p(value))
        self._check()
        answers = {}
        for name, tensor in zip(outputs, results, strict=True):
            answers[name] = self._value(c_void_p(tensor))
            self.c.TF_DeleteTensor(c_void_p(tensor))
        return answers

    def _check(self) -> None:
        if self.c.TF_GetCode(self.status):
            raise RuntimeError(self.c.TF_Message(self.status).decode(errors="replace"))

    def _output(self, name: str) -> Output:
        operation, _, index = name.partition(":")
        found = self.c.TF_GraphOperationByName(self.graph, operation.encode())
        if not found:
            raise RuntimeError(f"the graph has no operation {operation!r}")
        return Output(found, int(index or 0))

    def _tensor(self, value: dict[str, Any]) -> int:
        kind, shape = value["dtype"], value["shape"]
        count = math.prod(shape)
        size = count * (STRING_BYTES if kind == "string" else WIDTHS[kind])
        dims = (c_int64 * len(shape))(*shape)
        tensor = self.c.TF_AllocateTensor(DTYPES[kind], dims, len(shape), c_size_t(size))
        data = self.c.TF_TensorData(c_void_p(tensor))
        if kind == "string":
            for i, text in enumerate(value["data"]):
                raw = base64.b64decode(text)
                place = c_void_p(data + i * STRING_BYTES)
                self.c.TF_StringInit(place)
                self.c.TF_StringCopy(place, raw, c_size_t(len(raw)))
        else:
            raw = base64.b64decode(value["data"])
            if len(raw) != size:
                raise RuntimeError(f"{len(raw)} bytes given for {kind} of shape {shape}")
            ctypes.memmove(data, raw, size)
        return tensor

    def _value(self, tensor: c_void_p) -> dict[str, Any]:
        kind = NAMES[self.c.TF_TensorType(tensor)]
        shape = [self.c.TF_Dim(tensor, i) for i in range(self.c.TF_NumDims(tensor))]
        data = self.c.TF_TensorData(tensor)
        if kind != "string":
            raw = ctypes.string_at(data, self.c.TF_TensorByteSize(tensor))
            return {"dtype": kind, "shape": shape, "data": base64.b64encode(raw).decode()}
        texts = []
        for i in range(math.prod(shape)):
            place = c_void_p(data + i * STRING_BYTES)
            size = self.c.TF_StringGetSize(place)
            text = ctypes.string_at(self.c.TF_StringGetDataPointer(place), size)
            texts.append(base64.b64encode(text).decode())
        return {"dtype": kind, "shape": shape, "data": texts}


def main(library: str, folder: str = "") -> int:
    """Answers the requests on standard input, or lists the operations there are."""
    if not folder:
        sys.stdout.buffer.write(operations(library))
        return 0
    try:
        session = Session(library, folder)
        requests = json.load(sys.stdin)
        json.dump([session.run(r["inputs"], r["outputs"]) for r in requests], sys.stdout)
    except RuntimeError as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
