"""Weights out of a PyTorch file, without PyTorch and without running code from the file."""

import collections
import io
import math
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format
KINDS: dict[str, np.dtype] = {
    "HalfStorage": np.dtype("<f2"),
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "IntStorage": np.dtype("<i4"),
    "LongStorage": np.dtype("<i8"),
}


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype
    size: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """The tensors of a state dict that `torch.save` wrote, in the older format or as a ZIP.

    The pickle inside may name tensors, numbers and ordered dicts; anything else is refused before
    it is called. What the file claims of its sizes is checked before anything is made of it.

    Args:
        path: a .pt or .pth file.

    Returns:
        Name to array, in the file's order.

    Raises:
        OSError: the file does not open.
        ValueError: the file is of another kind, cut short, or holds something else than tensors.
    """
    with open(path, "rb") as file:
        try:
            read = _read_zip if zipfile.is_zipfile(file) else _read_stream
            file.seek(0)
            return read(file, os.path.getsize(path))
        except Exception as error:  # a damaged pickle raises nearly anything
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(
                f"{path} must be a PyTorch file of tensors alone, but: {reason}. Save the model's "
                "state_dict(), not the model."
            ) from error


# The unpickler in C makes room for as many entries as one number in the file says; this one not.
class _Unpickler(pickle._Unpickler):
    """An unpickler that knows tensors and ordered dicts."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            # A new function each time: a pickle may set attributes of what it was given.
            return lambda *args: _tensor(*args)
        if module == "torch" and name in KINDS:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, kind, key, _, count, *view = pid
        if any(view):
            raise pickle.UnpicklingError(f"storage {key} is a part of another")
        return _Storage(str(key), KINDS[kind], int(count))


def _tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


def _read_stream(file, size):
    """Magic number, protocol, system, the dict, the storages' names, then each with its length."""
    if _Unpickler(file).load() != MAGIC:
        raise ValueError("it does not begin as one")
    _Unpickler(file).load()
    _Unpickler(file).load()
    state = _Unpickler(file).load()
    storages = _storages(state)
    data = {}
    for key in _Unpickler(file).load():
        count = int.from_bytes(_exactly(file, 8, size), "little")
        dtype = storages[key].dtype
        data[key] = np.frombuffer(_exactly(file, count * dtype.itemsize, size), dtype)
    return _arrays(state, data.__getitem__)


def _read_zip(file, size):
    """One entry `data.pkl`, and one `data/KEY` for each storage."""
    with zipfile.ZipFile(file) as archive:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise ValueError(f"it is a ZIP with {len(names)} data.pkl")
        state = _Unpickler(io.BytesIO(_entry(archive, names[0], size))).load()
        storages = _storages(state)
        root = names[0].removesuffix(".pkl")

        def data_of(key):
            return np.frombuffer(_entry(archive, f"{root}/{key}", size), storages[key].dtype)

        return _arrays(state, data_of)


def _storages(state: dict[str, _Tensor]) -> dict[str, _Storage]:
    for name, tensor in state.items():
        if not isinstance(tensor, _Tensor):
            raise ValueError(f"{name!r} is no tensor")
    return {tensor.storage.key: tensor.storage for tensor in state.values()}


def _exactly(file: IO[bytes], count: int, most: int) -> bytes:
    data = file.read(count) if 0 <= count <= most else b""
    if len(data) != count:
        raise ValueError("it is cut short")
    return data


def _entry(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """What is in an entry, which PyTorch does not compress: it is no larger than the file."""
    info = archive.getinfo(name)
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
        raise ValueError(f"{name} says that it is larger than the file")
    return archive.read(info)


def _arrays(
    state: dict[str, _Tensor], data_of: Callable[[str], np.ndarray]
) -> dict[str, np.ndarray]:
    made = {}
    for name, tensor in state.items():
        data = data_of(tensor.storage.key)
        if data.dtype != tensor.storage.dtype:
            raise ValueError(f"{name} is of another kind than its data")
        if len(data) != tensor.storage.size:
            raise ValueError(f"{name} has {len(data)} values where it says {tensor.storage.size}")
        reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
        if min(tensor.shape, default=1) > 0 and not (
            tensor.offset >= 0
            and min(tensor.strides, default=0) >= 0
            and tensor.offset + reach < len(data)
            and math.prod(tensor.shape) <= len(data)  # steps of 0 reach as far as one likes
        ):
            raise ValueError(f"{name} reaches beyond its data")
        strides = [step * data.itemsize for step in tensor.strides]
        view = np.lib.stride_tricks.as_strided(data[tensor.offset :], tensor.shape, strides)
        made[name] = view.copy()
    return made
