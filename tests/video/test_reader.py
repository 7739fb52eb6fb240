import gc
import io
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from films import greys, noise, numbers, stamped

from sora_tf import video
from sora_tf.video import VideoError


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """60 numbered frames at 25 a second: frame k is shown from k/25 s on."""
    path = tmp_path_factory.mktemp("reader") / "film.mp4"
    return video.write(path, greys(60), 25, keyframes_every=15)


def test_every_frame_and_its_time(film):
    got = video.read(film)
    assert got.frames.shape == (60, 48, 64, 3)
    assert got.frames.dtype == np.uint8
    np.testing.assert_array_equal(numbers(got.frames), np.arange(60))
    np.testing.assert_allclose(got.times, np.arange(60) / 25, atol=1e-9)
    assert got.damage is None


def test_times_in_any_order_give_the_frame_on_screen(film):
    # At 25 frames/s frame k is on screen in [k/25, (k+1)/25): 0.5 s is in [12/25, 13/25), 0.04 s
    # is the first moment of frame 1, -1 s is before the film and 99 s after it (60 frames).
    got = video.read(film, at=[0.5, 0.04, 99.0, 0.5, -1.0, 2.0])
    np.testing.assert_array_equal(numbers(got.frames), [12, 1, 59, 12, 0, 50])
    np.testing.assert_allclose(got.times, [0.48, 0.04, 2.36, 0.48, 0.0, 2.0], atol=1e-9)


def test_nothing_is_left_to_the_garbage_collector(film):
    # A frame in a cycle keeps its decoder's memory: gigabytes after some films of 4K.
    def look():
        video.read(film, at=[0.5])
        video.sample(film, 4)
        video.probe(film)

    look()
    gc.collect()
    gc.disable()
    try:
        look()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_file_system_that_is_not_installed_is_said_so(monkeypatch):
    import fsspec

    def lacking(*arguments):
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec, "open", lacking)
    with pytest.raises(VideoError, match=r"cannot open: Install s3fs to access S3\. Use pip"):
        video.probe("s3://bucket/film.mp4")


def test_no_times_give_no_frames(film):
    got = video.read(film, at=[], size=(8, 9))
    assert got.frames.shape == (0, 8, 9, 3)
    assert got.times.shape == (0,)


@pytest.mark.parametrize(
    ("start", "end", "first", "last"),
    # Frames with start <= k/25 < end.
    [(None, 0.2, 0, 4), (0.4, 0.8, 10, 19), (0.41, None, 11, 59), (2.39, None, 60, 59)],
)
def test_a_part_between_two_times(film, start, end, first, last):
    got = video.read(film, start=start, end=end)
    np.testing.assert_array_equal(numbers(got.frames), np.arange(first, last + 1))


def test_frames_come_one_by_one(film):
    pairs = list(video.frames_of(film, start=1.0, end=1.2, size=(6, 8)))
    assert [round(time, 6) for time, _ in pairs] == [1.0, 1.04, 1.08, 1.12, 1.16]
    frames = np.stack([picture for _, picture in pairs])
    assert frames.shape == (5, 6, 8, 3)
    np.testing.assert_array_equal(numbers(frames), [25, 26, 27, 28, 29])


def test_frames_by_number(film):
    whole = list(video.frames_of(film))
    pairs = list(video.frames_of(film, numbers=[0, 7, 8, 59, 60, 200]))
    assert [time for time, _ in pairs] == [whole[n][0] for n in (0, 7, 8, 59)]
    for (_, picture), number in zip(pairs, (0, 7, 8, 59), strict=True):
        np.testing.assert_array_equal(picture, whole[number][1])
    assert list(video.frames_of(film, numbers=[60])) == []
    assert list(video.frames_of(film, numbers=[])) == []
    inside = list(video.frames_of(film, start=1.0, numbers=[0, 3]))
    assert [time for time, _ in inside] == pytest.approx([1.0, 1.12])


def test_one_of_every_so_many_frames(film):
    pairs = list(video.frames_of(film, every=25))
    assert [round(time, 6) for time, _ in pairs] == [0.0, 1.0, 2.0]
    np.testing.assert_array_equal(numbers([picture for _, picture in pairs]), [0, 25, 50])
    with pytest.raises(ValueError, match="every must be at least 1 frames, got 0"):
        video.frames_of(film, every=0)


def test_a_stream_says_at_its_end_what_was_wrong(film, tmp_path):
    told = []
    whole = film.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    frames = list(video.frames_of(tmp_path / "cut.mp4", damaged=told.append))
    assert 0 < len(frames) < 60
    assert told == [video.read(tmp_path / "cut.mp4").damage]
    list(video.frames_of(film, damaged=told.append))
    assert len(told) == 1


def test_variable_frame_rate(tmp_path):
    # Shown at 0, 100, 500 and 520 ms: at 0.499 s frame 1 still stands, at 0.5 s frame 2 comes.
    path = stamped(tmp_path / "uneven.mkv", greys(4), [0, 100, 500, 520])
    got = video.read(path)
    np.testing.assert_allclose(got.times, [0, 0.1, 0.5, 0.52], atol=1e-9)
    picked = video.read(path, at=[0.099, 0.1, 0.499, 0.5, 0.53])
    np.testing.assert_array_equal(numbers(picked.frames), [0, 1, 1, 2, 3])


def test_times_count_from_the_first_frame_shown(tmp_path):
    path = stamped(tmp_path / "late.mkv", greys(3), [5000, 5040, 5080])
    np.testing.assert_allclose(video.read(path).times, [0, 0.04, 0.08], atol=1e-9)
    np.testing.assert_array_equal(numbers(video.read(path, at=[0.05]).frames), [1])


def test_probe(film):
    info = video.probe(film)
    assert (info.width, info.height, info.coded_width, info.coded_height) == (64, 48, 64, 48)
    assert (info.codec, info.pixel_format, info.rotation, info.mirrored) == (
        "h264", "yuv420p", 0, False,
    )  # fmt: skip
    assert (info.fps, info.duration, info.declared_frames, info.has_audio) == (25, 2.4, 60, False)
    assert info.to_dict()["pixel_aspect"] == 1.0


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (47, 33)])
def test_odd_sizes_come_back(tmp_path, size):
    path = video.write(tmp_path / "odd.mp4", greys(5, *size), 10)
    got = video.read(path)
    assert got.frames.shape == (5, *size, 3)
    np.testing.assert_array_equal(numbers(got.frames), np.arange(5))


def test_a_file_object_a_url_and_a_path_give_the_same(film):
    import fsspec

    with fsspec.open("memory://films/film.mp4", "wb") as file:
        file.write(film.read_bytes())
    expected = video.read(film, at=[0.2, 1.9], size=(10, 12))
    with open(film, "rb") as file:
        sources = [file, io.BytesIO(film.read_bytes()), "memory://films/film.mp4", str(film)]
        sources += [f"file://{film}", _Pipe(film.read_bytes())]
        for source in sources:
            got = video.read(source, at=[0.2, 1.9], size=(10, 12))
            np.testing.assert_array_equal(got.frames, expected.frames)
            np.testing.assert_array_equal(got.times, expected.times)
        assert not file.closed


class _Pipe(io.BytesIO):
    def seekable(self):
        return False

    def seek(self, *place):
        raise io.UnsupportedOperation("seek")


class _Failing(io.BytesIO):
    def read(self, size=-1):
        raise ConnectionResetError("the line is cut")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("no/such/film.mp4", "cannot open"),
        (".", "cannot open"),
        ("a\0b", "cannot open"),
        ("x" * 5000, "cannot open"),
        ("memory://no/such/film.mp4", "cannot open"),
        ("nothing-like-it://film.mp4", "cannot open"),
        (io.BytesIO(b""), "cannot open"),
        (io.BytesIO(b"not a film at all" * 100), "cannot open"),
        (_Failing(b"x"), "cannot open"),
    ],
)
def test_what_cannot_be_opened_says_so_in_one_line(source, kind):
    for call in (video.probe, video.read, lambda s: list(video.frames_of(s))):
        with pytest.raises(VideoError) as caught:
            call(source)
        assert caught.value.kind == kind
        assert len(str(caught.value).splitlines()) == 1


def test_a_playlist_reaches_for_nothing(tmp_path, film):
    listed = tmp_path / "list.m3u8"
    listed.write_text(f"#EXTM3U\n#EXTINF:2,\n{film}\n#EXT-X-ENDLIST\n")
    concat = tmp_path / "list.ffconcat"
    concat.write_text(f"ffconcat version 1.0\nfile '{film}'\n")
    for path in (listed, concat, f"concat:{film}|{film}"):
        with pytest.raises(VideoError, match="cannot open"):
            video.read(path)


def test_sound_alone_is_no_video(tmp_path):
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", 8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(VideoError) as caught:
        video.read(path)
    assert caught.value.kind == "no video stream"


def test_the_limit_holds_before_memory_is_taken(film):
    # 60 frames of 48 x 64 x 3 = 9216 bytes are 552,960 bytes.
    assert len(video.read(film, limit=552_960).times) == 60
    with pytest.raises(VideoError, match="the limit is 552959") as caught:
        video.read(film, limit=552_959)
    assert caught.value.kind == "over the limit"
    with pytest.raises(VideoError, match="over the limit"):
        video.read(film, at=[0.1] * 1000, size=(5000, 5000))
    with pytest.raises(VideoError, match="over the limit"):
        video.read(film, size=(100_000, 100_000))


def test_headers_that_promise_the_sky_take_no_memory(tmp_path, film):
    huge = tmp_path / "huge.gif"
    # A GIF of one pixel whose header says 30,000 by 30,000 (0x7530, little end first).
    huge.write_bytes(
        b"GIF89a\x30\x75\x30\x75\x80\x00\x00\x00\x00\x00\xff\xff\xff"
        b",\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
    )
    many = tmp_path / "many.avi"
    video.write(many, greys(60), 25, codec="mjpeg", options={"strict": "unofficial"})
    data = bytearray(many.read_bytes())
    for place in (data.index(b"avih") + 24, data.index(b"strh") + 40):  # both say how many
        assert int.from_bytes(data[place : place + 4], "little") == 60
        data[place : place + 4] = (2**26).to_bytes(4, "little")
    many.write_bytes(data)
    assert video.probe(many).declared_frames == 2**26
    assert len(video.read(many).times) == 60
    code = f"""
import resource
from sora_tf import video
video.read({str(film)!r}, size=(16, 16))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in ({str(huge)!r}, {str(many)!r}):
    for call in (video.probe, lambda p: video.read(p, size=(16, 16)),
                 lambda p: video.sample(p, 8, size=(16, 16))):
        try:
            call(path)
        except video.VideoError as error:
            print(error)
print("KiB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("huge.gif: no frames") == 2
    assert "many.avi" not in done.stdout
    assert int(done.stdout.rsplit("KiB", 1)[1]) < 64 * 1024


def test_patience_ends_reading(tmp_path):
    path = video.write(tmp_path / "long.mp4", noise(200, 240, 320), 25)
    with pytest.raises(VideoError, match="patience") as caught:
        video.read(path, patience=0.0)
    assert caught.value.kind == "over the limit"
    got = video.read(path, patience=60.0)
    assert got.damage is None
    assert len(got.times) == 200


def test_patience_gives_what_there_is_by_then(tmp_path, monkeypatch):
    path = video.write(tmp_path / "film.mp4", greys(60), 25, keyframes_every=15)
    clock = iter(range(1000))  # every look at the clock takes a second
    monkeypatch.setattr("sora_tf.video.film.time.monotonic", lambda: next(clock))
    for asked in ({}, {"at": np.arange(60) / 25}):
        got = video.read(path, patience=70.0, **asked)
        assert 5 < len(got.times) < 60
        assert "70.0 s of patience" in got.damage
        np.testing.assert_array_equal(numbers(got.frames), np.arange(len(got.times)))


@pytest.mark.parametrize("threads", [2, 4])
def test_more_threads_give_the_same(film, threads):
    for asked in ({}, {"at": [0.3, 2.2, 1.1]}, {"start": 0.7}):
        one, more = video.read(film, **asked), video.read(film, **asked, threads=threads)
        np.testing.assert_array_equal(one.frames, more.frames)
        np.testing.assert_array_equal(one.times, more.times)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fit": "squeeze"}, "fit must be one of stretch, cover, contain"),
        ({"size": (0, 5)}, "size must be two whole numbers"),
        ({"size": (5,)}, "size must be two whole numbers"),
        ({"start": 2.0, "end": 1.0}, "end must be above 2.0"),
        ({"at": [1.0], "end": 1.0}, "at cannot go with"),
        ({"at": [float("nan")]}, "finite times"),
        ({"limit": 0}, "limit must be above 0"),
        ({"snap": -1.0}, "snap must be at least 0"),
    ],
)
def test_arguments_out_of_range(film, arguments, message):
    with pytest.raises(ValueError, match=message):
        video.read(film, **arguments)


def test_tensorflow_is_not_imported_for_a_film(film):
    code = (
        "import sys; from sora_tf import video; "
        f"video.read({str(film)!r}, at=[0.1]); video.sample({str(film)!r}, 3); "
        "assert not {'tensorflow', 'fsspec'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
