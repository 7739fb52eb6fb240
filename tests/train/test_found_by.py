"""What any detector is shown of annotated clips, and what of that is judged."""

import numpy as np
import pytest

from sora_tf.data import Clip, Problems
from sora_tf.data.boxes import Annotated, Boxes, joined
from sora_tf.train.evaluate_detector import found_by
from sora_tf.video import write

LENGTH, FPS = 40, 10


class Bright:
    """Finds the white square of 8 × 8, and remembers what it was shown."""

    labels, threshold, size, step = ("square",), 0.0, (32, 96), 0.2

    def __init__(self):
        self.shown = []

    def detect(self, frames, first=0):
        self.shown.append((first, len(frames)))
        rows = []
        for number, frame in enumerate(frames, first):
            down, across = np.argwhere(frame[..., 0] > 128).min(axis=0)
            rows.append(Boxes([number], [[across, down, 8, 8]], [0]))
        return joined(rows)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Twice as wide and high as the detector's frames; the square moves 4 pixels a frame."""
    frames = np.zeros((LENGTH, 64, 192, 3), np.uint8)
    for number in range(LENGTH):
        frames[number, 24:40, 4 * number : 4 * number + 16] = 255
    path = tmp_path_factory.mktemp("film") / "square.mp4"
    write(path, frames, fps=FPS)
    return Clip(str(path), "square")


def squares(numbers):
    boxes = [[4 * number, 24, 16, 16] for number in numbers]
    return Annotated(Boxes(numbers, boxes, [0] * len(numbers)), np.array(numbers))


def test_one_walk_is_shown_in_chunks_and_judged_where_it_is_known(film):
    detector = Bright()
    known = squares(range(0, LENGTH, 4))  # every second frame that is shown
    found, frames = found_by(detector, [film], {film.path: known}, 5, 0.2, Problems())
    # The middles of five parts of ten are 4, 12, 20, 28 and 36; the walk ends there.
    assert detector.shown == [(0, 8), (8, 8), (16, 3)]
    boxes = found[film.path]
    assert boxes.frames.tolist() == list(range(0, 37, 2))
    assert frames[film.path].tolist() == list(range(0, 37, 4))
    # Half the picture's size, and scaled back: right to two pixels.
    np.testing.assert_allclose(boxes.boxes[:, 0], 4 * boxes.frames, atol=2)
    np.testing.assert_allclose(boxes.boxes[:, 2:], 16, atol=1e-4)


def test_walks_apart_begin_anew(film):
    detector = Bright()
    found, frames = found_by(detector, [film], {film.path: squares([12, 35])}, 9, 0.1, Problems())
    assert detector.shown == [(0, 8), (0, 8)]
    assert found[film.path].frames.tolist() == [*range(5, 13), *range(28, 36)]
    assert frames[film.path].tolist() == [12, 35]


def test_walks_that_cross_are_each_shown_whole(film):
    detector = Bright()
    known = squares([10, 13])  # out of step, where every other frame is shown
    found, frames = found_by(detector, [film], {film.path: known}, 9, 0.2, Problems())
    assert detector.shown == [(0, 6), (0, 7)]
    assert found[film.path].frames.tolist() == [*range(0, 11, 2), *range(1, 14, 2)]
    np.testing.assert_allclose(found[film.path].boxes[:, 0], 4 * found[film.path].frames, atol=2)
    assert frames[film.path].tolist() == [10, 13]


def test_a_bad_film_is_named_and_skipped(film, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    clips, problems = [Clip(str(bad), "x"), film], Problems()
    known = {str(bad): squares([1]), film.path: squares([1])}
    found, _ = found_by(Bright(), clips, known, 9, 0.2, problems)
    assert set(found) == {film.path}
    assert problems.names() == {str(bad)}


def test_nothing_to_judge_is_said(film):
    with pytest.raises(ValueError, match=r"there must be one frame .* got none of 1 clips"):
        found_by(Bright(), [film], {film.path: squares([500])}, 9, 0.2, Problems())
    with pytest.raises(ValueError, match="there must be one frame"):
        found_by(Bright(), [film], {}, 9, 0.2, Problems())
