"""Peaks: boxes from maps of centres."""

import numpy as np
import pytest

from sora_tf.layers.peaks import SIZES, best_cells, best_named, boxes_at_cells, named_scores


def logit(p):
    return np.log(p / (1 - p))


def peaks(maps, stride=8, most=50, temperature=1.0):
    """(N, K, 6): left, top, width, height, score, class."""
    there, named, shapes = np.split(maps, [1, maps.shape[-1] - 4], axis=-1)
    boxes, sure, names = best_cells(there, named, shapes, stride, most)
    boxes, scores, classes = best_named(boxes, named_scores(sure, names, temperature), most)
    return np.concatenate([boxes, scores.numpy()[..., None], classes.numpy()[..., None]], -1)


def empty(n=1, h=4, w=5, classes=2):
    """Maps without a peak, of no class more than of another."""
    maps = np.zeros((n, h, w, 1 + classes + 4), np.float32)
    maps[..., 0] = -9
    return maps


def test_a_peak_becomes_a_box_by_hand():
    maps = empty()
    maps[0, 1, 3, 0] = logit(0.8)
    maps[0, 1, 2, 0] = logit(0.6)  # beside the peak: no box of its own
    maps[0, 1, 3, 1:3] = [0, np.log(3)]  # shares of 1/4 and 3/4
    maps[0, 1, 3, 3:] = [0.25, -0.5, np.log(0.5), 0.0]
    best, second, third = peaks(maps, most=3)[0]
    # Centre: (3.5 + 0.25, 1.5 - 0.5) cells of 8 = (30, 8). Sides: 0.5·4·8 = 16 and 4·8 = 32.
    box = [30 - 8, 8 - 16, 16, 32]
    np.testing.assert_allclose(best, [*box, 0.6, 1], rtol=1e-5)
    np.testing.assert_allclose(second, [*box, 0.2, 0], rtol=1e-5)
    assert third[4] < 0.001


def test_a_temperature_makes_less_sure_of_names():
    maps = empty()
    maps[0, 1, 3, :3] = [logit(0.8), 0, 2 * np.log(3)]
    assert peaks(maps, most=1)[0, 0, 4] == pytest.approx(0.8 * 0.9, rel=1e-5)
    assert peaks(maps, most=1, temperature=2.0)[0, 0, 4] == pytest.approx(0.8 * 0.75, rel=1e-5)


def test_of_one_class_the_score_is_that_of_the_centre():
    maps = empty(classes=1)
    maps[0, 2, 2, 0] = logit(0.7)
    maps[0, 2, 2, 1] = -5.0
    np.testing.assert_allclose(peaks(maps, most=1)[0, 0, 4:], [0.7, 0], rtol=1e-5)


def test_things_two_cells_apart_are_two():
    maps = empty()
    maps[0, 2, 1, 0] = maps[0, 2, 3, 0] = logit(0.7)
    found = peaks(maps, stride=1, most=5)[0]
    assert sorted(found[:4, 0] + SIZES / 2) == [1.5, 1.5, 3.5, 3.5]  # of each of two classes
    assert found[4, 4] < 0.001


def test_sizes_stay_finite():
    sides = boxes_at_cells(np.full((1, 1, 1, 4), 1e9, np.float32), 8).numpy()[..., 2:]
    assert np.isfinite(sides).all()


def test_more_boxes_than_cells_are_all_cells():
    assert peaks(empty(n=3, h=1, w=2)).shape == (3, 4, 6)


def test_the_likeliest_cells_come_first_with_their_names():
    maps = empty(classes=3)
    maps[0, 0, 0, 0], maps[0, 3, 4, 0] = logit(0.6), logit(0.9)
    maps[0, 3, 4, 1:4] = [1, 2, 3]
    there, named, shapes = np.split(maps, [1, 4], axis=-1)
    boxes, sure, names = best_cells(there, named, shapes, 8, 2)
    np.testing.assert_allclose(sure, [[0.9, 0.6]], rtol=1e-5)
    np.testing.assert_allclose(names, [[[1, 2, 3], [0, 0, 0]]])
    np.testing.assert_allclose(boxes[0, 0], [4.5 * 8 - 16, 3.5 * 8 - 16, 32, 32])
