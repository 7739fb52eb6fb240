import numpy as np
import pytest

from sora_tf.train.representation import (
    few_shot,
    linear_probe,
    nearest_neighbours,
    retrieval_map,
    standardised,
)

RNG = np.random.default_rng(0)


def clouds(count, apart, size=12, seed=0):
    """Vectors of three classes around means that lie `apart`, and their classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    return rng.normal(size=(count, size)) + apart * np.eye(size)[labels], labels


def test_a_value_of_a_thousand_counts_no_more_than_a_small_one():
    train = np.array([[1000.0, 0.1], [3000.0, 0.3]])
    (a, b) = standardised(train, np.array([[2000.0, 0.5]]))
    np.testing.assert_allclose(a, [[-1, -1], [1, 1]], rtol=1e-4)
    np.testing.assert_allclose(b, [[0, 3]], atol=1e-4)


@pytest.mark.parametrize("probe", [linear_probe, nearest_neighbours])
def test_probes_name_what_lies_apart_and_guess_what_does_not(probe):
    train, labels = clouds(90, 6)
    test, truth = clouds(90, 6, seed=1)
    assert probe(train, labels, test, truth) > 0.95
    assert probe(RNG.permutation(train), labels, test, truth) < 0.6


def test_more_shots_are_better():
    train, labels = clouds(90, 2)
    test, truth = clouds(90, 2, seed=1)
    one, _ = few_shot(train, labels, test, truth, 1)
    ten, spread = few_shot(train, labels, test, truth, 10)
    assert 0.4 < one < ten - 0.05
    assert spread < 0.2


def test_more_shots_than_clips_are_refused():
    train, labels = clouds(9, 2)
    with pytest.raises(ValueError, match=r"few_shot: shots must be from 1 to 3, got 4"):
        few_shot(train, labels, train, labels, 4)


def test_mean_average_precision_by_hand():
    # On a circle at 0°, 10°, 20°, 90°; classes a, b, a, b.
    angles = np.radians([0, 10, 20, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1)
    labels = np.array([0, 1, 0, 1])
    # 0° ranks 10° (b), 20° (a), 90°: 1/2. 10° ranks 0° and 20° alike, then 90° (b): 1/3.
    # 20° ranks 10°, 0° (a), 90°: 1/2. 90° ranks 20°, 10° (b), 0°: 1/2.
    assert retrieval_map(vectors, labels) == pytest.approx((1 / 2 + 1 / 3 + 1 / 2 + 1 / 2) / 4)


def test_a_class_of_one_asks_for_nothing():
    vectors = np.array([[1.0, 0], [1, 0.1], [0, 1]])
    assert retrieval_map(vectors, np.array([0, 0, 1])) == 1.0
