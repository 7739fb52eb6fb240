import av
import numpy as np
import pytest
from films import greys, numbers

from sora_tf import video


def test_frames_come_back_from_an_array_and_an_iterator(tmp_path):
    frames = greys(12)
    for name, given in (("array.mp4", frames), ("iterator.mp4", iter(frames))):
        path = video.write(tmp_path / name, given, 12.5)
        got = video.read(path)
        np.testing.assert_array_equal(numbers(got.frames), np.arange(12))
        np.testing.assert_allclose(got.times, np.arange(12) / 12.5, atol=1e-4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["array.mp4", "iterator.mp4"]


def test_keyframes_come_as_often_as_asked(tmp_path):
    path = video.write(tmp_path / "film.mp4", greys(50), 25, keyframes_every=10)
    with av.open(str(path)) as container:
        keys = [p.is_keyframe for p in container.demux(video=0) if p.size]
    assert np.flatnonzero(keys).tolist() == [0, 10, 20, 30, 40]


@pytest.mark.parametrize(("size", "expected"), [((48, 64), "yuv420p"), ((47, 64), "yuv444p")])
def test_pixel_format_by_size(tmp_path, size, expected):
    path = video.write(tmp_path / "film.mp4", greys(2, *size), 5)
    assert video.probe(path).pixel_format == expected


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([], "one frame or more, got 0"),
        ([np.zeros((4, 4), np.uint8)], r"must be \(H, W, 3\) uint8"),
        ([np.zeros((4, 4, 3), np.float32)], "float32"),
        ([np.zeros((4, 4, 3), np.uint8), np.zeros((6, 4, 3), np.uint8)], "at frame 1"),
    ],
)
def test_what_is_no_film_leaves_no_file(tmp_path, frames, message):
    with pytest.raises(ValueError, match=message):
        video.write(tmp_path / "film.mp4", frames, 25)
    assert not list(tmp_path.iterdir())


def test_a_film_is_never_half_replaced(tmp_path):
    path = video.write(tmp_path / "film.mp4", greys(3), 25)
    before = path.read_bytes()

    def failing():
        yield greys(1)[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video.write(path, failing(), 25)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["film.mp4"]


def test_arguments_out_of_range(tmp_path):
    with pytest.raises(ValueError, match="fps must be above 0"):
        video.write(tmp_path / "film.mp4", greys(2), 0)
    with pytest.raises(ValueError, match="keyframes_every must be at least 1"):
        video.write(tmp_path / "film.mp4", greys(2), 25, keyframes_every=0)


def test_the_same_frames_give_the_same_file(tmp_path):
    """Noise and a square that moves, small: what x264 encodes in another way at each run."""
    for seed in range(6):
        frames = np.random.default_rng(seed).integers(60, 140, (8, 64, 96, 3), dtype=np.uint8)
        for number, frame in enumerate(frames):
            frame[20:38, 30 + number : 48 + number] = (220, 60, 60)
        found = {video.write(tmp_path / f"{n}.mp4", frames, 10).read_bytes() for n in range(6)}
        assert len(found) == 1
