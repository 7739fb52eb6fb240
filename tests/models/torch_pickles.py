"""Writes PyTorch's two kinds of weight files, without PyTorch.

What is written follows `torch.save`: tensors are calls of `_rebuild_tensor_v2` on a storage that
the pickle names by a persistent id; the values lie outside of it.
"""

import collections
import io
import pickle
import sys
import types
import zipfile
from dataclasses import dataclass
from unittest import mock

import numpy as np

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
KINDS = {"f2": "Half", "f4": "Float", "f8": "Double", "i4": "Int", "i8": "Long"}


@dataclass
class Storage:
    """A line of values; `claimed` is the count that the pickle says, None the true one."""

    values: np.ndarray
    key: str = "0"
    claimed: int | None = None
    kind: str | None = None
    view: tuple | None = None


@dataclass
class Tensor:
    """A view of a storage, steps and offset in values."""

    storage: Storage
    shape: tuple
    strides: tuple
    offset: int = 0

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        hooks = collections.OrderedDict()
        return rebuild, (self.storage, self.offset, self.shape, self.strides, False, hooks)


def tensor(values, key="0"):
    """A tensor of an array, rows one after the other."""
    values = np.array(values, order="C")
    strides = tuple(step // values.itemsize for step in values.strides)
    return Tensor(Storage(values.ravel(), key), values.shape, strides)


def fake_torch():
    """Stand-ins for the parts of PyTorch that its pickles name."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def _rebuild_tensor_v2():
        raise AssertionError("only its name is written")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    for kind in (*KINDS.values(), "ComplexFloat"):
        name = f"{kind}Storage"
        setattr(torch, name, type(name, (), {"__module__": "torch"}))
    return {"torch": torch, "torch._utils": utils}


class Pickler(pickle.Pickler):
    def persistent_id(self, thing):
        if not isinstance(thing, Storage):
            return None
        kind = thing.kind or KINDS[thing.values.dtype.str[1:]]
        count = len(thing.values) if thing.claimed is None else thing.claimed
        storage = getattr(sys.modules["torch"], f"{kind}Storage")
        return ("storage", storage, thing.key, "cpu", count, thing.view)


def pickled(value):
    """The pickle of anything with tensors in it."""
    file = io.BytesIO()
    with mock.patch.dict(sys.modules, fake_torch()):
        Pickler(file, protocol=2).dump(value)
    return file.getvalue()


def _state(values):
    """Tensors of arrays, each with a storage of its own, in a state dict as modules give it."""
    state = collections.OrderedDict(
        (name, tensor(value, str(at)) if isinstance(value, np.ndarray) else value)
        for at, (name, value) in enumerate(values.items())
    )
    state._metadata = collections.OrderedDict([("", {"version": 1})])
    return state


def _storages(state):
    return {t.storage.key: t.storage for t in state.values() if isinstance(t, Tensor)}


def write_stream(path, values, counts=None):
    """The older format.

    Args:
        path: written to.
        values: name → array, `Tensor` or anything else.
        counts: storage's key → the count written before its values, where it is not true.

    Returns:
        The path.
    """
    state = _state(values)
    storages = _storages(state)
    system = {"protocol_version": PROTOCOL, "little_endian": True, "type_sizes": {}}
    with open(path, "wb") as file:
        for part in (MAGIC, PROTOCOL, system, state, sorted(storages)):
            file.write(pickled(part))
        for key in sorted(storages):
            data = storages[key].values
            count = (counts or {}).get(key, len(data))
            file.write(count.to_bytes(8, "little") + data.tobytes())
    return path


def write_zip(path, values, compression=zipfile.ZIP_STORED, pickle_bytes=None):
    """The newer format, a ZIP.

    Args:
        path: written to.
        values: name → array, `Tensor` or anything else.
        compression: of the entries; PyTorch uses none.
        pickle_bytes: in place of the pickle of the values.

    Returns:
        The path.
    """
    state = _state(values)
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", pickle_bytes or pickled(state))
        for key, storage in _storages(state).items():
            archive.writestr(f"archive/data/{key}", storage.values.tobytes())
        archive.writestr("archive/version", "3\n")
    return path
