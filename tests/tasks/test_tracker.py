"""Identities from frame to frame: what is linked, and what is not."""

import numpy as np
import pytest

from sora_tf.data.boxes import NOBODY, Boxes, joined
from sora_tf.tasks.tracking import Tracker, TrackerSettings, read_mot, tracking_metrics
from sora_tf.tasks.tracking.motion import Motion
from sora_tf.tasks.tracking.things import agreement, things


def on(frame, *boxes, scores=1.0, labels=None):
    """Boxes on one frame, given by their left and top (of 10 pixels) or whole."""
    whole = [(*box, 10, 10) if len(box) == 2 else box for box in boxes]
    count = len(boxes)
    return Boxes(
        [frame] * count,
        np.reshape(whole, (count, 4)),
        labels or [0] * count,
        np.broadcast_to(scores, count),
    )


def names(tracker, *frames, **settings):
    """The identities on each frame, for boxes as `on` takes them."""
    return [
        tracker.update(n, on(n, *boxes, **settings)).identities.tolist()
        for n, boxes in enumerate(frames)
    ]


def followed(boxes, **settings):
    tracker = Tracker(TrackerSettings(**settings))
    frames = np.unique(boxes.frames)
    return joined([tracker.update(int(frame), boxes.on(frame)) for frame in frames])


def test_two_things_keep_their_names_in_any_order():
    found = names(Tracker(), [(0, 0), (50, 0)], [(52, 1), (1, 1)], [(2, 2), (54, 2)])
    assert found == [[1, 2], [2, 1], [1, 2]]


def test_what_comes_later_is_named_when_it_is_seen_again():
    found = names(Tracker(), [(0, 0)], [(0, 0), (50, 50)], [(0, 0), (50, 50)])
    assert found == [[1], [1, NOBODY], [1, 2]]


def test_what_is_there_for_one_frame_is_nobody():
    found = names(Tracker(), [], [(50, 50)], [], [(50, 50)])
    assert found == [[], [NOBODY], [], [NOBODY]]


def test_small_things_that_jump_beyond_themselves():
    # 10 pixels wide and 15 a frame to the right: no two boxes of it touch.
    found = names(Tracker(), *[[(15 * n, 5), (200 - 15 * n, 90)] for n in range(8)])
    assert found == [[1, 2]] * 8


def test_no_box_is_linked_across_classes():
    tracker = Tracker(TrackerSettings(confirm=1))
    assert tracker.update(0, on(0, (0, 0), labels=[0])).identities.tolist() == [1]
    assert tracker.update(1, on(1, (0, 0), labels=[1])).identities.tolist() == [2]


def test_one_thing_under_two_names_is_followed_once():
    # A bird or a plane: now the one, now the other is likelier, and neither is sure by itself.
    tracker = Tracker(TrackerSettings(confirm=1))
    doubts = ([0.4, 0.3], [0.2, 0.5], [0.6, 0.3], [0.3, 0.1])
    found = [
        tracker.update(n, on(n, (2 * n, 0), (2 * n, 0), scores=scores, labels=[1, 3]))
        for n, scores in enumerate(doubts)
    ]
    # The likelier row carries the identity; its name is the likelier so far: 4 to 3, 6 to 8,
    # 12 to 11, 15 to 12 tenths.
    assert [one.identities.tolist() for one in found] == [
        [1, NOBODY],
        [NOBODY, 1],
        [1, NOBODY],
        [1, NOBODY],
    ]
    kept = [one.of(one.identities == 1) for one in found]
    assert [int(one.labels[0]) for one in kept] == [1, 3, 1, 1]
    assert [float(one.scores[0]) for one in kept] == pytest.approx([0.7, 0.7, 0.9, 0.4])


def test_two_of_one_name_in_one_place_are_two():
    found = things(on(0, (0, 0), (0, 0), (0, 0), scores=[0.5, 0.9, 0.8], labels=[0, 0, 2]))
    assert found.rows.tolist() == [1, 0]
    assert found.beliefs == pytest.approx(np.array([[0.9, 0, 0.8], [0.5, 0, 0]]))
    assert found.scores == pytest.approx([1.0, 0.5])
    assert len(things(Boxes.none()).rows) == 0


def test_beliefs_agree_by_what_they_share():
    one, other = np.array([[0.2, 0.2]]), np.array([[0.3, 0.1, 0.4], [0, 0, 1], [0.1, 0.1, 0]])
    # Shares ½ ½ 0 against ⅜ ⅛ ½, 0 0 1 and ½ ½ 0.
    assert agreement(one, other) == pytest.approx(np.array([[0.5, 0.0, 1.0]]))


def test_a_name_given_with_a_score_of_nothing_is_a_name():
    tracker = Tracker(TrackerSettings(confirm=1))
    tracker.update(0, on(0, (0, 0), labels=[2]))
    found = tracker.update(1, on(1, (1, 0), scores=0.0, labels=[2]))
    assert (found.identities.tolist(), found.labels.tolist()) == ([1], [2])


def test_two_that_pass_each_other_keep_their_speed():
    # Level at frame 10, 4 pixels apart in height: only the motion tells them apart.
    frames = [[(5 * n, 0), (100 - 5 * n, 4)] for n in range(21)]
    assert names(Tracker(), *frames) == [[1, 2]] * 21


def test_a_lost_thing_is_found_where_it_should_be():
    there = [[(4 * n, 0)] for n in range(10)]
    found = names(Tracker(), *there, *[[]] * 8, [(4 * 18, 0)])
    assert found[-1] == [1]


def test_what_was_lost_for_too_long_is_new():
    settings = TrackerSettings(patience=3, confirm=1)
    assert names(Tracker(settings), [(0, 0)], [], [], [], [(0, 0)])[-1] == [1]
    assert names(Tracker(settings), [(0, 0)], [], [], [], [], [(0, 0)])[-1] == [2]


def test_unlikely_boxes_keep_a_name_and_do_not_begin_one():
    tracker = Tracker()
    tracker.update(0, on(0, (0, 0), scores=0.9))
    found = tracker.update(1, on(1, (0, 0), (50, 50), scores=0.3))
    assert found.identities.tolist() == [1, NOBODY]
    found = tracker.update(2, on(2, (0, 0), (50, 50), scores=0.3))
    assert found.identities.tolist() == [1, NOBODY]


def test_a_likely_box_comes_before_an_unlikely_one():
    tracker = Tracker()
    tracker.update(0, on(0, (0, 0)))
    found = tracker.update(1, on(1, (0, 0), (2, 0), scores=[0.3, 0.9]))
    assert found.identities.tolist() == [NOBODY, 1]


def test_numbers_may_be_left_out():
    # One of five frames is looked at: 4 pixels a frame are 20 from look to look.
    tracker = Tracker()
    found = [tracker.update(5 * n, on(5 * n, (20 * n, 0))).identities.tolist() for n in range(6)]
    assert found == [[1]] * 6


def test_boxes_come_back_as_they_were():
    boxes = on(3, (0, 0), (9, 9, 2, 3), scores=[0.5, 0.25])
    found = Tracker().update(3, boxes)
    np.testing.assert_array_equal(found.boxes, boxes.boxes)
    np.testing.assert_array_equal(found.scores, boxes.scores)


def test_frames_go_forward_one_by_one():
    tracker = Tracker()
    tracker.update(4, Boxes.none())
    with pytest.raises(ValueError, match=r"frame must be above the last, 4, got 4\. Give frames"):
        tracker.update(4, Boxes.none())
    with pytest.raises(ValueError, match="boxes must be of frame 5, got one of 6"):
        tracker.update(5, on(6, (0, 0)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("sure", 1.1), ("near", -0.1), ("far", 0.1), ("least", 0), ("confirm", 0), ("patience", 0)],
)
def test_settings_out_of_range(name, value):
    with pytest.raises(ValueError, match=f"TrackerSettings: {name} must be"):
        TrackerSettings(**{name: value})


def test_the_filter_learns_a_speed():
    motion = Motion.begun(np.array([[0.0, 0, 10, 10]]))
    doubts = []
    for n in range(1, 30):
        motion = motion.ahead(1)
        doubts.append(motion.doubts()[0])
        motion = motion.seen(np.array([[3.0 * n, -n, 10, 10]]))
    np.testing.assert_allclose(motion.speed, [[3, -1, 0, 0]], atol=0.02)
    np.testing.assert_allclose(motion.ahead(10).boxes(), [[117, -39, 10, 10]], atol=0.3)
    assert doubts[-1] < doubts[0] / 4
    assert motion.ahead(10).doubts() > 3 * motion.ahead(1).doubts()


def test_one_step_of_the_filter_by_hand():
    # A box of 10 · 10 at rest: variance of place (0.1 · 10)² = 1, of speed (0.5 · 10)² = 25,
    # pushed by (0.01 · 10)² = 0.01: place 1 + 25 + 0.01 / 3, both 25 + 0.01 / 2, speed 25.01.
    ahead = Motion.begun(np.array([[0.0, 0, 10, 10]])).ahead(1)
    assert ahead.doubt[0, 0] == pytest.approx(26.00333, abs=1e-4)
    assert (ahead.both[0, 0], ahead.drift[0, 0]) == (pytest.approx(25.005), pytest.approx(25.01))
    # Found 6 to the right; gain 26.00333 / 27.00333, speed 25.005 / 27.00333.
    seen = ahead.seen(np.array([[6.0, 0, 10, 10]]))
    assert seen.place[0, 0] == pytest.approx(5 + 6 * 0.962968, abs=1e-4)
    assert seen.speed[0, 0] == pytest.approx(6 * 0.925997, abs=1e-4)


def test_two_flies_keep_their_names_without_noise(shared_data):
    given = read_mot(shared_data / "sleap" / "gt.txt")
    given = given.of((given.frames >= 1000) & (given.frames < 1250))
    bare = Boxes(given.frames - 1000, given.boxes, given.labels)
    found = followed(bare)
    scores = tracking_metrics(Boxes(given.frames - 1000, *_rest(given)), found)
    assert (scores["idf1"], scores["hota"], scores["switches"]) == (1, 1, 0)


def _rest(boxes):
    return boxes.boxes, boxes.labels, boxes.scores, boxes.identities


def test_people_on_every_fifth_frame(shared_data):
    given = read_mot(shared_data / "pets09" / "gt_every_5th_frame_1-65.txt")
    found = followed(Boxes(given.frames, given.boxes, given.labels))
    assert tracking_metrics(given, found)["idf1"] > 0.75
