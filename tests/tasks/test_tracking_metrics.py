"""HOTA, MOTA and IDF1 by hand on small films, and by the field's own evaluator on a larger one."""

import numpy as np
import pytest

from sora_tf.data.boxes import Boxes, joined
from sora_tf.tasks.tracking import tracking_metrics

SQUARE = [0, 0, 10, 10]


def track(frames, identity, box=SQUARE, label=0):
    return Boxes(frames, [box] * len(frames), [label] * len(frames), identities=identity)


def test_perfect_is_one():
    given = joined([track(range(4), 1), track(range(2, 6), 2, [50, 0, 10, 10], 1)])
    found = tracking_metrics(given, given)
    assert [found[name] for name in ("hota", "deta", "assa", "mota", "idf1")] == [1] * 5
    assert (found["switches"], found["missed"], found["false"]) == (0, 0, 0)
    assert (found["boxes_given"], found["tracks_given"], found["tracks_found"]) == (8, 2, 2)


def test_one_switch_in_the_middle():
    found = tracking_metrics(track(range(4), 1), joined([track([0, 1], 5), track([2, 3], 6)]))
    # The best pairing of whole tracks has 2 boxes in common: 2 · 2 / (4 + 4).
    assert found["idf1"] == 0.5
    assert found["switches"] == 1
    assert found["mota"] == 1 - 1 / 4
    # Each match has 2 of the 4 boxes of either track: 2 / (2 + 4 - 2); everything is detected.
    assert (found["deta"], found["assa"]) == (1, 0.5)
    assert found["hota"] == pytest.approx(0.5**0.5)


def test_a_missed_and_a_false_box():
    there = joined([track([0, 1, 2], 1), track([3], 1, [90, 90, 5, 5])])
    found = tracking_metrics(track(range(4), 1), there)
    # 3 of 4 boxes: 1 - (1 + 1) / 4; 2 · 3 / (4 + 4); 3 / (4 + 4 - 3) detected and kept.
    assert (found["mota"], found["idf1"]) == (0.5, 0.75)
    assert (found["missed"], found["false"]) == (1, 1)
    assert found["hota"] == pytest.approx(3 / 5)


def test_hota_counts_how_well_boxes_fit():
    # 6 of 10 columns in common, the narrower box inside: an overlap of 0.6, enough for 12 of 19.
    found = tracking_metrics(track(range(3), 1), track(range(3), 1, [0, 0, 6, 10]))
    assert found["hota"] == pytest.approx(12 / 19)
    assert found["mota"] == found["idf1"] == 1


def test_a_thing_that_comes_back_under_its_name_is_no_switch():
    there = track([0, 1, 4, 5], 3)
    assert tracking_metrics(track(range(6), 1), there)["switches"] == 0


def test_other_classes_do_not_match():
    found = tracking_metrics(track(range(2), 1), track(range(2), 1, label=1))
    assert (found["hota"], found["idf1"], found["mota"]) == (0, 0, -1)


def test_boxes_without_identity_are_left_out():
    found = tracking_metrics(track(range(2), 1), joined([track(range(2), 1), track([0, 1], -1)]))
    assert (found["boxes_found"], found["hota"]) == (2, 1)
    with pytest.raises(ValueError, match="given must hold boxes with identities, got none"):
        tracking_metrics(track(range(2), -1), track(range(2), 1))


def test_nothing_found():
    found = tracking_metrics(track(range(3), 1), Boxes.none())
    assert (found["hota"], found["idf1"], found["mota"], found["missed"]) == (0, 0, 0, 3)


def winding() -> tuple[Boxes, Boxes]:
    """Three things that cross, and what a poor tracker might say; no number is random."""
    frames = np.arange(40)
    given, found = [], []
    for who in range(3):
        x, y = 100 + 60 * np.sin((frames + 13 * who) / 9), 80 + 3 * frames * (who - 1)
        boxes = np.stack([x, y, 20 + 0 * x, 30 + 0 * x], 1)
        given.append(Boxes(frames, boxes, 0 * frames, identities=who))
        steps = (frames * 7 + who * 5) % 11 - 5
        moved = boxes + np.stack([steps, steps[::-1] / 2, steps / 3, 0 * x], 1)
        kept = (frames * 5 + who) % 13 > 1
        names = 10 * who + (frames > 20 + who) * (1 if who else 0) + (frames > 33)
        found.append(Boxes(frames, moved, 0 * frames, identities=names).of(kept))
    return joined(given), joined(found)


def test_the_same_as_trackeval():
    # By TrackEval 1.3.0 on the same overlaps.
    found = tracking_metrics(*winding())
    golden = {
        "hota": 0.3957366469203593,
        "deta": 0.5320395778684612,
        "assa": 0.2953470743247045,
        "mota": 0.625,
        "idf1": 0.5363636363636364,
        "switches": 5,
        "missed": 30,
        "false": 10,
    }
    for name, value in golden.items():
        assert found[name] == pytest.approx(value, abs=1e-9), name
