"""What is remembered of things: means by hand, and who goes on with whom."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_tf.data.boxes import Boxes, joined
from sora_tf.tasks.thing_memory import FAINT, ThingMemory


def on(frame, *rows):
    """Boxes of rows (left, top, width, height, label, score)."""
    rows = np.array(rows, float).reshape(-1, 6)
    return Boxes(np.full(len(rows), frame), rows[:, :4], rows[:, 4], rows[:, 5])


def test_scores_and_sizes_are_means_by_hand():
    things = ThingMemory(0.5, 2)
    first = things.known(on(0, (10, 10, 8, 16, 0, 0.6), (10, 10, 8, 16, 1, 0.2)), [0])
    np.testing.assert_allclose(first.scores, [0.6, 0.2], rtol=1e-6)
    # Weights 0.5 and 1: a third is the old. Middle (16, 20); sides 8^(1/3)·16^(2/3), 16.
    second = things.known(on(1, (8, 12, 16, 16, 0, 0.3), (8, 12, 16, 16, 1, 0.5)), [1])
    width = np.exp((np.log(8) + 2 * np.log(16)) / 3)
    np.testing.assert_allclose(second.scores, [0.4, 0.4], rtol=1e-6)
    np.testing.assert_allclose(second.boxes, [[16 - width / 2, 12, width, 16]] * 2, rtol=1e-6)
    # Weights 0.25, 0.5 and 1. A name that is not said any more fades, and is said still.
    third = things.known(on(2, (8, 12, 16, 16, 0, 0.6)), [2])
    zero, one = (0.6 * 0.25 + 0.3 * 0.5 + 0.6) / 1.75, (0.2 * 0.25 + 0.5 * 0.5) / 1.75
    assert third.labels.tolist() == [0, 1]
    np.testing.assert_allclose(third.scores, [zero, one], rtol=1e-6)


def test_a_name_does_not_flicker():
    things = ThingMemory(0.9, 2)
    said = [0, 0, 0, 1, 0, 0]
    found = [things.known(on(n, (5, 5, 9, 9, label, 0.8)), [n]) for n, label in enumerate(said)]
    assert [boxes.labels[boxes.scores.argmax()] for boxes in found] == [0] * 6


def test_each_goes_on_with_the_one_nearest_to_it():
    things = ThingMemory(0.5, 1)
    things.known(on(0, (0, 0, 10, 10, 0, 0.9), (100, 0, 10, 10, 0, 0.3)), [0])
    near = on(1, (103, 0, 10, 10, 0, 0.6), (4, 0, 10, 10, 0, 0.6), (8, 0, 10, 10, 0, 0.6))
    found = things.known(near, [1])
    by_place = dict(zip(found.boxes[:, 0].round(3).tolist(), found.scores, strict=True))
    # The box at 8 lies within reach of the first thing, which has one nearer to it.
    assert by_place == pytest.approx({103: 0.5, 4: 0.7, 8: 0.6})


def test_what_is_out_of_reach_is_another_thing():
    things = ThingMemory(0.5, 1)
    things.known(on(0, (0, 0, 10, 10, 0, 0.9)), [0])
    assert things.known(on(1, (11, 0, 10, 10, 0, 0.5)), [1]).scores == pytest.approx([0.5])


def test_a_frame_without_it_ends_a_thing():
    things = ThingMemory(0.5, 1)
    things.known(on(0, (0, 0, 10, 10, 0, 0.9)), [0])
    assert len(things.known(Boxes.none(), [1])) == 0
    assert things.known(on(2, (0, 0, 10, 10, 0, 0.5)), [2]).scores == pytest.approx([0.5])


def test_what_is_hardly_there_is_not_remembered():
    things = ThingMemory(0.5, 1)
    things.known(on(0, (0, 0, 10, 10, 0, 0.04)), [0])
    assert things.known(on(1, (0, 0, 10, 10, 0, 0.5)), [1]).scores == pytest.approx([0.5])
    assert things.known(on(2, (0, 0, 10, 10, 0, 0.04)), [2]).scores == pytest.approx([0.04])


def test_another_video_begins_anew():
    things = ThingMemory(0.5, 1)
    things.known(on(0, (0, 0, 10, 10, 0, 0.9)), [0])
    things.forget()
    assert things.known(on(0, (0, 0, 10, 10, 0, 0.5)), [0]).scores == pytest.approx([0.5])


def test_nothing_kept_changes_nothing():
    boxes = on(3, (0, 0, 10, 10, 1, 0.9), (0, 0, 10, 10, 0, 0.05), (1, 1, 5, 5, 0, 0.2))
    things = ThingMemory(0.0, 2)
    things.known(on(2, (0, 0, 20, 20, 0, 0.9)), [2])
    found = things.known(boxes, [3])
    by_score = np.argsort(-boxes.scores)
    for name in ("boxes", "labels", "scores"):
        wanted = getattr(boxes, name)[by_score]
        np.testing.assert_allclose(getattr(found, name), wanted, rtol=1e-6, atol=1e-6)


def test_a_thing_counts_by_all_its_names_together():
    things = ThingMemory(0.5, 3, threshold=0.3)
    doubted = [(0, 0, 10, 10, 0, 0.2), (0, 0, 10, 10, 2, 0.15)]
    found = things.known(on(0, *doubted, (50, 0, 10, 10, 1, 0.25)), [0])
    assert found.labels.tolist() == [0, 2]
    assert found.scores == pytest.approx([0.2, 0.15])
    # What did not count is remembered all the same: (0.25·0.5 + 0.4)/1.5 is enough.
    found = things.known(on(1, (50, 0, 10, 10, 1, 0.4)), [1])
    assert found.scores == pytest.approx([0.35])


BOX = st.tuples(
    st.floats(-20, 120), st.floats(-20, 120), st.floats(0.5, 90), st.floats(0.5, 90),
    st.integers(0, 2), st.floats(0, 1),
)  # fmt: skip


@given(st.lists(st.lists(BOX, max_size=6), min_size=1, max_size=4), st.floats(0, 0.99))
def test_whatever_is_found(frames, keep):
    """Frame by frame or at once is the same; scores stay in range, middles where they were."""
    given = [on(number, *rows) for number, rows in enumerate(frames)]
    whole = ThingMemory(keep, 3).known(joined(given), range(len(frames)))
    things = ThingMemory(keep, 3)
    parts = joined([things.known(boxes, [number]) for number, boxes in enumerate(given)])
    for name in ("frames", "boxes", "labels", "scores"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
    assert (whole.scores >= FAINT).all()
    assert (whole.scores <= 1 + 1e-6).all()
    for number, boxes in enumerate(given):
        middles = boxes.boxes[:, :2] + boxes.boxes[:, 2:] / 2
        for box in whole.on(number).boxes:
            middle = box[:2] + box[2:] / 2
            assert np.abs(middles - middle).max(axis=1).min() < 1e-3
