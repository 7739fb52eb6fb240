"""Boxes: what they hold, and what is done with them."""

import numpy as np
import pytest

from sora_tf.data.boxes import NOBODY, Boxes, joined, overlaps


def two() -> Boxes:
    return Boxes([0, 3], [[0, 0, 10, 20], [90, 40, 30, 20]], [1, 0])


def test_what_is_not_given_is_filled_in():
    boxes = two()
    np.testing.assert_array_equal(boxes.scores, [1, 1])
    np.testing.assert_array_equal(boxes.identities, [NOBODY, NOBODY])
    assert len(boxes) == 2
    assert len(Boxes.none()) == len(joined([])) == 0


def test_some_of_them_by_number_mask_and_frame():
    assert two().of([1]).labels.tolist() == [0]
    assert two().of(np.array([True, False])).labels.tolist() == [1]
    assert two().of([]).frames.tolist() == []
    assert two().on(3).boxes.tolist() == [[90, 40, 30, 20]]
    assert len(two().on(1)) == 0


def test_joined_is_all_in_order():
    assert joined([two(), two().of([0])]).frames.tolist() == [0, 3, 0]


def test_what_lies_outside_is_cut_off():
    # 90 to 120 on a picture of 100: 10 are left; the other is wholly inside.
    clipped = two().clipped(100, 50)
    assert clipped.boxes.tolist() == [[0, 0, 10, 20], [90, 40, 10, 10]]
    assert two().clipped(90, 50).frames.tolist() == [0]


def test_scaled_across_and_down():
    assert two().scaled(0.5, 2).boxes.tolist() == [[0, 0, 5, 40], [45, 80, 15, 40]]


def test_overlaps_by_hand():
    # Two squares of 4, shifted by 1: 2 in common of 4 + 4 - 2. A third touches neither.
    found = overlaps([[0, 0, 2, 2]], [[1, 0, 2, 2], [2, 0, 2, 2], [0, 0, 2, 2]])
    np.testing.assert_allclose(found, [[2 / 6, 0, 1]])
    # Two sets at once, each pair of rows as if alone.
    sets = np.array([[[0, 0, 2, 2]], [[1, 0, 2, 2]]])
    np.testing.assert_allclose(overlaps(sets, sets[::-1]), [[[2 / 6]], [[2 / 6]]])


@pytest.mark.parametrize("box", [[0, 0, np.nan, 1], [np.inf, 0, 1, 1], [0, 0, 0, 1], [0, 0, 1, -1]])
def test_a_box_of_no_size_or_not_finite_is_named(box):
    with pytest.raises(ValueError, match=r"must be finite and wider and higher.*on frame 7"):
        Boxes([2, 7], [[0, 0, 1, 1], box], [0, 0])


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="labels must have a row for each of the 2 frames, got 1"):
        Boxes([0, 1], np.ones((2, 4)), [0])
