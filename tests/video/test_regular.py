import numpy as np
import pytest
from films import greys, noise, numbers, stamped

from sora_tf.video import frames_every, write
from sora_tf.video.regular import next_cut


def taken(path, step, **options):
    found = list(frames_every(path, step, **options))
    return [time for time, _ in found], numbers(np.stack([picture for _, picture in found]))


def test_the_first_frame_of_each_stretch(tmp_path):
    path = write(tmp_path / "a.mp4", greys(50), 25)
    times, shown = taken(path, 0.2)  # 0.2 s are 5 frames
    np.testing.assert_allclose(times, np.arange(10) * 0.2)
    assert shown.tolist() == list(range(0, 50, 5))
    # 0.1 s are 2.5 frames: of 0.04·k, the first at or after 0.1 is k = 3, after 0.2 is k = 5.
    assert taken(path, 0.1)[1].tolist()[:5] == [0, 3, 5, 8, 10]


def test_a_stretch_without_a_frame_gives_none(tmp_path):
    path = stamped(tmp_path / "a.mkv", greys(4), [0, 100, 1000, 1050])
    times, shown = taken(path, 0.2)
    np.testing.assert_allclose(times, [0, 1.0])
    assert shown.tolist() == [0, 2]


@pytest.mark.parametrize("seen", [1, 7, 20, 24])
def test_a_reading_goes_on_where_one_stopped(tmp_path, seen):
    path = write(tmp_path / "a.mp4", greys(75), 25, keyframes_every=20)
    times, shown = taken(path, 0.12)
    rest, more = taken(path, 0.12, start=next_cut(times[seen - 1], 0.12))
    np.testing.assert_allclose(rest, times[seen:])
    np.testing.assert_array_equal(more, shown[seen:])


def test_damage_is_told_at_the_end(tmp_path):
    whole = write(tmp_path / "a.mp4", noise(100), 25).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    told = []
    found = list(frames_every(tmp_path / "cut.mp4", 0.2, damaged=told.append))
    assert 0 < len(found) < 20
    assert len(told) == 1


def test_a_pace_of_nothing_is_refused():
    with pytest.raises(ValueError, match="step must be above 0 s"):
        frames_every("a.mp4", 0.0)
