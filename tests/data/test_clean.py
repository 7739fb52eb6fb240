import json
import shutil

import av
import numpy as np
import pytest

from sora_tf.data import Clip, inspect_clips, read_index
from sora_tf.video import write

NAMES = (
    *("good", "also good", "frozen", "black", "uniform", "short"),
    *("copy", "remuxed", "empty", "text", "gone"),
)


def noise(seed, frames=20):
    """Coarse noise: fine noise is averaged to grey when made small."""
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, 8, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2)


def remux(source, target):
    """The same packets in another container."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        stream = inside.streams.video[0]
        copy = outside.add_stream_from_template(stream)
        for packet in inside.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                outside.mux(packet)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    grey = np.full((20, 64, 64, 3), 128, np.uint8)
    for name, frames in {
        "good": noise(0),
        "also good": noise(1),
        "frozen": noise(2, 1).repeat(20, axis=0),
        "black": grey * 0,
        "uniform": grey,
        "short": noise(3, 2),
    }.items():
        write(folder / f"{name}.mp4", frames, 10.0)
    shutil.copy(folder / "good.mp4", folder / "copy.mp4")
    remux(folder / "also good.mp4", folder / "remuxed.mkv")
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "text.mp4").write_text("no film")
    found = []
    for name in NAMES:
        suffix = "mkv" if name == "remuxed" else "mp4"
        label = "b" if name == "copy" else "a"
        split = "test" if name == "remuxed" else "train"
        found.append(Clip(str(folder / f"{name}.{suffix}"), label, split=split))
    return found


def test_everything_that_is_wrong_is_found(clips):
    seen = []
    report = inspect_clips(clips, min_frames=4, progress=lambda *done: seen.append(done))
    problems = {f.name.rsplit("/")[-1]: f.problem for f in report.findings}
    assert problems == {
        "frozen.mp4": "frozen",
        "black.mp4": "black",
        "uniform.mp4": "uniform",
        "short.mp4": "short",
        "copy.mp4": "duplicate",
        "remuxed.mkv": "duplicate",
        "empty.mp4": "empty",
        "text.mp4": "unreadable",
        "gone.mp4": "unreadable",
    }
    assert report.good == tuple(clips[:2])
    assert seen == [(i, 11) for i in range(1, 12)]
    details = {f.name.rsplit("/")[-1]: f.detail for f in report.findings}
    good, also = clips[0].path, clips[1].path
    assert details["copy.mp4"] == f"same file as {good}, which is labelled 'a' and not 'b'"
    assert details["remuxed.mkv"] == f"same pictures as {also}, which is in 'train' and not 'test'"
    assert details["short.mp4"] == "2 frames, wanted 4"


def test_the_report_as_text_and_as_json(clips):
    report = inspect_clips(clips, min_frames=4)
    # 10 clips of label a, 1 of b.
    assert report.counts == {"a": 10, "b": 1}
    assert report.imbalance == 10.0
    text = report.table()
    assert "2 of 11 clips are good" in text
    assert "10.0 times the clips of the smallest" in text
    assert f"short       {clips[5].name}  (2 frames, wanted 4)" in text.splitlines()
    values = json.loads(report.to_json())
    assert values["good"] == [clip.name for clip in clips[:2]]
    assert values["counts"] == {"a": 10, "b": 1}
    assert values["findings"][0]["problem"] == "frozen"


def test_a_damaged_film_is_told(tmp_path):
    path = tmp_path / "a.mp4"
    write(path, noise(5, 60), 10.0)
    data = bytearray(path.read_bytes())
    third = len(data) // 3
    data[third : third + 600] = bytes(byte ^ 0x5A for byte in data[third : third + 600])
    path.write_bytes(data)
    report = inspect_clips([Clip(str(path), "a")])
    assert [finding.problem for finding in report.findings] == ["damaged"]
    assert report.good == ()


def test_parts_of_one_film_are_no_duplicates(clips):
    path = clips[0].path
    parts = [Clip(path, "a", 0.0, 1.0), Clip(path, "a", 1.0, 2.0), Clip(path, "a", 0.0, 1.0)]
    copied = Clip(clips[6].path, "a", 1.0, 2.0)  # the same film in another file
    report = inspect_clips([*parts, copied])
    assert report.good == tuple(parts[:2])
    assert [(f.name, f.problem, f.detail) for f in report.findings] == [
        (parts[2].name, "duplicate", f"same file as {path} [0-1]"),
        (copied.name, "duplicate", f"same file as {path} [1-2]"),
    ]


def test_a_faint_change_in_a_corner_is_no_frozen_film(tmp_path):
    frames = noise(6, 1).repeat(20, axis=0) // 2
    frames[::2, :8, :8] += 10  # grey levels
    write(tmp_path / "a.mp4", frames, 10.0)
    assert inspect_clips([Clip(str(tmp_path / "a.mp4"), "a")]).findings == ()


def test_real_clips_are_good(shared_data):
    index = read_index(shared_data / "fight")
    report = inspect_clips(index[:5] + index[-5:])
    assert report.counts == {"fight": 5, "noFight": 5}
    assert report.findings == ()


def test_odd_files_never_stop_it(shared_data):
    paths = sorted(path for path in (shared_data / "odd-videos").rglob("*") if path.is_file())
    clips = [Clip(str(path), "a") for path in paths if path.stat().st_size < 200_000][:25]
    report = inspect_clips(clips)
    bad = {finding.name for finding in report.findings}
    assert {clip.name for clip in report.good} | bad == {clip.name for clip in clips}


def test_bad_arguments(clips):
    with pytest.raises(ValueError, match="clips must not be empty"):
        inspect_clips([])
    with pytest.raises(ValueError, match="min_frames must be at least 1"):
        inspect_clips(clips, min_frames=0)
