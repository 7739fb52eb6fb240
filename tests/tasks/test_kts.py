"""Kernel temporal segmentation against sums by hand and against trying every way to cut."""

from itertools import combinations

import numpy as np
import pytest

from sora_tf.tasks.kts import best_cuts, scatters, segment
from sora_tf.tasks.segments import BLOCK, boundaries, pieces, spread_of


def scenes(lengths, noise=0.05, seed=0, width=16):
    """Vectors of length 1 that stay near one direction a scene."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in lengths:
        centre = rng.normal(size=width)
        rows.append(centre / np.linalg.norm(centre) + noise * rng.normal(size=(length, width)))
    found = np.concatenate(rows)
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_scatter_by_hand():
    found = scatters(np.asarray([[1.0], [3.0], [8.0]]))
    # 1 and 3 have the mean 2: 1 + 1. 3 and 8 have 5.5: 6.25 + 6.25. All have 4: 9 + 1 + 16.
    np.testing.assert_allclose(found[0, 1:], [0, 2, 26])
    np.testing.assert_allclose(found[1, 2:], [0, 12.5])
    assert np.isinf(found[2, 1])


@pytest.mark.parametrize("seed", range(5))
def test_cuts_are_the_best_of_all(seed):
    vectors = np.random.default_rng(seed).normal(size=(9, 3))
    totals, cuts = best_cuts(scatters(vectors), 8)
    for count in range(9):
        ways = list(combinations(range(1, 9), count))
        costs = []
        for way in ways:
            parts = np.split(vectors, way)
            costs.append(sum(((part - part.mean(0)) ** 2).sum() for part in parts))
        np.testing.assert_allclose(totals[count], min(costs), atol=1e-9)
        assert tuple(cuts[count]) == ways[int(np.argmin(costs))] or min(costs) < 1e-9


def test_the_number_of_cuts_is_what_pays():
    vectors = scenes([12, 20, 8])
    np.testing.assert_array_equal(segment(vectors, 0.3, 20), [12, 32])
    assert len(segment(vectors, 1000.0, 20)) == 0
    # Two frames wholly unlike: a scatter of 1 in all; a cut costs C·(log(2 / 1) + 1) = 1.69·C.
    unlike = np.eye(2, dtype=np.float32)
    assert segment(unlike, 0.59, 1).tolist() == [1]
    assert segment(unlike, 0.60, 1).tolist() == []


def test_one_frame_has_no_cut():
    assert len(segment(np.ones((1, 4)), 1.0, 5)) == 0


def test_a_penalty_of_nothing_is_refused():
    with pytest.raises(ValueError, match="penalty must be above 0"):
        segment(np.ones((3, 4)), 0.0, 5)


@pytest.mark.parametrize("stretch", [37, 300, 5000])
def test_blocks_find_what_there_is_wherever_they_begin(stretch):
    lengths = [100, 40, 700, 25, 299, 1, 300, 60, 1300, 80]
    vectors = scenes(lengths, seed=3)
    rows = (vectors[n : n + stretch] for n in range(0, len(vectors), stretch))
    found = list(boundaries(rows, 5.0))
    wanted = np.cumsum(lengths)[:-1].tolist()
    assert sum(lengths) > 4 * BLOCK
    # A scene of one frame costs two cuts, and need not pay.
    assert set(wanted) - set(found) <= {1164, 1165}
    assert set(found) <= set(wanted)
    assert found == sorted(set(found))


def test_pieces_by_hand():
    # A segment of 5 in pieces of 2 at most is 3: from 0, 1.67 and 3.33.
    assert pieces(np.asarray([0, 5]), 8, 2, 100).tolist() == [0, 1, 3, 5, 6]
    assert pieces(np.asarray([0, 5]), 8, 100, 100).tolist() == [0, 5]
    assert pieces(np.asarray([0, 5]), 8, 1, 3).tolist() == [0, 3, 6]


def test_how_far_apart_by_hand():
    # The mean of (1, 0), (0, 1) and (1, 0) is (2/3, 1/3): 1 - 4/9 - 1/9.
    rows = np.asarray([[1, 0], [0, 1], [1, 0]], np.float16)
    assert spread_of([rows[:2], rows[2:]]) == pytest.approx(4 / 9)
    assert spread_of([np.ones((5, 1))]) == 1e-3
