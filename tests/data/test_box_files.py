"""Boxes from files: COCO, MOT, YOLO and boxes a frame, all to the same boxes."""

import json
import logging

import numpy as np
import pytest

from sora_tf.data import Clip
from sora_tf.data.box_files import read_boxes
from sora_tf.data.boxes import NOBODY
from sora_tf.video import write

WIDTH, HEIGHT = 40, 20


@pytest.fixture
def clips(tmp_path):
    """Two videos of four frames, in two class folders."""
    made = []
    for label, name in (("bird", "one"), ("drone", "two")):
        path = tmp_path / label / f"{name}.mp4"
        path.parent.mkdir()
        write(path, np.zeros((4, HEIGHT, WIDTH, 3), np.uint8), fps=10)
        made.append(Clip(str(path), label))
    return made


def written(path, text):
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text))
    return path


def as_rows(known):
    """(frame, box, class, identity) of each, sorted."""
    boxes = known.boxes
    return sorted(
        (int(f), *map(float, b), int(c), int(i))
        for f, b, c, i in zip(
            boxes.frames, boxes.boxes, boxes.labels, boxes.identities, strict=True
        )
    )


def test_boxes_a_frame_take_their_class_from_the_clip(tmp_path, clips):
    given = {"one": [[1, 2, 3, 4], None, [[5, 6, 7, 8], [0, 0, 2, 2]]], "two": [None]}
    boxes, labels = read_boxes(written(tmp_path / "boxes.json", given), clips)
    assert labels == ("bird",)
    assert as_rows(boxes[clips[0].path]) == [
        (0, 1, 2, 3, 4, 0, NOBODY),
        (2, 0, 0, 2, 2, 0, NOBODY),
        (2, 5, 6, 7, 8, 0, NOBODY),
    ]
    assert boxes[clips[0].path].frames.tolist() == [0, 1, 2]
    assert len(boxes[clips[1].path].boxes) == 0  # looked at, and nothing there
    assert boxes[clips[1].path].frames.tolist() == [0]


def test_boxes_a_frame_may_name_their_class(tmp_path, clips):
    given = {"two.mp4": [[1, 2, 3, 4, "plane"], [[1, 2, 3, 4], [1, 1, 1, 1, "bird"]]]}
    boxes, labels = read_boxes(written(tmp_path / "boxes.json", given), clips)
    assert labels == ("bird", "drone", "plane")
    assert [row[5] for row in as_rows(boxes[clips[1].path])] == [2, 0, 1]
    assert clips[0].path not in boxes  # nobody looked


COCO = {
    "categories": [{"id": 7, "name": "bird"}, {"id": 9, "name": "drone"}],
    "videos": [{"id": 1, "name": "bird/one"}, {"id": 2, "name": "drone/two.mp4"}],
    "images": [
        {"id": 10, "video_id": 1, "frame_id": 3, "file_name": "x"},
        {"id": 11, "video_id": 2, "frame_id": 0, "file_name": "y"},
        {"id": 12, "video_id": 2, "frame_id": 1, "file_name": "z"},
    ],
    "annotations": [
        {"id": 1, "image_id": 10, "category_id": 7, "bbox": [1, 2, 3, 4], "track_id": 5},
        {"id": 2, "image_id": 11, "category_id": 9, "bbox": [30, 10, 30, 5]},
    ],
}


def test_coco_of_videos(tmp_path, clips):
    boxes, labels = read_boxes(written(tmp_path / "coco.json", COCO), clips)
    assert labels == ("bird", "drone")
    assert as_rows(boxes[clips[0].path]) == [(3, 1, 2, 3, 4, 0, 5)]
    assert as_rows(boxes[clips[1].path]) == [(0, 30, 10, 10, 5, 1, NOBODY)]  # cut at 40
    assert boxes[clips[1].path].frames.tolist() == [0, 1]


def test_coco_of_pictures_is_a_frame_each(tmp_path, clips):
    coco = {
        "categories": [{"id": 1, "name": "bird"}],
        "images": [{"id": 1, "file_name": "one.mp4"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
    }
    boxes, _ = read_boxes(written(tmp_path / "coco.json", coco), clips)
    assert list(boxes) == [clips[0].path]


def test_mot_of_one_video(tmp_path, clips):
    text = "1,4,1,2,3,4,1,1,1\n2,4,2,2,3,4,1,2,1\n2,5,0,0,1,1,0,1,1\n3,-1,5,5,5,5\n"
    boxes, labels = read_boxes(written(tmp_path / "mot" / "gt.txt", text), clips[:1])
    # Classes without names go by their number; the third box is marked as not to count.
    assert labels == ("1", "2", "bird")
    assert as_rows(boxes[clips[0].path]) == [
        (0, 1, 2, 3, 4, 0, 4),
        (1, 2, 2, 3, 4, 1, 4),
        (2, 5, 5, 5, 5, 2, NOBODY),
    ]


def test_mot_folder_with_names(tmp_path, clips):
    written(tmp_path / "mot" / "one.txt", "1,4,1,2,3,4,1,2,1\n")
    written(tmp_path / "mot" / "two" / "gt" / "gt.txt", "4,1,0,0,9,9,1,1,1\n")
    written(tmp_path / "mot" / "classes.txt", "person\nplane\n")
    boxes, labels = read_boxes(tmp_path / "mot", clips)
    assert labels == ("person", "plane")
    assert as_rows(boxes[clips[0].path]) == [(0, 1, 2, 3, 4, 1, 4)]
    assert as_rows(boxes[clips[1].path]) == [(3, 0, 0, 9, 9, 0, 1)]


@pytest.mark.parametrize(("numbers", "frames"), [((1, 3), [0, 2]), ((0, 2), [0, 2])])
def test_yolo_counts_from_0_where_there_is_a_frame_0(tmp_path, clips, numbers, frames):
    # Centre (0.5, 0.5), size (0.25, 0.5) of 40 × 20: 10 × 10 pixels from (15, 5).
    for number in numbers:
        written(tmp_path / "yolo" / f"one_{number}.txt", "1 0.5 0.5 0.25 0.5\n")
    written(tmp_path / "yolo" / "two_000.txt", "")
    written(tmp_path / "yolo" / "classes.txt", "bird\ndrone\n")
    boxes, labels = read_boxes(tmp_path / "yolo", clips)
    assert labels == ("drone",)
    assert as_rows(boxes[clips[0].path]) == [(f, 15, 5, 10, 10, 0, NOBODY) for f in frames]
    assert len(boxes[clips[1].path].boxes) == 0
    assert boxes[clips[0].path].frames.tolist() == frames


def test_what_hangs_out_is_cut_and_what_is_outside_left_out(tmp_path, clips, caplog):
    given = {"one": [[[-5, -5, 10, 10], [50, 5, 5, 5], [1, 1, 2, 2]]]}
    with caplog.at_level(logging.WARNING):
        boxes, _ = read_boxes(written(tmp_path / "boxes.json", given), clips)
    assert [row[1:5] for row in as_rows(boxes[clips[0].path])] == [(0, 0, 5, 5), (1, 1, 2, 2)]
    assert "1 of 3 boxes lie outside" in caplog.text


def test_boxes_of_another_video_are_found_out(tmp_path, clips):
    given = {"one": [[500, 400, 50, 50], [500, 400, 50, 50], [1, 1, 2, 2]]}
    with pytest.raises(ValueError, match=r"2 of the 3 boxes .* lie outside .* 40 × 20"):
        read_boxes(written(tmp_path / "boxes.json", given), clips)
    with pytest.raises(ValueError, match=r"none of its 1 videos \(other, ...\) is among them"):
        read_boxes(written(tmp_path / "boxes.json", {"other": [None]}), clips)


def test_videos_that_are_not_there_are_said(tmp_path, clips, caplog):
    with caplog.at_level(logging.WARNING):
        read_boxes(written(tmp_path / "boxes.json", {"one": [None], "gone": [None]}), clips)
    assert "1 videos are not among the clips, gone first" in caplog.text


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "must be JSON in UTF-8"),
        ("a.json", "[1]", "must hold an object, got a list"),
        ("a.json", {"one": 3}, "must be a list with the boxes of each frame, got 3"),
        ("a.json", {"one": [[1, 2, 3]]}, "frame 0: a box must be four numbers"),
        ("a.json", {"one": [[1, 2, 3, "x"]]}, "numbers are wanted, got 1, 2, 3, x"),
        ("a.json", '{"one": [[NaN, 2, 3, 4]]}', "frame 0: a box must be four finite numbers"),
        ("a.json", {**COCO, "categories": []}, "must be COCO JSON, but: it has no 7"),
        ("a.txt", "1,2,3\n", r"line 1: a line must be frame \(from 1\), identity"),
        ("a.txt", "1,1,1,1,1,1\n0,1,1,1,1,1\n", "line 2: frames are numbered from 1, got 0"),
        ("a.txt", "1,1,1,1,inf,1\n", "line 1: a box must be four finite numbers"),
        ("a.txt", "1,1,1,1,wide,1\n", "line 1: numbers are wanted"),
        ("y/one_1.txt", "0 0.5 0.5\n", "line 1: a line must be class, x, y, width and height"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path, clips, name, text, message):
    path = written(tmp_path / "given" / name, text)
    with pytest.raises(ValueError, match=message):
        read_boxes(path if path.parent.name == "given" else path.parent, clips[:1])


def test_no_file_and_no_text_are_said(tmp_path, clips):
    with pytest.raises(FileNotFoundError, match="there is no file or folder"):
        read_boxes(tmp_path / "gone.json", clips)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="must hold texts of boxes, got none"):
        read_boxes(tmp_path / "empty", clips)


def test_one_text_for_many_videos_is_refused(tmp_path, clips):
    with pytest.raises(ValueError, match="there must be one, got 2"):
        read_boxes(written(tmp_path / "gt.txt", "1,1,1,1,1,1\n"), clips)


def test_a_name_that_may_be_two_videos_is_refused(tmp_path, clips):
    other = tmp_path / "more" / "one.mp4"
    other.parent.mkdir()
    other.write_bytes(b"")
    with pytest.raises(ValueError, match=r"'one' may be .* Name its folder too"):
        read_boxes(
            written(tmp_path / "boxes.json", {"one": [None]}), [*clips, Clip(str(other), "bird")]
        )


def test_real_boxes(shared_data):
    boxes, labels = read_boxes(
        shared_data / "sleap" / "gt.txt", [Clip(str(shared_data / "sleap" / "clip.mp4"), "-")]
    )
    found = next(iter(boxes.values())).boxes
    assert labels == ("1",)
    assert len(found) == 3000
    assert found.frames.max() == 1499
    assert set(found.identities) == {1, 2}
