"""Lines and zones: the file and its mistakes, crossings, stays, alerts."""

import json

import numpy as np
import pytest

from sora_tf.data.boxes import Boxes
from sora_tf.tasks.tracking import Counts, Line, Marks, Zone, read_marks

LINE = {"name": "gate", "from": [0, 50], "to": [100, 50]}
ZONE = {"name": "yard", "corners": [[0, 0], [40, 0], [40, 40], [0, 40]], "alert_seconds": 2}


def written(tmp_path, value):
    path = tmp_path / "marks.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def at(frame, *centres, size=4, label=0):
    """Boxes around points, identities from 1 in their order; None leaves one out."""
    there = [(who, point) for who, point in enumerate(centres, 1) if point is not None]
    boxes = [(x - size / 2, y - size / 2, size, size) for _, (x, y) in there]
    return Boxes(
        [frame] * len(there),
        np.reshape(boxes, (-1, 4)),
        [label] * len(there),
        identities=[who for who, _ in there],
    )


def passed(marks, *frames, labels=("person", "car"), step=1.0, **more):
    """Counts after frames of points, `step` seconds apart."""
    counts = Counts(marks, labels)
    for n, points in enumerate(frames):
        counts.update(n * step, at(n, *points, **more))
    return counts


def crossings(*points, line=None, **more):
    marks = Marks(lines=(line or Line("gate", (0, 50), (100, 50)),))
    found = passed(marks, *[[point] for point in points], **more).to_dict()["lines"]["gate"]
    return found["in"], found["out"]


def stays(*points, **more):
    zone = Zone("yard", ((0, 0), (40, 0), (40, 40), (0, 40)), alert_seconds=2)
    return passed(Marks(zones=(zone,)), *[[point] for point in points], **more)


# The file.


def test_what_is_read(tmp_path):
    path = written(tmp_path, {"lines": [LINE], "zones": [{**ZONE, "labels": ["car"]}]})
    marks = read_marks(path)
    assert marks.lines == (Line("gate", (0, 50), (100, 50)),)
    assert marks.zones == (Zone("yard", ((0, 0), (40, 0), (40, 40), (0, 40)), ("car",), 2),)
    assert (marks.units, marks.point) == ("pixels", "centre")


def test_fractions_become_pixels():
    marks = Marks((Line("a", (0, 0.5), (1, 0.5)),), units="fraction").on(200, 100)
    assert marks.lines[0] == Line("a", (0, 50), (200, 50))
    assert marks.units == "pixels"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "Expecting"),
        ([], "the file is [], not an object"),
        ({}, "it holds neither"),
        ({"line": [LINE]}, "the file has 'line', which is none of lines, point, units, zones"),
        ({"lines": {}}, "lines is {}, not a list"),
        ({"lines": [3]}, "a line is 3, not an object"),
        ({"lines": [{"name": "a"}]}, "a line has no 'from'"),
        ({"lines": [{**LINE, "name": ""}]}, "a name is '', not text"),
        ({"lines": [{**LINE, "to": [0, 50]}]}, "the line 'gate' ends where it starts"),
        ({"lines": [{**LINE, "to": [0, "x"]}]}, "'gate' has the point [0, 'x'], not [x, y]"),
        ({"lines": [{**LINE, "to": [0]}]}, "'gate' has the point [0], not [x, y]"),
        (
            '{"lines": [{"name": "a", "from": [0, NaN], "to": [1, 1]}]}',
            "'a' has the point [0, nan]",
        ),
        ({"lines": [LINE, LINE]}, "two are called 'gate'"),
        ({"lines": [{**LINE, "labels": "car"}]}, "'gate''s labels is 'car', not a list"),
        ({"zones": [{**ZONE, "corners": [[0, 0], [1, 1]]}]}, "the zone 'yard' has 2 corners"),
        ({"zones": [{**ZONE, "alert_seconds": 0}]}, "has alert_seconds 0, not above 0 s"),
        ({"zones": [ZONE], "units": "percent"}, "units is 'percent', which is none of pixels"),
        ({"zones": [ZONE], "point": "head"}, "point is 'head', which is none of centre, foot"),
    ],
)
def test_mistakes_are_one_line(tmp_path, value, words):
    path = written(tmp_path, value)
    with pytest.raises(ValueError, match="must be a JSON file of lines and zones, but: ") as caught:
        read_marks(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_line_beside_the_picture():
    marks = Marks((Line("gate", (0, 50), (100, 50)),))
    with pytest.raises(ValueError, match=r"'gate' must lie on the picture of 80 by 90 .*\(100, 50"):
        marks.on(80, 90)


def test_a_class_that_nobody_finds():
    marks = Marks((Line("gate", (0, 50), (100, 50), ("dog",)),))
    with pytest.raises(ValueError, match="'gate' must count classes of the detector, got 'dog'"):
        marks.check_labels(("person", "car"))


# Lines. From the left to the right of the picture, in is from above to below.


def test_in_and_out():
    assert crossings((50, 30), (50, 70)) == (1, 0)
    assert crossings((50, 70), (50, 30)) == (0, 1)
    assert crossings((50, 30), (50, 70), (50, 30)) == (1, 1)
    back = Line("gate", (100, 50), (0, 50))
    assert crossings((50, 30), (50, 70), line=back) == (0, 1)


def test_beside_the_line_is_no_crossing():
    assert crossings((130, 30), (130, 70)) == (0, 0)


def test_standing_on_the_line_counts_once():
    # 40 pixels wide: clear of the line from 4 pixels on.
    wobble = [(50, 30), (50, 51), (50, 49), (50, 52), (50, 48), (50, 60)]
    assert crossings(*wobble, size=40) == (1, 0)
    assert crossings(*wobble[:-1], size=40) == (0, 0)


def test_a_thing_that_was_lost_on_the_line_is_counted():
    assert crossings((50, 30), None, None, (50, 70)) == (1, 0)


def test_only_classes_that_count():
    line = Line("gate", (0, 50), (100, 50), ("car",))
    assert crossings((50, 30), (50, 70), line=line) == (0, 0)
    assert crossings((50, 30), (50, 70), line=line, label=1) == (1, 0)


def test_the_foot_of_a_box():
    line = Line("gate", (0, 50), (100, 50))
    frames = [[(50, 30)], [(50, 45)]]  # 20 high: the foot is at 40, then at 55
    for point, count in (("centre", 0), ("foot", 1)):
        counts = passed(Marks((line,), point=point), *frames, size=20)
        assert counts.to_dict()["lines"]["gate"]["in"] == count


# Zones.


def test_entered_inside_and_left():
    # Outside, inside for 2 s, then away: it has left once it was not seen there for over 1 s.
    way = [(60, 60), (20, 20), (21, 20), (60, 60), (60, 60), (60, 60)]
    seen = [stays(*way[:n]).to_dict()["zones"]["yard"] for n in range(1, 7)]
    assert [s["inside"] for s in seen] == [0, 1, 1, 1, 0, 0]
    assert seen[-1] == {"inside": 0, "entered": 1, "left": 1}


def test_a_frame_without_the_thing_does_not_end_its_stay():
    counts = stays((20, 20), None, (20, 20), (60, 60), (20, 20), step=0.5)
    assert counts.to_dict()["zones"]["yard"] == {"inside": 1, "entered": 1, "left": 0}


def test_looks_far_apart_do_not_end_a_stay():
    counts = stays((20, 20), (20, 20), (20, 20), step=5.0)
    assert counts.to_dict()["zones"]["yard"] == {"inside": 1, "entered": 1, "left": 0}


def test_an_alert_from_when_to_when():
    counts = stays(*[(20, 20)] * 4, (60, 60), (60, 60), (60, 60))
    assert counts.alerts() == [
        {"zone": "yard", "identity": 1, "class": "person", "since": 0.0, "until": 3.0}
    ]
    assert stays(*[(20, 20)] * 3).alerts() == []  # 2 s are not longer than 2 s
    assert stays(*[(20, 20)] * 4).alerts()[0]["until"] == 3.0  # while it goes on


def test_a_zone_with_a_dent():
    # A U: its middle is outside.
    corners = ((0, 0), (10, 0), (10, 30), (30, 30), (30, 0), (40, 0), (40, 40), (0, 40))
    for point, inside in (((20, 10), 0), ((5, 10), 1), ((35, 10), 1), ((20, 35), 1), ((45, 5), 0)):
        counts = passed(Marks(zones=(Zone("u", corners),)), [point])
        assert counts.to_dict()["zones"]["u"]["inside"] == inside


def test_boxes_without_identity_do_not_count():
    counts = Counts(Marks(zones=(Zone("u", ((0, 0), (9, 0), (0, 9))),)), ("person",))
    counts.update(0.0, Boxes([0], [[0, 0, 4, 4]], [0]))
    assert counts.to_dict()["zones"]["u"]["inside"] == 0
