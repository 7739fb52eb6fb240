"""What boxes know, by hand."""

import numpy as np
import pytest

from sora_tf.data.box_questions import (
    comes_nearer,
    ends,
    ends_at,
    goes_across,
    goes_down,
    grows,
    moves_more,
)

SIZE = (100.0, 50.0)


def path(start, end, side=(10.0, 10.0), count=20):
    """Boxes whose left top corner goes straight from start to end, and whose side goes too."""
    share = np.linspace(0, 1, count)[:, None]
    corner = np.array(start) * (1 - share) + np.array(end) * share
    sides = side[0] * (1 - share) + side[1] * share
    return np.concatenate([corner, sides, sides], axis=1)


def test_ends_are_medians_of_the_first_and_last_frames():
    # 15 % of 20 is 3 frames: corners 0, 1, 2 → median 1, and its centre is half a side further.
    boxes = path((0, 0), (19, 0))
    start, end = ends(boxes)
    np.testing.assert_allclose(start, [1 + 5, 5, 10, 10])
    np.testing.assert_allclose(end, [18 + 5, 5, 10, 10])


def test_unseen_frames_have_no_say():
    boxes = path((0, 0), (50, 0))
    boxes[[0, 10, 19]] = np.nan
    assert goes_across(boxes, SIZE) == "right"
    boxes[:] = np.nan
    assert ends(boxes) is None
    assert goes_across(boxes, SIZE) is None
    assert grows(boxes) is None
    assert ends_at(boxes, 100) is None


@pytest.mark.parametrize(
    ("end", "across", "down"),
    [((60, 20), None, None), ((80, 20), "right", None), ((30, 20), "left", None),
     ((60, 40), None, "down"), ((60, 5), None, "up")],
)  # fmt: skip
def test_ways(end, across, down):
    boxes = path((60, 20), end)
    assert goes_across(boxes, SIZE) == across
    assert goes_down(boxes, SIZE) == down


def test_growth_is_of_the_side_and_needs_a_fifth():
    assert grows(path((0, 0), (0, 0), (10, 20))) == "bigger"
    assert grows(path((0, 0), (0, 0), (20, 10))) == "smaller"
    assert grows(path((0, 0), (0, 0), (10, 11))) is None


@pytest.mark.parametrize(
    ("left", "third"), [(5, "left"), (45, "middle"), (80, "right"), (28, None), (62, None)]
)
def test_thirds_have_borders_without_answer(left, third):
    # Centres 10, 50, 85; and 33 and 67, which lie on the borders at 33.3 and 66.7.
    assert ends_at(path((0, 0), (left, 0), count=2), 100) == third


def test_two_things():
    still, goes = path((10, 10), (10, 10)), path((60, 10), (90, 10))
    assert moves_more(still, goes) == "right"
    assert moves_more(goes, still) == "right"  # by where it lies, not by which is named first
    assert moves_more(path((0, 10), (90, 10)), path((95, 10), (96, 10))) == "left"
    assert moves_more(still, still) is None
    assert comes_nearer(still, path((90, 10), (20, 10))) == "nearer"
    assert comes_nearer(still, goes) == "farther"
    assert comes_nearer(still, still + np.array([50, 0, 0, 0])) is None
