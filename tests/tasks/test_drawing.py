"""What is drawn on a frame, and where."""

import numpy as np

from sora_tf.data.boxes import Boxes
from sora_tf.tasks.tracking import Counts, Line, Marks, Zone
from sora_tf.tasks.tracking.drawing import ALERT, MARK, Pen, colour_of

NOTHING = Counts(Marks(), ("car",))
BOX = Boxes([0], [[40, 60, 30, 20]], [0], identities=[1])


def drawn(boxes=BOX, counts=NOTHING):
    picture = np.full((120, 160, 3), 90, np.uint8)
    before = picture.copy()
    made = Pen(("car",), 120).draw(picture, boxes, counts)
    np.testing.assert_array_equal(picture, before)
    return made


def test_a_box_in_the_colour_of_its_identity_with_its_name_above():
    made = drawn()
    colour = colour_of(1)
    for y, x in ((60, 55), (80, 55), (70, 40), (70, 70)):  # its four sides
        assert tuple(made[y, x]) == colour
    changed = np.argwhere((made != 90).any(2))
    assert (made[65:78, 45:65] == 90).all()
    assert changed.min(0)[0] < 55  # the name
    assert changed.max(0).tolist() == [80, 70] or changed.max(0)[0] == 80


def test_identities_differ_and_nobody_is_not_drawn():
    assert len({colour_of(n) for n in range(50)}) == 50
    assert (drawn(Boxes([0], [[40, 60, 30, 20]], [0])) == 90).all()


def test_names_stay_inside_the_picture():
    corner = Boxes([0], [[155, 0, 5, 5]], [0], identities=[123456])
    made = drawn(corner)
    assert (made[5:20, 60:150] != 90).any()  # moved left from the right border
    assert made.shape == (120, 160, 3)


def test_lines_zones_and_who_stays_too_long():
    marks = Marks(
        (Line("gate", (20, 118), (140, 118)),),
        (Zone("yard", ((30, 50), (90, 50), (90, 90), (30, 90)), alert_seconds=1.0),),
    )
    counts = Counts(marks, ("car",))
    counts.update(0.0, BOX)
    made = drawn(counts=counts)
    assert tuple(made[118, 130]) == MARK
    assert tuple(made[90, 80]) == MARK
    assert tuple(made[80, 55]) == colour_of(1)
    counts.update(1.5, BOX)
    made = drawn(counts=counts)
    assert tuple(made[90, 80]) == tuple(made[80, 55]) == ALERT
