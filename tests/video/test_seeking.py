import numpy as np
import pytest
from films import check_sparse, greys, noise, numbers, on_screen

from sora_tf import video
from sora_tf.video import film as film_module

B_FRAMES = {"bf": "3", "x264-params": "b-adapt=0:scenecut=0"}
OPEN_GOP = {"bf": "3", "x264-params": "open-gop=1:b-adapt=0:scenecut=0"}


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("b.mp4", "libx264", B_FRAMES),
        ("open.mp4", "libx264", OPEN_GOP),
        ("refresh.mp4", "libx264", {"x264-params": "intra-refresh=1"}),
        ("b.mkv", "libx264", B_FRAMES),
        ("b.ts", "libx264", B_FRAMES),
        ("b.flv", "libx264", B_FRAMES),
        ("mpeg2.ts", "mpeg2video", {"bf": "2"}),
        ("mpeg4.avi", "mpeg4", {"bf": "2"}),
        ("mpeg4.mp4", "mpeg4", {"bf": "2"}),
        ("hevc.mp4", "libx265", {"x265-params": "log-level=none:bframes=3"}),
        ("vp9.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8"}),
        ("av1.mp4", "libsvtav1", {"preset": "12"}),
        ("pictures.avi", "mjpeg", {"strict": "unofficial"}),
    ],
)
def test_frames_at_times_are_the_frames_of_a_full_decode(tmp_path, name, codec, options):
    try:
        path = video.write(
            tmp_path / name, noise(260), 25, codec=codec, keyframes_every=40, options=options
        )
    except ValueError as error:  # PyAV's UnknownCodecError is one
        pytest.skip(f"this build of ffmpeg has no {codec}: {error}")
    full = check_sparse(path, 6)
    assert len(full.times) == 260
    assert full.damage is None
    check_sparse(path, 60, seed=1)
    for start in (4.0, 7.77, 10.2):
        part = video.read(path, start=start, size=(40, 56))
        places = np.flatnonzero(full.times >= start - 1e-5)
        np.testing.assert_array_equal(part.times, full.times[places])
        np.testing.assert_array_equal(part.frames, full.frames[places])


def test_an_mp4_in_fragments(tmp_path):
    path = video.write(
        tmp_path / "fragments.mp4", noise(260), 25, keyframes_every=40, options=B_FRAMES,
        container_options={"movflags": "+frag_keyframe+empty_moov"},
    )  # fmt: skip
    assert b"moof" in path.read_bytes()
    for seed, count in enumerate((6, 60)):
        assert len(check_sparse(path, count, seed).times) == 260


def test_few_frames_of_a_long_film_cost_few_decodes(tmp_path, monkeypatch):
    path = video.write(tmp_path / "long.mp4", noise(600), 25, keyframes_every=30, options=B_FRAMES)
    decoded = []
    decode = film_module.Film.decode
    monkeypatch.setattr(
        film_module.Film, "decode", lambda self, packet: decoded.append(1) or decode(self, packet)
    )
    asked = [4.0, 12.0, 20.0]
    video.read(path, asked)
    # Frames 100, 300 and 500 lie 10, 0 and 20 frames behind their keyframes (90, 300, 480).
    assert len(decoded) < 3 * 30 + 10
    decoded.clear()
    got = video.read(path, asked, snap=0.9)
    # Keyframes 90 (3.6 s), 300 (12 s) and 510 (20.4 s) are the nearest.
    np.testing.assert_allclose(got.times, [3.6, 12.0, 20.4])
    assert len(decoded) < 15


@pytest.mark.parametrize("name", ["snap.mp4", "snap.mkv", "snap.ts"])
def test_snap_gives_true_frames_near_the_times_asked(tmp_path, name):
    path = video.write(tmp_path / name, noise(400), 25, keyframes_every=40, options=B_FRAMES)
    full = video.read(path)
    rng = np.random.default_rng(3)
    for snap in (0.1, 0.5, 5.0):
        asked = np.sort(rng.random(10)) * 16
        got = video.read(path, asked, snap=snap)
        places = np.searchsorted(full.times, got.times - 1e-6)
        np.testing.assert_array_equal(got.times, full.times[places])
        np.testing.assert_array_equal(got.frames, full.frames[places])
        exact = full.times[on_screen(full.times, asked)]
        near = np.abs(got.times - asked) <= snap + 1e-4
        assert (near | (got.times == exact)).all()


def test_a_film_whose_index_lies_still_gives_the_right_frames(tmp_path):
    path = video.write(tmp_path / "lies.mp4", greys(80), 8, keyframes_every=10)
    data = bytearray(path.read_bytes())
    place = data.index(b"stss") + 8  # after it: the count, then frame numbers from 1
    count = int.from_bytes(data[place : place + 4], "big")
    assert count == 8
    for entry in range(count):  # keyframes 1, 11, 21 ... are now said to be 1, 14, 24 ...
        at = place + 4 + 4 * entry
        number = int.from_bytes(data[at : at + 4], "big")
        data[at : at + 4] = (number + 3 * (entry > 0)).to_bytes(4, "big")
    path.write_bytes(data)
    got = video.read(path, at=[9.5, 4.0, 7.2])
    np.testing.assert_array_equal(numbers(got.frames), [76, 32, 57])


@pytest.mark.parametrize("pattern", ["fight/*/*5.mp4", "drone/**/*AIRPLANE*07.mp4", "sleap/*.mp4"])
def test_real_films(shared_data, pattern):
    paths = sorted(shared_data.glob(pattern))
    assert paths
    for path in paths[:8]:
        check_sparse(path, 8)
