"""MOT text and tracks as JSON: read, written, and what is refused."""

import numpy as np
import pytest

from sora_tf.data.boxes import NOBODY, Boxes
from sora_tf.tasks.tracking import read_mot, write_mot
from sora_tf.tasks.tracking.files import tracks_of


def written(tmp_path, text):
    path = tmp_path / "boxes.txt"
    path.write_text(text)
    return path


def test_rows_with_and_without_a_score(tmp_path):
    path = written(tmp_path, "1,7,10,20,30.5,40\n\n3,-1,1,2,3,4,0.5,-1,-1,-1\n2,5,0,0,9,9,0,1\n")
    boxes = read_mot(path)
    assert boxes.frames.tolist() == [0, 2]  # frames count from 1; a score of 0 is passed over
    assert boxes.identities.tolist() == [7, NOBODY]
    assert boxes.boxes.tolist() == [[10, 20, 30.5, 40], [1, 2, 3, 4]]
    assert boxes.scores.tolist() == [1, 0.5]


def test_what_is_written_is_read_again(tmp_path):
    boxes = Boxes([4, 0, 0], [[1.25, 2, 3, 4]] * 3, [2, 1, 1], [0.5, 1, 1], [3, 9, NOBODY])
    write_mot(boxes, tmp_path / "tracks.txt")
    text = (tmp_path / "tracks.txt").read_text()
    assert text == (
        "1,9,1.25,2.00,3.00,4.00,1.0000,-1,-1,-1\n5,3,1.25,2.00,3.00,4.00,0.5000,-1,-1,-1\n"
    )
    again = read_mot(tmp_path / "tracks.txt")
    assert again.identities.tolist() == [9, 3]
    np.testing.assert_array_equal(again.boxes, boxes.boxes[:2])


def test_an_empty_file_has_no_boxes(tmp_path):
    assert len(read_mot(written(tmp_path, ""))) == 0


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,1,0,0,nan,4", r"four finite numbers, got \[0.0, 0.0, nan, 4.0\]"),
        ("1,1,0,0,0,4", r"must be of some size, got \[0.0, 0.0, 0.0, 4.0\]"),
        ("1,1,0,0,3,inf", "four finite numbers"),
        ("0,1,0,0,3,4", "frames are numbered from 1, got 0"),
        ("1.5,1,0,0,3,4", "frames are numbered from 1, got 1.5"),
        ("inf,1,0,0,3,4", "frames are numbered from 1, got inf"),
        ("1,0.5,0,0,3,4", "identities are whole numbers, got 0.5"),
        ("1,1,0,0,3,4,2.5", "a score must be from 0 to 1, got 2.5"),
        ("1,1,0,0,3,4,nan", "a score must be from 0 to 1, got nan"),
        ("1,1,0,0,3", "a line must be frame .* got '1,1,0,0,3'"),
        ("frame,id,x,y,w,h", "numbers are wanted, got frame,id,x,y,w,h"),
    ],
)
def test_mistakes_are_one_line(tmp_path, row, words):
    path = written(tmp_path, f"1,1,0,0,3,4\n{row}\n")
    with pytest.raises(ValueError, match=words) as caught:
        read_mot(path)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(caught.value)


def test_what_is_no_text(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="must be text in UTF-8, but: "):
        read_mot(path)


def test_a_track_as_json():
    boxes = Boxes(
        [5, 3, 3], [[1, 2, 3, 4], [0, 2, 3, 4], [9, 9, 9, 9]], [1, 1, 0], [0.5, 1, 1], [2, 2, -1]
    )
    assert tracks_of(boxes, ("car", "person")) == [
        {
            "identity": 2,
            "class": "person",
            "score": 0.75,
            "first": 3,
            "last": 5,
            "rows": [[3, 0, 2, 3, 4, 1], [5, 1, 2, 3, 4, 0.5]],
        }
    ]
