import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

from sora_tf.data import ClipCache, clip_key
from sora_tf.video import VideoFrames

KEY = "ab" + "0" * 38


def video(level=7, damage=None):
    return VideoFrames(np.full((3, 4, 5, 3), level, np.uint8), np.arange(3.0), damage)


def never():
    raise AssertionError("made again")


def entries(folder):
    return sorted(folder.rglob("*.npz"))


def test_made_once_then_found(tmp_path):
    cache = ClipCache(tmp_path / "c")
    assert not cache.has(KEY)
    for _ in range(2):
        found = cache.get(KEY, lambda: video(damage="torn") if not cache.hits else never())
        np.testing.assert_array_equal(found.frames, video().frames)
        np.testing.assert_array_equal(found.times, [0.0, 1.0, 2.0])
        assert found.damage == "torn"
    assert cache.has(KEY)
    assert (cache.hits, cache.misses) == (1, 1)
    other = ClipCache(tmp_path / "c")
    assert other.get(KEY, never).damage == "torn"
    assert cache.get("cd" + KEY[2:], video).damage is None
    assert cache.size_bytes() == sum(path.stat().st_size for path in entries(tmp_path))
    assert cache.size_bytes() > 2 * 180  # 3·4·5·3 bytes of pixels in each


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "text", "pickle", "other"])
def test_a_spoilt_entry_is_made_again(tmp_path, harm):
    cache = ClipCache(tmp_path)
    cache.get(KEY, video)
    (path,) = entries(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(bytes([7] * 20))
    data[place] ^= 1  # a pixel; the checksum tells
    if harm == "pickle":
        np.savez(path, frames=np.array([{}]), times=np.zeros(1), damage="")
    elif harm == "other":
        np.savez(path, frames=np.zeros(3), times=np.zeros(3), damage="")
    else:
        spoilt = {"cut": data[: len(data) // 2], "flip": data, "empty": b"", "text": b"no zip"}
        path.write_bytes(spoilt[harm])
    assert (cache.get(KEY, lambda: video(9)).frames == 9).all()
    assert (cache.get(KEY, never).frames == 9).all()


def test_what_make_raises_comes_through_and_leaves_nothing(tmp_path):
    cache = ClipCache(tmp_path)
    with pytest.raises(AssertionError, match="made again"):
        cache.get(KEY, never)
    assert not cache.has(KEY)
    assert entries(tmp_path) == []


def test_a_disk_that_takes_nothing_costs_only_time(tmp_path, monkeypatch, caplog):
    cache = ClipCache(tmp_path)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    assert (cache.get(KEY, video).frames == 7).all()
    assert "not kept in the cache" in caplog.text
    assert list(tmp_path.rglob("*.npz")) == []


def test_a_writer_killed_midway_leaves_a_usable_cache(tmp_path):
    child = f"""
        import sys, time
        import numpy as np
        from sora_tf.data import ClipCache
        from sora_tf.video import VideoFrames
        cache = ClipCache({str(tmp_path)!r})
        make = lambda: VideoFrames(np.full((3, 4, 5, 3), 7, np.uint8), np.arange(3.0), None)
        cache.get("ab" + "0" * 38, make)
        def half(file, **arrays):
            file.write(b"PK half of it")
            file.flush()
            print("half", flush=True)
            time.sleep(60)
        np.savez = half
        cache.get("ab" + "1" * 38, make)
    """
    command = [sys.executable, "-c", textwrap.dedent(child)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout.readline() == b"half\n"
        process.send_signal(signal.SIGKILL)
    (partial,) = (path for path in (tmp_path / "ab").iterdir() if path.name.startswith("."))
    assert any(partial.iterdir())

    cache = ClipCache(tmp_path)
    assert partial.exists()  # its writer might be at work
    assert (cache.get(KEY, never).frames == 7).all()
    assert not cache.has("ab" + "1" * 38)
    assert (cache.get("ab" + "1" * 38, lambda: video(8)).frames == 8).all()
    hours_ago = time.time() - 2 * 3600
    os.utime(partial, (hours_ago, hours_ago))
    ClipCache(tmp_path)
    assert not partial.exists()
    assert len(entries(tmp_path)) == 2


def write_many(folder, level):
    cache = ClipCache(folder)
    for number in range(40):
        found = cache.get(f"ab{number % 5:038d}", lambda: video(level)).frames
        assert found.shape == (3, 4, 5, 3)
        assert (found == found.flat[0]).all()


def test_writers_do_not_disturb_one_another(tmp_path):
    threads = [threading.Thread(target=write_many, args=(tmp_path, i)) for i in range(3)]
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=write_many, args=(tmp_path, 3))
    for worker in (process, *threads):
        worker.start()
    for worker in (process, *threads):
        worker.join()
    assert process.exitcode == 0
    assert len(entries(tmp_path)) == 5
    write_many(tmp_path, 99)


def test_the_key_follows_all_that_decides_the_pixels(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    os.utime(path, ns=(0, 1))
    ask = {"path": str(path), "count": 4, "size": (8, 8)}
    keys = [clip_key(**ask)]
    changes = [
        {"count": 5}, {"size": (8, 9)}, {"start": 1.0}, {"end": 1.0}, {"fit": "cover"}
    ]  # fmt: skip
    keys += [clip_key(**ask | change) for change in changes]
    os.utime(path, ns=(0, 2))
    keys.append(clip_key(**ask))
    path.write_bytes(b"xy")
    os.utime(path, ns=(0, 2))
    keys.append(clip_key(**ask))
    assert len(set(keys)) == len(keys)
    assert clip_key(os.path.relpath(path), 4, (8, 8)) == keys[-1]
    with pytest.raises(FileNotFoundError):
        clip_key(str(tmp_path / "b.mp4"), 4, (8, 8))


def test_a_url_has_a_key_too(tmp_path):
    import fsspec

    with fsspec.open("memory://clips/a.mp4", "wb") as file:
        file.write(b"x")
    key = clip_key("memory://clips/a.mp4", 4, (8, 8))
    assert clip_key("memory://clips/a.mp4", 4, (8, 8)) == key
    with fsspec.open("memory://clips/a.mp4", "wb") as file:
        file.write(b"xyz")
    assert clip_key("memory://clips/a.mp4", 4, (8, 8)) != key
    with pytest.raises(OSError, match=r"memory://clips/b\.mp4"):
        clip_key("memory://clips/b.mp4", 4, (8, 8))
