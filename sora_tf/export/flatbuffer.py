"""The TFLite file itself: its operations and signatures, and less of what no runtime needs."""

import io
import zipfile
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema
from tensorflow.lite.tools import flatbuffer_utils

from sora_tf.export.errors import ExportError

RUNTIME = b"min_runtime_version"
ALIGNMENT = 16  # of weights, as TFLite's schema asks for
BUILTINS = {
    number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)
}


def read(content: bytes) -> Any:
    """A TFLite file as a tree of objects (`ModelT`)."""
    return flatbuffer_utils.convert_bytearray_to_object(bytearray(content))


def operations(model: Any) -> dict[str, dict[str, int]]:
    """{signature: {operation: how often}}; "CUSTOM:name" for what is no builtin."""
    found = {}
    for signature in model.signatureDefs or []:
        graph = model.subgraphs[signature.subgraphIndex]
        used = Counter(_name(model.operatorCodes[op.opcodeIndex]) for op in graph.operators)
        found[signature.signatureKey.decode()] = dict(sorted(used.items()))
    return found


def check_builtin(found: dict[str, dict[str, int]], name: str) -> None:
    """Makes sure that all of a file's `operations` are TFLite's own.

    Raises:
        ExportError: one is not.
    """
    foreign = sorted({n for used in found.values() for n in used if n.startswith("CUSTOM:")})
    if foreign:
        raise ExportError(
            f"{name} uses {', '.join(foreign)}, which are no builtin operations. Leave the "
            "layers that bring them out of the model."
        )


def largest_convolution_rank(model: Any) -> int:
    """The most dimensions that a convolution's input has."""
    ranks = [0]
    for graph in model.subgraphs:
        for op in graph.operators:
            if "CONV" in _name(model.operatorCodes[op.opcodeIndex]):
                ranks.append(len(graph.tensors[op.inputs[0]].shape))
    return max(ranks)


def signatures(model: Any) -> dict[str, dict[str, list[str]]]:
    """{signature: {"inputs": names, "outputs": names}}."""
    return {
        signature.signatureKey.decode(): {
            "inputs": sorted(entry.name.decode() for entry in signature.inputs),
            "outputs": sorted(entry.name.decode() for entry in signature.outputs),
        }
        for signature in model.signatureDefs or []
    }


def add_signature(model: Any, name: str, of: str, without: Collection[str]) -> None:
    """Adds a signature on the graph of another, with fewer outputs: it costs no weights."""
    (other,) = (s for s in model.signatureDefs if s.signatureKey.decode() == of)
    signature = schema.SignatureDefT()
    signature.signatureKey = name.encode()
    signature.subgraphIndex = other.subgraphIndex
    signature.inputs = other.inputs
    signature.outputs = [entry for entry in other.outputs if entry.name.decode() not in without]
    model.signatureDefs.append(signature)


def mend_zero_scales(model: Any) -> None:
    """Gives constants of nothing but zeros the scale of what they meet.

    The int16 converter makes their scale 0, at which the runtime aborts.
    """
    for graph in model.subgraphs:
        for operator in graph.operators:
            ranges = [graph.tensors[i].quantization for i in operator.inputs if i >= 0]
            ranges = [r for r in ranges if r is not None and r.scale is not None]
            largest = max((float(r.scale.max()) for r in ranges), default=0.0)
            for r in ranges:
                r.scale = np.where(r.scale > 0, r.scale, np.float32(largest or 1.0))


def merged(models: Sequence[Any]) -> Any:
    """Models of one graph each as one model, with the signatures of all."""
    first, *others = models
    for other in others:
        buffers = len(first.buffers)
        codes = [_place(code, first.operatorCodes) for code in other.operatorCodes]
        for graph in other.subgraphs:
            for operator in graph.operators:
                operator.opcodeIndex = codes[operator.opcodeIndex]
            for tensor in graph.tensors:
                tensor.buffer += buffers
        for signature in other.signatureDefs:
            signature.subgraphIndex += len(first.subgraphs)
        first.buffers += other.buffers
        first.subgraphs += other.subgraphs
        first.signatureDefs += other.signatureDefs
    return first


def chained(first: Any, second: Any) -> Any:
    """Two models of one graph each as one graph, so that each may have numbers of its own kind.

    What the first answers or is given goes into the second by name. Answers that the second does
    not take stand beside its own, and what it is given besides beside what the first is, under the
    first's signature.
    """
    model = merged([first, second])
    (one, two), (given, taken) = model.subgraphs, model.signatureDefs
    passed = {entry.name: entry for entry in given.outputs}
    shared = {entry.name: entry for entry in given.inputs}
    places: dict[int, int] = {}
    besides = []
    for entry in taken.inputs:
        known = passed.pop(entry.name, None) or shared.get(entry.name)
        if known is None:
            besides.append(entry)
        else:
            places[entry.tensorIndex] = known.tensorIndex
    for number, tensor in enumerate(two.tensors):
        if number not in places:
            places[number] = len(one.tensors)
            one.tensors.append(tensor)
    places[-1] = -1  # what an operation does not take
    for operator in two.operators:
        operator.inputs = [places[number] for number in operator.inputs]
        operator.outputs = [places[number] for number in operator.outputs]
    one.operators += two.operators
    for entry in [*taken.outputs, *besides]:
        entry.tensorIndex = places[entry.tensorIndex]
    given.inputs = [*given.inputs, *besides]
    given.outputs = [*passed.values(), *taken.outputs]
    one.inputs = [entry.tensorIndex for entry in given.inputs]
    one.outputs = [entry.tensorIndex for entry in given.outputs]
    model.subgraphs, model.signatureDefs = [one], [given]
    return model


def _place(code: Any, codes: list[Any]) -> int:
    """Where an operator code stands in a list, at whose end it is put where it is not there."""
    for place, other in enumerate(codes):
        if vars(other) == vars(code):
            return place
    codes.append(code)
    return len(codes) - 1


def slim(model: Any) -> None:
    """Drops what no runtime reads: names of inner tensors, empty buffers, empty ranges."""
    for graph in model.subgraphs:
        shown = {*graph.inputs, *graph.outputs}
        for number, tensor in enumerate(graph.tensors):
            if number not in shown:
                tensor.name = None
            ranges = tensor.quantization
            if ranges is not None and ranges.scale is None:
                tensor.quantization = None
    # What is left tells the oldest runtime that will do.
    model.metadata = [entry for entry in model.metadata or [] if entry.name == RUNTIME][:1]
    _merge_buffers(model)


def _merge_buffers(model: Any) -> None:
    """Keeps one of equal buffers in use; what holds no constant shares 0, empty by the schema."""
    kept, places = [model.buffers[0]], {b"": 0}
    for holder in [*(t for g in model.subgraphs for t in g.tensors), *(model.metadata or [])]:
        buffer = model.buffers[holder.buffer]
        content = b"" if buffer.data is None else bytes(buffer.data)
        if content not in places:
            places[content] = len(kept)
            kept.append(buffer)
        holder.buffer = places[content]
    model.buffers = kept


def write(model: Any) -> bytes:
    """The objects as a TFLite file, with equal parts written once.

    A FlatBuffer may point to the same part from many places. The zero points of a layer's channels
    are as many zeros as it has channels, and two graphs over the same weights have the same scales.
    """
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            if tensor.quantization is not None:
                tensor.quantization = _Shared(tensor.quantization)
        for operator in graph.operators:
            if operator.builtinOptions is not None:
                operator.builtinOptions = _Shared(operator.builtinOptions)
    builder = _SharingBuilder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def appended(files: dict[str, str]) -> bytes:
    """A ZIP archive to stand behind the model, as in TFLite's own metadata."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            # The oldest date a ZIP can hold: the same model is the same file.
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


class _Shared:
    """A table that is written once for all that are equal to it."""

    def __init__(self, table: Any):
        self.table = table

    def Pack(self, builder: "_SharingBuilder") -> int:
        """As the table's own."""
        fields = sorted(vars(self.table).items())
        key = (
            type(self.table),
            *((n, v.tobytes() if hasattr(v, "tobytes") else v) for n, v in fields),
        )
        if key not in builder.tables:
            builder.tables[key] = self.table.Pack(builder)
        return builder.tables[key]


class _SharingBuilder(flatbuffers.Builder):
    """Writes a vector of numbers, or a string, that is there already as a pointer to it."""

    def __init__(self, size: int):
        super().__init__(size)
        self.tables: dict[tuple[Any, ...], int] = {}
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x):
        """As in flatbuffers; bytes, which hold weights, begin at a multiple of 16."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            alignment = ALIGNMENT if x.dtype == np.uint8 else x.dtype.alignment
            self.StartVector(x.itemsize, x.size, alignment)
            self.head -= len(key[1])
            self.Bytes[self.head : self.head + len(key[1])] = key[1]
            self._written[key] = self.EndVector()
        return self._written[key]

    def CreateString(self, s, *args, **kwargs):
        """As in flatbuffers."""
        key = ("string", bytes(s))
        if key not in self._written:
            self._written[key] = super().CreateString(s, *args, **kwargs)
        return self._written[key]


def _name(code: Any) -> str:
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    if number == schema.BuiltinOperator.CUSTOM:
        return f"CUSTOM:{(code.customCode or b'').decode()}"
    return BUILTINS[number]
