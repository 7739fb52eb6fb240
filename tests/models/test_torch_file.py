"""PyTorch's files, read without PyTorch: what is in them, and what is refused."""

import os
import pickle
import tracemalloc
import zipfile
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_pickles import MAGIC, Storage, Tensor, pickled, tensor, write_stream, write_zip

from sora_tf.models import torch_file
from sora_tf.models.torch_file import read_tensors

WRITERS = {"stream": write_stream, "zip": write_zip}
LINE = np.arange(12, dtype=np.float32)


@pytest.fixture(params=WRITERS)
def write(request, tmp_path):
    """Writes name → array or Tensor in one of the two formats."""
    return lambda values: WRITERS[request.param](tmp_path / "weights.pth", values)


def refused(path, words):
    """Checks that a file is refused in one line that names it, without taking much memory."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=words) as caught:
            read_tensors(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path} must be a PyTorch file of tensors alone, but: ")
    assert peak < 2e6


# What is read.


def test_names_numbers_and_order(write):
    rng = np.random.default_rng(0)
    values = {
        "layer.weight": rng.normal(size=(4, 3, 2, 2)).astype(np.float32),
        "a.bias": rng.normal(size=3).astype(np.float16),
        "double": rng.normal(size=(2, 5)),
        "num_batches_tracked": np.array(7, np.int64),
        "int": np.array([[-1, 2**31 - 1]], np.int32),
        "empty": np.zeros((0, 3), np.float32),
    }
    found = read_tensors(write(values))
    assert list(found) == list(values)
    for name, value in values.items():
        assert found[name].dtype == value.dtype
        assert found[name].shape == value.shape
        np.testing.assert_array_equal(found[name], value)


def test_views_by_hand(write):
    # Of the line 0 to 11: its 3×4 table turned over, every other value from the second on, the
    # same row three times, and one value; all of one storage.
    line = Storage(LINE)
    found = read_tensors(
        write(
            {
                "turned": Tensor(line, (4, 3), (1, 4)),
                "other": Tensor(line, (3,), (2,), offset=1),
                "repeated": Tensor(line, (3, 4), (0, 1), offset=8),
                "one": Tensor(line, (), (), offset=11),
            }
        )
    )
    np.testing.assert_array_equal(found["turned"], [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]])
    np.testing.assert_array_equal(found["other"], [1, 3, 5])
    np.testing.assert_array_equal(found["repeated"], [[8, 9, 10, 11]] * 3)
    assert found["one"] == 11.0
    # What is read is the reader's own.
    found["turned"][:] = 0
    np.testing.assert_array_equal(found["other"], [1, 3, 5])


# What is refused.


class Evil:
    """A call of os.system in a pickle."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_code_is_not_run(write, tmp_path):
    marker = tmp_path / "marker"
    path = write({"weight": LINE, "evil": Evil(marker)})
    refused(path, r"it asks for (posix|nt)\.system")
    assert not marker.exists()
    # The marker would be there had it run.
    os.system(f"touch {marker}")
    assert marker.exists()


@pytest.mark.parametrize("name", ["builtins.eval", "torch.nn.Linear", "torch.load", "os.remove"])
def test_other_names_are_refused(name, tmp_path):
    module, attribute = name.rsplit(".", 1)
    data = b"\x80\x02c" + f"{module}\n{attribute}\n".encode() + b"U\x01a\x85R."
    refused(write_zip(tmp_path / "zip", {}, pickle_bytes=data), f"it asks for {name}")
    (tmp_path / "stream").write_bytes(data)
    refused(tmp_path / "stream", f"it asks for {name}")


def test_a_file_cannot_change_what_the_next_one_is_read_with(tmp_path):
    # BUILD (b) sets attributes of what a pickle was given: of the function that makes tensors,
    # and the byte order of the dtype that stands for a storage.
    function = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}U\x0c__defaults__K\x01\x85s\x86b."
    dtype = (
        b"\x80\x02ctorch\nFloatStorage\n(K\x03U\x01>NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb."
    )
    for data in (function, dtype):
        with pytest.raises(ValueError, match="must be a PyTorch file"):
            read_tensors(write_zip(tmp_path / "evil", {}, pickle_bytes=data))
    assert torch_file._tensor.__defaults__ is None
    assert torch_file.KINDS["FloatStorage"].byteorder == "="
    found = read_tensors(write_zip(tmp_path / "good", {"weight": LINE}))
    np.testing.assert_array_equal(found["weight"], LINE)


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(write, kept):
    path = write({"weight": LINE, "bias": np.ones(5)})
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    refused(path, "must be a PyTorch file")


@pytest.mark.parametrize(
    "view",
    [
        Tensor(Storage(LINE), (13,), (1,)),
        Tensor(Storage(LINE), (2, 6), (7, 1)),
        Tensor(Storage(LINE), (1,), (1,), offset=12),
        Tensor(Storage(LINE), (2,), (1,), offset=-1),
        Tensor(Storage(LINE), (3,), (-1,), offset=5),
        Tensor(Storage(LINE), (2, 2), (2**62, 1)),
        Tensor(Storage(LINE), (2**40,), (0,)),
        Tensor(Storage(LINE), (2**20, 2**20), (0, 0)),
    ],
    ids=lambda view: f"{view.shape}-{view.strides}-{view.offset}",
)
def test_what_reaches_beyond_its_storage_is_refused(write, view):
    refused(write({"weight": view}), "weight reaches beyond its data")


@pytest.mark.parametrize(
    "view",
    [
        Tensor(Storage(LINE), (2, 6), (1,)),
        Tensor(Storage(LINE), (-3,), (1,)),
        Tensor(Storage(LINE), ("a",), (1,)),
        Tensor(Storage(LINE), None, (1,)),
    ],
    ids=str,
)
def test_shapes_that_are_none_are_refused(write, view):
    refused(write({"weight": view}), "must be a PyTorch file")


def test_counts_that_lie_make_nothing(write, tmp_path):
    for claimed in (2**60, 2**33, 13, 11, -1):
        path = write({"weight": Tensor(Storage(LINE, claimed=claimed), (12,), (1,))})
        refused(path, f"12 values where it says {claimed}")
        path = write_stream(tmp_path / "count", {"weight": LINE}, {"0": claimed % 2**64})
        refused(path, "cut short" if claimed != 11 else "11 values where it says 12")


def test_lengths_in_the_pickle_make_nothing(tmp_path):
    # A memo of 2³¹ entries, a string of 2⁶⁰ bytes, a number of 2³¹ - 1 bytes.
    for data in (
        b"\x80\x02Nr\xff\xff\xff\x7f.",
        b"\x80\x04\x8d" + (2**60).to_bytes(8, "little") + b".",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
    ):
        (tmp_path / "stream").write_bytes(data)
        with pytest.raises(ValueError, match="must be a PyTorch file"):
            read_tensors(tmp_path / "stream")
    memo = b"\x80\x02Nr\xff\xff\xff\x7f."
    refused(write_zip(tmp_path / "zip", {}, pickle_bytes=memo), "must be a PyTorch file")


def test_a_zip_that_grows_is_refused(tmp_path):
    zeros = np.zeros(1_000_000, np.float32)
    path = write_zip(tmp_path / "zip", {"weight": zeros}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 10_000
    refused(path, "says that it is larger than the file")


def test_other_things_than_tensors_are_named(write):
    refused(write({"weight": LINE, "epoch": 3}), "'epoch' is no tensor")
    refused(write({"state_dict": OrderedDict(weight=tensor(LINE))}), "'state_dict' is no tensor")
    storage = Storage(np.zeros(2, np.complex64), kind="ComplexFloat")
    refused(write({"weight": Tensor(storage, (2,), (1,))}), "it asks for torch.ComplexFloatStorage")
    part = Storage(LINE, view=("1", 3, 12))
    refused(write({"weight": Tensor(part, (12,), (1,))}), "storage 0 is a part of another")


def test_one_storage_of_two_kinds_is_refused(write):
    bytes_alike = Storage(LINE.view(np.int32), kind="Int")
    path = write({"a": Tensor(Storage(LINE), (12,), (1,)), "b": Tensor(bytes_alike, (12,), (1,))})
    refused(path, "a is of another kind than its data")


@pytest.mark.parametrize(
    "data",
    [b"", b"weights", b"PK\x03\x04", pickle.dumps(MAGIC), pickle.dumps({"weight": 1.0}, 2)],
    ids=["empty", "text", "zip's start", "magic alone", "a plain pickle"],
)
def test_files_of_other_kinds_are_refused(data, tmp_path):
    (tmp_path / "file").write_bytes(data)
    refused(tmp_path / "file", "must be a PyTorch file")


def test_zips_of_other_kinds_are_refused(tmp_path):
    path = tmp_path / "file.zip"
    for names in ([], ["readme.txt"], ["a/data.pkl", "b/data.pkl"]):
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, pickled({}))
        refused(path, f"it is a ZIP with {2 if len(names) == 2 else 0} data.pkl")


def test_a_missing_file_is_said_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none.pth")


# Damage at random.

fuzz = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def only_value_errors(path, data):
    path.write_bytes(data)
    try:
        found = read_tensors(path)
    except ValueError:
        return
    assert all(isinstance(value, np.ndarray) for value in found.values())


@fuzz
@given(data=st.binary(max_size=200), start=st.sampled_from([b"", b"\x80\x02", pickle.dumps(MAGIC)]))
def test_bytes_at_random_are_refused(tmp_path, data, start):
    only_value_errors(tmp_path / "file", start + data)


@fuzz
@given(data=st.data(), kind=st.sampled_from(sorted(WRITERS)))
def test_files_damaged_at_random_are_read_or_refused(tmp_path, data, kind):
    path = WRITERS[kind](tmp_path / "file", {"weight": LINE, "bias": np.ones(3)})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    only_value_errors(path, bytes(content))
