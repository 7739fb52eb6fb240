"""Whole videos tracked: the files written, what is kept, what is refused."""

import json

import numpy as np
import pytest

from sora_tf import video
from sora_tf.data.boxes import Boxes
from sora_tf.tasks.detector import chunks, found_on
from sora_tf.tasks.track import track_files
from sora_tf.tasks.tracking import Line, Marks, Zone, read_mot
from sora_tf.tasks.tracking.follow import Source, Tracking, follow

SIDE = 12


class BrightSquare:
    """Finds the bright square of `film`, and counts how often it is asked."""

    labels = ("square",)
    size = (64, 96)
    threshold = 0.5
    step = 0.0

    def __init__(self):
        self.asked = []

    def detect(self, frames, first=0):
        self.asked.append(len(frames))
        rows = []
        for number, frame in enumerate(frames):
            y, x = np.nonzero(frame[..., 0] > 128)
            if len(y):
                box = [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
                rows.append((number + first, box))
        return Boxes([n for n, _ in rows], [b for _, b in rows], [0] * len(rows))


def square(x, y=20):
    picture = np.zeros((64, 96, 3), np.uint8)
    picture[y : y + SIDE, x : x + SIDE] = 255
    return picture


@pytest.fixture
def film(tmp_path):
    """20 frames at 10 a second: the square goes from the left 4 pixels a frame."""
    return str(video.write(tmp_path / "film.mp4", [square(4 * n) for n in range(20)], 10))


@pytest.fixture
def source():
    return Source(BrightSquare(), BrightSquare.labels, "bright")


MARKS = Marks(
    (Line("middle", (48, 64), (48, 0)),),
    (Zone("right", ((40, 0), (96, 0), (96, 64), (40, 64)), alert_seconds=0.5),),
)


def test_the_files_of_a_video(film, source, tmp_path):
    (answer,) = track_files([film], source, tmp_path / "out", Tracking(marks=MARKS))
    folder = tmp_path / "out" / "film"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("alerts.json", "annotated.mp4", "tracks.json", "tracks.txt"),
    ]
    assert (answer["frames"], answer["tracks"]) == (20, {"square": 1})
    assert answer["lines"] == {"middle": {"in": 1, "out": 0}}
    assert answer["zones"] == {"right": {"inside": 1, "entered": 1, "left": 0}}
    assert (answer["damage"], answer["kept"], answer["alerts"]) == (None, False, 1)
    found = read_mot(folder / "tracks.txt")
    assert found.frames.tolist() == list(range(20))
    np.testing.assert_allclose(found.boxes[:, 0], 4 * np.arange(20), atol=1)
    # Its middle is at 4n + 6: inside from 40 on, which is n = 9.
    assert json.loads((folder / "alerts.json").read_text()) == [
        {"zone": "right", "identity": 1, "class": "square", "since": 0.9, "until": 1.9}
    ]
    record = json.loads((folder / "tracks.json").read_text())
    assert (record["width"], record["height"], record["fps"]) == (96, 64, 10)
    assert (record["tracks"][0]["first"], record["tracks"][0]["last"]) == (0, 19)
    shown = video.read(folder / "annotated.mp4")
    assert shown.frames.shape == (20, 64, 96, 3)
    assert (shown.frames[15] != square(60)).any()


def test_what_is_finished_is_not_redone(film, source, tmp_path):
    settings = Tracking(drawn=False)
    (first,) = track_files([film], source, tmp_path / "out", settings)
    asked = list(source.boxes.asked)
    (again,) = track_files([film], source, tmp_path / "out", settings)
    assert again == {**first, "kept": True}
    assert source.boxes.asked == asked
    for other in (Tracking(every=2, drawn=False), Tracking(marks=MARKS, drawn=False)):
        (changed,) = track_files([film], source, tmp_path / "out", other)
        assert not changed["kept"]
    # An interrupted one has no tracks.json.
    (tmp_path / "out" / "film" / "tracks.json").unlink()
    (made,) = track_files([film], source, tmp_path / "out", other)
    assert not made["kept"]


def test_an_interrupted_film_leaves_nothing_half_written(film, source, tmp_path):
    def interrupt(items, unit, total):
        assert (unit, total) == ("frames", 20)
        for number, item in enumerate(items):
            if number == 5:
                raise KeyboardInterrupt
            yield item

    with pytest.raises(KeyboardInterrupt):
        list(track_files([film], source, tmp_path / "out", bar=interrupt))
    assert list((tmp_path / "out" / "film").iterdir()) == []


def test_one_of_every_so_many_frames_keeps_its_number(film, source, tmp_path):
    (answer,) = track_files([film], source, tmp_path / "out", Tracking(every=3))
    assert answer["frames"] == 7
    found = read_mot(tmp_path / "out" / "film" / "tracks.txt")
    assert found.frames.tolist() == [0, 3, 6, 9, 12, 15, 18]
    assert set(found.identities) == {1}
    assert video.probe(tmp_path / "out" / "film" / "annotated.mp4").fps == pytest.approx(10 / 3)


def test_frames_are_shown_a_few_at_a_time(film, source):
    seen = list(follow(film, source, Tracking()))
    assert source.boxes.asked == [8, 8, 4]
    assert [frame.frame for frame in seen] == list(range(20))
    np.testing.assert_allclose([frame.time for frame in seen], np.arange(20) / 10)


def test_large_frames_are_shown_one_by_one(film, source, monkeypatch):
    monkeypatch.setattr("sora_tf.tasks.detector.CHUNK_BYTES", 64 * 96 * 3 * 2)
    assert [len(chunk.numbers) for chunk in chunks(film)] == [2] * 10
    monkeypatch.setattr("sora_tf.tasks.detector.CHUNK_BYTES", 1)
    assert [found_on(source.boxes, c).frames.tolist() for c in chunks(film, 10)] == [[0], [10]]


def test_a_video_of_one_frame(source, tmp_path):
    path = str(video.write(tmp_path / "one.mp4", [square(8)], 10))
    (answer,) = track_files([path], source, tmp_path / "out")
    assert (answer["frames"], answer["tracks"]) == (1, {"square": 1})


def test_boxes_given_in_place_of_a_detector(film, tmp_path):
    boxes = Boxes(np.arange(20), [[4 * n, 20, SIDE, SIDE] for n in range(20)], [0] * 20)
    (answer,) = track_files([film], Source(boxes, ("object",), ""), tmp_path / "out")
    assert answer["tracks"] == {"object": 1}


def test_boxes_of_another_video(film, tmp_path):
    boxes = Boxes([0, 20], [[0, 0, 9, 9]] * 2, [0, 0])
    (answer,) = track_files([film], Source(boxes, ("object",), ""), tmp_path / "out")
    assert answer["error"] == (
        f"{film}: boxes must be on frames of the video, got one on frame 21 of 20. Give the boxes "
        "of this video."
    )
    assert list((tmp_path / "out" / "film").iterdir()) == []


def test_boxes_outside_the_picture(film, tmp_path):
    # One hangs over the border by half, one is wholly outside.
    boxes = Boxes([0, 0], [[90, 0, 12, 10], [96, 0, 12, 10]], [0, 0])
    (answer,) = track_files([film], Source(boxes, ("object",), ""), tmp_path / "out")
    assert answer["damage"] == "1 boxes lie outside the picture of 96 by 64 pixels"
    found = read_mot(tmp_path / "out" / "film" / "tracks.txt")
    assert found.boxes.tolist() == [[90, 0, 6, 10]]


def test_a_bad_file_is_named_and_the_rest_go_on(film, source, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    answers = list(track_files([str(bad), film], source, tmp_path / "out"))
    assert [answer["path"] for answer in answers] == [str(bad), film]
    assert answers[0]["error"].startswith(f"{bad}: cannot open")
    assert answers[1]["frames"] == 20


def test_a_damaged_film_is_tracked_as_far_as_it_goes(film, source, tmp_path):
    whole = (tmp_path / "film.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[:-200])
    (answer,) = track_files([str(tmp_path / "cut.mp4")], source, tmp_path / "out")
    assert 0 < answer["frames"] < 20
    assert answer["damage"]


def test_a_line_beside_the_picture_is_the_video_s_error(film, source, tmp_path):
    marks = Marks((Line("gate", (0, 50), (500, 50)),))
    (answer,) = track_files([film], source, tmp_path / "out", Tracking(marks=marks))
    assert "'gate' must lie on the picture of 96 by 64 pixels" in answer["error"]


def test_videos_of_one_name_get_folders_of_their_own(film, source, tmp_path):
    (tmp_path / "other").mkdir()
    other = video.write(tmp_path / "other" / "film.mp4", [square(8)] * 3, 10)
    answers = track_files([film, str(other)], source, tmp_path / "out", Tracking(drawn=False))
    assert [(a["frames"], a["folder"]) for a in answers] == [
        (20, str(tmp_path / "out" / "film")),
        (3, str(tmp_path / "out" / "film-2")),
    ]
