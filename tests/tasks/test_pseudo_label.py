"""A detector's boxes as labels: what is asked for, kept, written, and read again."""

import json
import os

import numpy as np
import pytest

from sora_tf import video
from sora_tf.data.box_files import read_boxes
from sora_tf.data.boxes import Annotated, Boxes
from sora_tf.data.index import Clip
from sora_tf.data.problems import Problems
from sora_tf.tasks.pseudo_label import pseudo_label, write_coco


class Halves:
    """Finds the left half of every bright frame, a cat of 0.9 and a dog of 0.4."""

    labels = ("cat", "cow", "dog")
    size = (20, 40)
    threshold = 0.3
    step = 0.0

    def __init__(self):
        self.asked = 0

    def detect(self, frames, first=0):
        assert frames.shape[1:] == (20, 40, 3)
        self.asked += len(frames)
        bright = np.nonzero(frames.mean((1, 2, 3)) > 128)[0] + first
        frames = bright.repeat(2)
        boxes = [[0, 0, 20, 20]] * len(frames)
        return Boxes(frames, boxes, [0, 2] * len(bright), [0.9, 0.4] * len(bright))


@pytest.fixture
def film(tmp_path):
    """12 frames of 80 by 40; bright from frame 6 on."""
    frames = np.zeros((12, 40, 80, 3), np.uint8)
    frames[6:] = 255
    return str(video.write(tmp_path / "film.mp4", frames, 10))


def test_some_frames_some_classes_in_pixels_of_the_video(film):
    labelled = pseudo_label(Halves(), [film], ("dog", "cat"), threshold=0.3, every=4)
    assert list(labelled) == [film]
    boxes = labelled[film].boxes
    assert labelled[film].frames.tolist() == [0, 4, 8]
    assert boxes.frames.tolist() == [8, 8]
    assert boxes.boxes.tolist() == [[0, 0, 40, 40]] * 2
    assert boxes.labels.tolist() == [1, 0]
    np.testing.assert_allclose(boxes.scores, [0.9, 0.4])


def test_the_threshold(film):
    boxes = pseudo_label(Halves(), [film], ("cat", "dog"), threshold=0.5, every=4)[film].boxes
    assert boxes.labels.tolist() == [0]


def test_a_video_is_looked_at_once(film, tmp_path, caplog):
    detector, cache = Halves(), tmp_path / "cache"
    first = pseudo_label(detector, [film], ("cat",), every=4, cache=cache, key="a")
    again = pseudo_label(detector, [film], ("cat", "dog"), 0.1, every=4, cache=cache, key="a")
    assert detector.asked == 3
    assert len(again[film].boxes) == 2 * len(first[film].boxes) == 2
    assert again[film].frames.tolist() == [0, 4, 8]
    pseudo_label(detector, [film], ("cat",), every=6, cache=cache, key="a")
    pseudo_label(detector, [film], ("cat",), every=4, cache=cache, key="b")
    assert detector.asked == 3 + 2 + 3
    for entry in cache.glob("*.json"):
        entry.write_text('{"looked": 3')
    pseudo_label(detector, [film], ("cat",), every=4, cache=cache, key="a")
    assert detector.asked == 8 + 3
    assert "the cache's copy does not read" in caplog.text


def test_a_bad_video_is_named_and_the_rest_go_on(film, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    problems = Problems()
    videos = [str(tmp_path / "bad.mp4"), film, str(tmp_path / "none.mp4")]
    for cache in (None, tmp_path / "cache"):
        found = pseudo_label(Halves(), videos, ("cat",), cache=cache, problems=problems)
        assert list(found) == [film]
    assert problems.names() == {videos[0], videos[2]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("horse",)}, "classes must be one of cat, cow, dog, got 'horse'"),
        ({"classes": ("cat",), "threshold": 2}, "threshold must be from 0 to 1, got 2"),
        ({"classes": ("cat",), "every": 0}, "every must be at least 1 frames, got 0"),
    ],
)
def test_mistakes(change, words):
    with pytest.raises(ValueError, match=words):
        pseudo_label(Halves(), [], **change)


def test_coco_s_file_says_the_same(film, tmp_path):
    boxes = Boxes([4, 8], [[1, 2, 3, 4], [5, 6, 7.5, 8]], [1, 0], [0.5, 0.25], [-1, 3])
    path = tmp_path / "boxes.json"
    write_coco({film: Annotated(boxes, np.array([0, 4, 8]))}, ("cat", "dog"), path)
    written = json.loads(path.read_text())
    assert [image["frame_id"] for image in written["images"]] == [0, 4, 8]
    assert written["annotations"][0] == {
        "id": 1, "image_id": 2, "category_id": 2, "bbox": [1, 2, 3, 4], "area": 12, "iscrowd": 0,
        "score": 0.5,
    }  # fmt: skip
    found, labels = read_boxes(path, [Clip(film, "-")])
    assert labels == ("cat", "dog")
    assert found[film].frames.tolist() == [0, 4, 8]
    again = found[film].boxes
    for name in ("frames", "boxes", "labels", "identities"):
        np.testing.assert_array_equal(getattr(again, name), getattr(boxes, name))


@pytest.mark.slow
def test_the_coco_detector_labels_people(shared_data, tmp_path):
    from sora_tf.models.coco_detector import CocoDetector

    (weights,) = (shared_data / "weights").glob("*.tgz")
    film = str(shared_data / "pets09" / "vtest.avi")
    labelled = pseudo_label(CocoDetector(weights, 0.05), [film], ("person",), every=100)
    write_coco(labelled, ("person",), tmp_path / "boxes.json")
    found, _ = read_boxes(tmp_path / "boxes.json", [Clip(film, "-")])
    assert found[film].frames.tolist() == list(range(0, 795, 100))
    assert len(found[film].boxes) == len(labelled[film].boxes) > 15


def test_a_video_named_from_here_is_found_from_anywhere(film, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.path.basename(film)
    write_coco(pseudo_label(Halves(), [name], ("cat",), every=4), ("cat",), "boxes.json")
    monkeypatch.chdir("/")
    known, _ = read_boxes(tmp_path / "boxes.json", [Clip(film, "-")])
    assert len(known[film].boxes)
