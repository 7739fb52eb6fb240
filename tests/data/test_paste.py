"""Things that are cut out of frames and put into others."""

import numpy as np
import pytest

from sora_tf.data.boxes import NOTHING, UNSEEN
from sora_tf.data.paste import Thing, Things, things_in, touching

GREY = 100


def frame(*things, height=64, width=96):
    """A grey picture with things (left, top, width, height, class) that are 50 brighter."""
    picture = np.full((height, width, 3), GREY, np.uint8)
    rows = np.full((4, 5), NOTHING, np.float32)
    for place, (x, y, w, h, label) in enumerate(things):
        picture[y : y + h, x : x + w] = GREY + 50
        rows[place] = [x, y, w, h, label]
    return picture, rows


def test_what_is_cut_out_is_the_difference():
    picture, rows = frame((40, 30, 10, 6, 1))
    things = things_in([(picture, rows)], 2, True)
    ((thing,),) = things.found
    assert thing.label == 1
    x, y, w, h = thing.box.astype(int)
    assert (w, h) == (10, 6)
    np.testing.assert_allclose(thing.pixels[y : y + h, x : x + w], 50)
    rest = thing.pixels.copy()
    rest[y : y + h, x : x + w] = 0
    np.testing.assert_allclose(rest, 0)


@pytest.mark.parametrize(
    "thing", [(0, 30, 10, 6), (40, 0, 10, 6), (30, 20, 30, 20), (88, 30, 8, 8)]
)
def test_things_at_the_edge_and_large_ones_stay(thing):
    assert things_in([frame((*thing, 0))], 2, True).found == ()


def test_what_stands_before_something_that_varies_stays():
    picture, rows = frame((40, 30, 10, 6, 0))
    noise = np.random.default_rng(0).integers(-60, 60, picture.shape)
    assert things_in([((picture + noise).astype(np.uint8), rows)], 2, True).found == ()


def stretch(frames=3, seen=True):
    pictures = np.full((frames, 64, 96, 3), 30, np.uint8)
    rows = np.full((frames, 4, 5), NOTHING if seen else UNSEEN, np.float32)
    return pictures, rows


@pytest.fixture
def things():
    return things_in([frame((40, 30, 10, 6, 1)), frame((20, 20, 8, 8, 0))], 1, True)


def test_a_thing_is_where_its_row_says(things):
    seen = set()
    for seed in range(40):
        pictures, rows = things.put_into(*stretch(), np.random.default_rng(seed))
        for picture, own in zip(pictures, rows, strict=True):
            there = own[own[:, 4] >= 0]
            bright = np.argwhere(picture[..., 0] > 45)  # 30 and most of a difference of 50
            assert bool(len(there)) == bool(len(bright))
            if len(there):
                x, y, w, h, label = there[0]
                seen.add(int(label))
                middle = (bright.min(0) + bright.max(0) + 1)[::-1] / 2
                np.testing.assert_allclose(middle, [x + w / 2, y + h / 2], atol=1.5)
    assert seen == {0, 1}


def test_things_are_of_the_classes_that_are_there(things):
    pictures, rows = stretch()
    rows[:, 0] = [2, 2, 4, 4, 1]
    put = [things.put_into(pictures, rows, np.random.default_rng(seed))[1] for seed in range(20)]
    labels = np.unique(np.stack(put)[..., 1, 4])
    np.testing.assert_array_equal(labels, [NOTHING, 1])


def test_what_was_given_stays(things):
    pictures, rows = stretch()
    before = pictures.copy(), rows.copy()
    things.put_into(pictures, rows, np.random.default_rng(3))
    np.testing.assert_array_equal(pictures, before[0])
    np.testing.assert_array_equal(rows, before[1])


def test_nothing_is_put_upon_what_is_there(things):
    pictures, rows = stretch()
    rows[:, 0] = [0, 0, 96, 64, 0]
    for seed in range(10):
        _, found = things.put_into(pictures, rows, np.random.default_rng(seed))
        assert (found[:, 1:, 4] == NOTHING).all()


def test_frames_nobody_looked_at_get_no_rows(things):
    for seed in range(10):
        _, rows = things.put_into(*stretch(seen=False), np.random.default_rng(seed))
        assert (rows[..., 4] == UNSEEN).all()


def test_a_thing_larger_than_the_picture_is_left_out():
    thing = Thing(np.full((190, 190, 3), 50, np.float32), np.float32([20, 20, 150, 150]), 0)
    things = Things(((thing,),), most=3)
    _, rows = things.put_into(*stretch(), np.random.default_rng(0))
    assert (rows[..., 4] == NOTHING).all()


def test_without_things_nothing_happens():
    pictures, _ = things_in([], 2, True).put_into(*stretch(), np.random.default_rng(0))
    assert (pictures == 30).all()


def test_the_same_draw_gives_the_same(things):
    one, other = (things.put_into(*stretch(), np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    assert things.digest != Things(things.found, most=2).digest


def test_boxes_that_touch():
    box = np.float32([10, 10, 5, 5])
    others = np.float32([[14, 14, 5, 5], [15, 10, 5, 5], [10, 16, 5, 5], [0, 0, 40, 40]])
    np.testing.assert_array_equal(touching(box, others), [True, False, False, True])
