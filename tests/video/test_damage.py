"""Broken, cut, encrypted and strange files: frames or a VideoError, nothing else."""

import csv
import io
import time

import numpy as np
import pytest
from films import check_sparse, greys, noise, numbers
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf import video
from sora_tf.video import VideoError

# Files whose damage makes what a decoder shows depend on where it began.
UNSTABLE = {"bug1535980.webm"}
SLOW = {"long_4k_av1.mp4", "TestPatternHDR.mp4"}


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("damage") / "film.mp4"
    return video.write(path, noise(40, 96, 128), 10, keyframes_every=10).read_bytes()


def read_anything(source) -> None:
    """Reads in every way; only VideoError may come out, of one line."""
    messages = []
    for call in (
        lambda: video.probe(source),
        lambda: video.read(source, size=(16, 16)),
        lambda: video.read(source, at=[0.0, 1.0, 3.5], size=(16, 16)),
        lambda: video.sample(source, 4, size=(16, 16)),
    ):
        try:
            call()
        except VideoError as error:
            messages.append(str(error))
    assert all(len(message.splitlines()) == 1 for message in messages)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_bytes_changed(film, data):
    broken = bytearray(film)
    for _ in range(data.draw(st.integers(1, 8))):
        broken[data.draw(st.integers(0, len(broken) - 1))] = data.draw(st.integers(0, 255))
    read_anything(io.BytesIO(bytes(broken)))


@settings(max_examples=40, deadline=None)
@given(share=st.floats(0, 1))
def test_any_length_cut(film, share):
    read_anything(io.BytesIO(film[: int(len(film) * share)]))


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=400), st.sampled_from([b"", b"GIF89a", b"\x1aE\xdf\xa3", b"RIFF"]))
def test_garbage(garbage, magic):
    read_anything(io.BytesIO(magic + garbage))


def test_a_film_cut_short_gives_its_frames_and_says_so(tmp_path):
    path = tmp_path / "film.mp4"
    data = video.write(path, greys(40), 10, keyframes_every=5).read_bytes()
    path.write_bytes(data[: int(len(data) * 0.8)])
    got = video.read(path)
    assert 5 < len(got.times) < 40
    assert got.damage is not None
    assert "40" in got.damage or "damaged after frame" in got.damage
    np.testing.assert_array_equal(numbers(got.frames), np.arange(len(got.times)))
    # A time beyond the cut gives the last frame there is, and so it says.
    late = video.read(path, at=[0.2, 3.9])
    np.testing.assert_array_equal(numbers(late.frames), [2, len(got.times) - 1])
    assert late.damage is not None
    # Spread evenly over the frames there are, not over those that the header promises.
    spread = video.sample(path, 5)
    assert len(spread.times) == 5
    assert len(set(np.floor(spread.times * 5 / len(got.times) * 10))) == 5


def test_a_hole_in_the_data_loses_few_frames(tmp_path):
    path = tmp_path / "film.mp4"
    data = bytearray(video.write(path, noise(100), 10, keyframes_every=10).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    path.write_bytes(data)
    got = video.read(path)
    assert 60 < len(got.times) <= 100
    assert got.damage is not None
    assert got.times[-1] == pytest.approx(9.9)


def test_a_stream_that_breaks_off_gives_what_came(film):
    class Breaking(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > len(film) * 0.3:
                raise ConnectionResetError("the line is cut")
            return super().read(size)

    got = video.read(Breaking(film), size=(16, 16))
    assert 0 < len(got.times) < 40
    assert "the line is cut" in (got.damage or "")


def odd_files(folder):
    with open(folder / "cases.csv", newline="") as file:
        return list(csv.DictReader(file))


def shows_frames(case) -> bool:
    # Decoders with more threads than one show a frame of noise of the encrypted film.
    encrypted = case["file"] == "short-vp9-encrypted-video.mp4"
    return case["decoded_frames_up_to_400"] not in ("", "0") and not encrypted


def test_every_odd_file_reads_or_fails_cleanly(shared_data):
    folder = shared_data / "odd-videos"
    failed = set()
    for case in odd_files(folder):
        path = folder / case["file"]
        if path.name in SLOW:
            continue
        begun = time.process_time()
        try:
            info = video.probe(path)
            times = (np.arange(16) + 0.5) * (info.duration or 1.0) / 16
            few = video.read(path, at=times, size=(112, 112))
            got = video.sample(path, 16, size=(112, 112))
        except VideoError:
            failed.add(path.name)
            continue
        finally:
            assert time.process_time() - begun < 10, path.name
        assert few.frames.shape == (16, 112, 112, 3), path.name
        seen = min(int(case["decoded_frames_up_to_400"]), 16)
        assert len(got.times) >= seen, path.name
        assert (np.diff(got.times) >= 0).all(), path.name
        if case["category"] != "decode error midway":
            assert int(case["width"]) == info.coded_width, path.name
    assert failed == {case["file"] for case in odd_files(folder) if not shows_frames(case)}


def test_odd_files_read_the_same_by_jumps_and_in_order(shared_data):
    folder = shared_data / "odd-videos"
    compared = 0
    for case in odd_files(folder):
        if case["file"] in SLOW | UNSTABLE or not shows_frames(case):
            continue
        full = check_sparse(folder / case["file"], 12)
        assert (np.diff(full.times) >= 0).all()
        compared += 1
    assert compared > 70


@pytest.mark.parametrize("name", sorted(SLOW))
def test_long_films_of_large_pictures_are_quick_to_sample(shared_data, name):
    begun = time.process_time()
    got = video.sample(shared_data / "odd-videos" / name, 16, size=(112, 112), snap=10.0)
    assert got.frames.shape == (16, 112, 112, 3) or len(got.times) == 7  # of seven keyframes
    assert (np.diff(got.times) > 0).all()
    assert time.process_time() - begun < 10


def test_a_header_that_declares_more_frames_than_there_are(shared_data):
    path = shared_data / "odd-videos" / "test_case_1388991.mp4"
    info = video.probe(path)
    assert info.declared_frames == 441
    got = video.read(path, size=(8, 8))
    assert len(got.times) < 441
    assert got.damage is not None
