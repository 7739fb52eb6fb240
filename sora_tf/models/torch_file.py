"""Weights out of a PyTorch file, without PyTorch and without running code from the file."""

import collections
import os
import pickle
import zipfile
from collections.abc import Callable
from typing import IO, Any, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the older format
KINDS = {
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
    it is called.

    Args:
        path: a .pt or .pth file.

    Returns:
        Name to array, in the file's order.

    Raises:
        ValueError: the file is of another kind, cut short, or holds something else than tensors.
    """
    read = _read_zip if zipfile.is_zipfile(path) else _read_stream
    try:
        return read(path)
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = str(error) or type(error).__name__
        raise ValueError(
            f"{path} must be a PyTorch file of tensors alone, but: {reason}. Save the model's "
            "state_dict(), not the model."
        ) from error


class _Unpickler(pickle.Unpickler):
    """An unpickler that knows tensors and ordered dicts."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in KINDS:
            return KINDS[name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> _Storage:
        _, dtype, key, _, count, *_ = pid
        return _Storage(str(key), dtype, int(count))


def _tensor(storage, offset, shape, strides, *_):
    return _Tensor(storage, int(offset), tuple(shape), tuple(strides))


def _read_stream(path):
    """Magic number, protocol, system, the dict, the storages' names, then each with its length."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        if _Unpickler(file).load() != MAGIC:
            raise ValueError("it does not begin as one")
        _Unpickler(file).load()
        _Unpickler(file).load()
        state = _Unpickler(file).load()
        dtypes = {t.storage.key: t.storage.dtype for t in state.values()}
        data = {}
        for key in _Unpickler(file).load():
            count = int.from_bytes(_exactly(file, 8, size), "little")
            dtype = dtypes[key]
            data[key] = np.frombuffer(_exactly(file, count * dtype.itemsize, size), dtype)
    return _arrays(state, data.__getitem__)


def _read_zip(path):
    """One entry `data.pkl`, and one `data/KEY` for each storage."""
    with zipfile.ZipFile(path) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/data.pkl"))
        root = name.removesuffix(".pkl")
        with archive.open(name) as file:
            state = _Unpickler(file).load()
        dtypes = {t.storage.key: t.storage.dtype for t in state.values()}
        return _arrays(state, lambda key: np.frombuffer(archive.read(f"{root}/{key}"), dtypes[key]))


def _exactly(file: IO[bytes], count: int, most: int) -> bytes:
    data = file.read(count) if 0 <= count <= most else b""
    if len(data) != count:
        raise ValueError("it is cut short")
    return data


def _arrays(
    state: dict[str, _Tensor], data_of: Callable[[str], np.ndarray]
) -> dict[str, np.ndarray]:
    made = {}
    for name, tensor in state.items():
        data = data_of(tensor.storage.key)
        reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
        if min(tensor.shape, default=1) > 0 and not (
            tensor.offset >= 0
            and min(tensor.strides, default=0) >= 0
            and tensor.offset + reach < len(data)
        ):
            raise ValueError(f"{name} reaches beyond its data")
        strides = [step * data.itemsize for step in tensor.strides]
        view = np.lib.stride_tricks.as_strided(data[tensor.offset :], tensor.shape, strides)
        made[name] = view.copy()
    return made
