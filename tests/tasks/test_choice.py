"""What counts and what is taken: sums by hand, and against trying everything."""

from itertools import combinations, product

import numpy as np
import pytest

from sora_tf.tasks.choice import Length, choose
from sora_tf.tasks.importance import added, likeness, spread
from sora_tf.tasks.knapsack import knapsack
from sora_tf.tasks.scorer import Scorer


@pytest.mark.parametrize("seed", range(8))
def test_the_knapsack_is_the_best_of_all(seed):
    rng = np.random.default_rng(seed)
    values, lengths = rng.random(10), rng.integers(1, 9, 10)
    most = int(rng.integers(0, 30))
    chosen = knapsack(values, lengths, most)
    ways = np.asarray(list(product([False, True], repeat=10)))
    fits = ways[ways @ lengths <= most]
    assert lengths[chosen].sum() <= most
    np.testing.assert_allclose(values[chosen].sum(), (fits @ values).max())


def test_a_knapsack_that_holds_nothing():
    assert not knapsack(np.ones(3), np.full(3, 5), 4).any()
    assert knapsack(np.zeros(0), np.zeros(0, int), 4).shape == (0,)


def test_likeness_by_hand():
    found = likeness(np.asarray([[2.0, 0.0], [0.0, 3.0], [1.0, 0.0]]), width=0.5)
    # Cosines 1 and 0: exp(0) = 1, exp(-1 / 0.5) = 0.1353.
    np.testing.assert_allclose(found, [[1, 0.1353, 1], [0.1353, 1, 0.1353], [1, 0.1353, 1]], 1e-3)


def test_what_pieces_add_by_hand():
    alike = np.asarray([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    # Of 2, 1 and 1 s: the first stands for 2 + 0.5 = 2.5 s, 1.25 for each of its own; the second
    # for 1 + 1 = 2 s, 2 for each of its own, so it is taken first. Then the third adds 1 s, 1 for
    # each; the first adds what the second left of it, 2·(1 - 0.5) = 1 s, 0.5 for each.
    np.testing.assert_allclose(added(alike, np.asarray([2.0, 1.0, 1.0])), [1.0, 2.0, 1.0])


@pytest.mark.parametrize("seed", range(4))
def test_the_queue_takes_what_looking_at_all_would(seed):
    rng = np.random.default_rng(seed)
    alike, lengths = likeness(rng.normal(size=(12, 4))), rng.uniform(1, 3, 12)
    covered, left, slow = np.zeros(12), set(range(12)), np.zeros(12)
    while left:
        gains = {p: float(lengths @ np.maximum(alike[p] - covered, 0)) for p in left}
        best = max(left, key=lambda p: gains[p] / lengths[p])
        slow[best] = gains[best]
        covered = np.maximum(covered, alike[best])
        left.remove(best)
    found = added(alike, lengths)
    np.testing.assert_allclose(found, slow, atol=1e-4)
    np.testing.assert_allclose(found.sum(), lengths.sum(), rtol=1e-4)


def test_what_looks_the_same_shares_a_value():
    alike = np.asarray([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(spread(alike, np.asarray([10.0, 0.0, 3.0])), [10, 8, 3])


def one_hot(scenes):
    """Features of frames that show scene k of each number."""
    return np.eye(max(scenes) + 1, dtype=np.float16)[scenes]


def test_every_scene_is_shown_once_before_any_is_shown_twice():
    rows = one_hot([0] * 40 + [1] * 10 + [2] * 20 + [0] * 30)  # 100 frames, three scenes
    starts = np.asarray([0, 40, 50, 70])
    choice = choose(lambda: [rows[:33], rows[33:]], starts, 100, 5.0, Length(share=0.15))
    shown = {int(rows[key].argmax()) for key in choice.keys[choice.chosen]}
    assert shown == {0, 1, 2}
    assert choice.lengths[choice.chosen].sum() <= 15
    # Scene 0 is 70 of 100 frames, in two segments that look the same.
    assert choice.importance[0] == pytest.approx(choice.importance[-1]) == pytest.approx(1.0)


def test_a_scorer_says_what_counts():
    rows = one_hot([0] * 20 + [1] * 20 + [2] * 20)
    taste = Scorer(np.asarray([0.0, 5.0, 1.0]), 0.0, "key")
    choice = choose(lambda: [rows], np.asarray([0, 20, 40]), 60, 5.0, Length(share=0.3), taste)
    assert set(choice.segments[choice.chosen]) == {1}


def test_a_scorer_of_other_features_is_refused():
    with pytest.raises(ValueError, match="features must have 3 values, got 2"):
        Scorer(np.zeros(3), 0.0, "key").score(np.zeros((4, 2)))


def test_a_scorer_is_a_file_people_can_open(tmp_path):
    Scorer(np.asarray([0.5, -1.0]), 2.0, "key").write(tmp_path / "taste.json")
    again = Scorer.read(tmp_path / "taste.json")
    np.testing.assert_array_equal(again.score(np.asarray([[2.0, 1.0]])), [2.0])  # 1 - 1 + 2
    (tmp_path / "taste.json").write_text('{"bias": 1}')
    with pytest.raises(ValueError, match=r"taste.json: a scorer must be JSON"):
        Scorer.read(tmp_path / "taste.json")


@pytest.mark.parametrize(
    ("length", "frames"), [(Length(), 15), (Length(seconds=2.0), 10), (Length(seconds=0.01), 1)]
)
def test_lengths_in_frames(length, frames):
    assert length.frames(100, 5.0) == frames  # 15 % of 100; 2 s at 5 a second; one at least


@pytest.mark.parametrize("given", [{"seconds": 0.0}, {"share": 0.0}, {"share": 1.0}])
def test_bad_lengths_are_refused(given):
    with pytest.raises(ValueError, match=f"Length: {next(iter(given))} must be"):
        Length(**given)


def test_segments_shorter_than_a_piece_are_pieces():
    rows = one_hot([0] * 3 + [1] * 3 + [2] * 3)
    choice = choose(lambda: [rows], np.asarray([0, 3, 6]), 9, 5.0, Length(share=0.7))
    assert choice.starts.tolist() == [0, 3, 6]
    ways = [set(way) for way in combinations(range(3), 2)]
    assert set(np.flatnonzero(choice.chosen)) in ways
