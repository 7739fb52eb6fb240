"""Average precision, by hand."""

import numpy as np
import pytest

from sora_tf.data.boxes import Boxes
from sora_tf.train.detection_metrics import average_precision, best_threshold

GIVEN = {
    "a": Boxes([0, 0, 1], [[0, 0, 10, 10], [50, 50, 10, 10], [0, 0, 10, 10]], [0, 0, 1]),
    "b": Boxes([4], [[5, 5, 10, 10]], [1]),
}
FRAMES = {"a": np.array([0, 1, 2]), "b": np.array([4])}
LABELS = ("bird", "drone", "plane")


def test_all_found():
    result = average_precision(GIVEN, GIVEN, LABELS, FRAMES)
    assert [result[k] for k in ("map50", "map", "found50")] == pytest.approx([1, 1, 1])
    assert result["ap50"] == {"bird": pytest.approx(1), "drone": pytest.approx(1), "plane": None}
    assert (result["pictures"], result["boxes"]) == (4, 4)


def test_half_found_by_hand():
    # One bird of two, the best answer: precision 1 up to recall ½, 0 after: 51 of 101 recalls.
    # The second answer is on no bird. Drones: both, but a wrong one before them: precision ½
    # at the first and 2/3 at the second, so 2/3 up to recall 1.
    found = {
        "a": Boxes(
            [0, 0, 1, 2],
            [[0, 0, 10, 10], [20, 20, 10, 10], [0, 0, 10, 10], [3, 3, 10, 10]],
            [0, 0, 1, 1],
            np.array([0.9, 0.8, 0.7, 0.95]),
        ),
        "b": Boxes([4], [[5, 5, 10, 10]], [1], np.array([0.6])),
    }
    result = average_precision(GIVEN, found, LABELS, FRAMES)
    assert result["ap50"]["bird"] == pytest.approx(51 / 101)
    assert result["ap50"]["drone"] == pytest.approx(2 / 3)
    assert result["map50"] == pytest.approx((51 / 101 + 2 / 3) / 2)


def test_overlap_decides():
    # Shifted by 2 of 10: 80 in common of 120 is 2/3. Overlaps from 0.5 to 0.65 count: 4 of 10.
    found = {"b": Boxes([4], [[7, 5, 10, 10]], [1])}
    given = {"b": GIVEN["b"]}
    result = average_precision(given, found, LABELS, {"b": FRAMES["b"]})
    assert result["map50"] == pytest.approx(1)
    assert result["map"] == pytest.approx(0.4)


def test_the_wrong_class_is_not_found_but_the_thing_is():
    found = {"b": Boxes([4], [[5, 5, 10, 10]], [0])}
    result = average_precision({"b": GIVEN["b"]}, found, LABELS, {"b": FRAMES["b"]})
    assert result["map50"] == 0
    assert result["found50"] == pytest.approx(1)


def test_nothing_found_is_0():
    assert average_precision(GIVEN, {}, LABELS, FRAMES)["map50"] == 0


def test_frames_that_are_not_judged_count_for_nothing():
    found = {"a": GIVEN["a"].of([0, 1]), "b": Boxes([9], [[1, 1, 5, 5]], [1])}
    result = average_precision(GIVEN, found, LABELS, {"a": np.array([0])})
    assert result["map50"] == pytest.approx(1)
    assert result["boxes"] == 2


def test_no_box_to_find_is_said():
    with pytest.raises(ValueError, match="there must be one box on the frames that are judged"):
        average_precision(GIVEN, GIVEN, LABELS, {"a": np.array([7])})


def test_the_best_threshold_by_hand():
    given = {"a": Boxes([0, 1, 2], [[0, 0, 10, 10]] * 3, [0, 0, 0])}
    rows = [(0, 0, 0.9), (1, 50, 0.8), (1, 0, 0.7), (2, 50, 0.3)]  # right, wrong, right, wrong
    found = {
        "a": Boxes(
            [frame for frame, _, _ in rows], [[left, 0, 10, 10] for _, left, _ in rows],
            [0] * 4, [score for *_, score in rows],
        )
    }  # fmt: skip
    # Down to 0.7 two of three are right, and two of three are found.
    threshold, f1 = best_threshold(given, found, {"a": np.arange(3)})
    assert (threshold, f1) == pytest.approx((0.5, 2 / 3))
    few = {"a": found["a"].of([0, 1, 2])}
    assert best_threshold(given, few, {"a": np.arange(3)})[0] == pytest.approx(0.7)
    assert best_threshold(given, {}, {"a": np.arange(3)}) == (0.5, 0.0)
