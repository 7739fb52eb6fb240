import numpy as np
import pytest
from films import greys, noise, numbers, stamped

from sora_tf import video
from sora_tf.video import VideoError


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """60 numbered frames at 20 a second, 3 s."""
    path = tmp_path_factory.mktemp("sample") / "film.mp4"
    return video.write(path, greys(60), 20, keyframes_every=10)


def test_centres_of_equal_segments(film):
    # Four segments of 0.75 s: centres 0.375, 1.125, 1.875, 2.625 s lie on frames 7, 22, 37, 52.
    got = video.sample(film, 4)
    np.testing.assert_array_equal(numbers(got.frames), [7, 22, 37, 52])
    np.testing.assert_allclose(got.times, [0.35, 1.1, 1.85, 2.6], atol=1e-9)


def test_a_part(film):
    # 1 s to 2 s in two segments: centres 1.25 and 1.75 s, frames 25 and 35.
    np.testing.assert_array_equal(numbers(video.sample(film, 2, start=1, end=2).frames), [25, 35])


def test_random_places_fall_one_in_each_segment(film):
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(20):
        places = numbers(video.sample(film, 6, rng=rng, size=(16, 16)).frames)
        np.testing.assert_array_equal(places // 10, np.arange(6))
        seen.update(places.tolist())
    assert len(seen) > 40


@pytest.mark.parametrize("count", [60, 61, 500])
def test_a_short_film_gives_all_of_it(film, count):
    got = video.sample(film, count, size=(16, 16))
    np.testing.assert_array_equal(numbers(got.frames), np.arange(60))


def test_uneven_times_still_give_different_frames(tmp_path):
    # Nineteen frames in the first second, the last stands for 20 s: centres of equal segments
    # would fall on it again and again.
    ticks = [50 * k for k in range(19)] + [1000, 21000]
    path = stamped(tmp_path / "uneven.mkv", greys(21), ticks)
    got = video.sample(path, 7)
    # By place: (i + ½)·21/7 = 1.5, 4.5, ... -> frames 1, 4, 7, 10, 13, 16, 19.
    np.testing.assert_array_equal(numbers(got.frames), [1, 4, 7, 10, 13, 16, 19])


def test_a_film_without_a_duration(tmp_path):
    path = video.write(tmp_path / "film.mkv", greys(60), 20)
    data = path.read_bytes()
    place = data.index(b"\x44\x89\x88")  # the element Duration, eight bytes long
    bare = tmp_path / "bare.mkv"
    bare.write_bytes(data[: place + 3] + bytes(8) + data[place + 11 :])
    assert video.probe(bare).duration is None
    np.testing.assert_array_equal(numbers(video.sample(bare, 4).frames), [7, 22, 37, 52])


def test_a_header_twice_as_long_as_the_film(tmp_path):
    path = video.write(tmp_path / "film.mkv", greys(60), 20)
    data = bytearray(path.read_bytes())
    place = data.index(b"\x44\x89\x88") + 3
    data[place : place + 8] = np.array([6000.0], ">f8").tobytes()  # ms
    path.write_bytes(data)
    assert video.probe(path).duration == pytest.approx(6.0)
    np.testing.assert_array_equal(numbers(video.sample(path, 4).frames), [7, 22, 37, 52])


def test_long_segments_take_keyframes_nearby(tmp_path):
    # 80 s in 4 segments of 20 s, keyframes each 2 s: a quarter of a segment is 5 s, so each
    # centre (10, 30, 50, 70 s), itself a keyframe here, or one within 5 s is taken.
    path = video.write(tmp_path / "long.mp4", noise(400), 5, keyframes_every=10)
    got = video.sample(path, 4, size=(16, 16))
    np.testing.assert_allclose(got.times % 2, 0, atol=1e-6)
    exact = video.sample(path, 4, size=(16, 16), snap=0.0)
    np.testing.assert_allclose(exact.times, [10, 30, 50, 70])


def test_where_no_frame_begins_the_one_on_screen_is_seen(tmp_path):
    path = video.write(tmp_path / "slow.mp4", noise(4), 0.2)  # a frame at 0, 5, 10 and 15 s
    assert video.sample(path, 3, start=6.0, end=8.0).times.tolist() == [5.0]
    assert video.sample(path, 3, start=16.0).times.tolist() == [15.0]
    with pytest.raises(VideoError, match="none between 30"):
        video.sample(path, 3, start=30.0, end=40.0)


def test_nothing_there(film):
    with pytest.raises(VideoError, match="none between 50") as caught:
        video.sample(film, 3, start=50, end=60)
    assert caught.value.kind == "no frames"
    with pytest.raises(ValueError, match="count must be at least 1"):
        video.sample(film, 0)
