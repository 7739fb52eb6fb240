"""Stretches of annotated video, and batches of them."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf.data import Augment, Clip
from sora_tf.data.box_dataset import (
    NOTHING,
    UNSEEN,
    box_dataset,
    moved,
    turned,
)
from sora_tf.data.boxes import Annotated, Boxes
from sora_tf.data.problems import Problems
from sora_tf.data.stretches import Stretch, frames_numbered, stretches, walks
from sora_tf.video import VideoError, write

FPS, LENGTH = 10, 20
SIZE = (32, 64)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """A film of 20 frames with a white square of 8 × 8 that moves 2 pixels a frame."""
    frames = np.zeros((LENGTH, *SIZE, 3), np.uint8)
    for number in range(LENGTH):
        frames[number, 12:20, 2 * number : 2 * number + 8] = 255
    path = tmp_path_factory.mktemp("film") / "square.mp4"
    write(path, frames, fps=FPS)
    return Clip(str(path), "square")


def squares(numbers=range(LENGTH)):
    """The square on some of the frames."""
    numbers = list(numbers)
    boxes = [[2 * number, 12, 8, 8] for number in numbers]
    return Annotated(Boxes(numbers, boxes, [0] * len(numbers)), np.array(numbers))


def assert_holds_the_square(picture, row, atol):
    left, top, w, h, _ = row
    bright = np.argwhere(picture[..., 0] > 128)
    low, high = bright.min(0), bright.max(0) + 1
    np.testing.assert_allclose(
        [low[1], low[0], high[1], high[0]], [left, top, left + w, top + h], atol=atol
    )


def ends(found):
    return [int(one.frames[-1]) for one in found]


def test_stretches_end_at_known_frames_evenly_spread(film):
    found = stretches(film, squares(), frames=3, step=0.2, most=4)
    # Frames 4 to 19 can be the last of three that are two apart: 16 ends, the middles of 4 parts.
    assert ends(found) == [6, 10, 14, 18]
    assert found[0].frames.tolist() == [2, 4, 6]
    assert found[0].size == (64, 32)


def test_a_step_of_0_takes_every_frame(film):
    (only,) = stretches(film, squares([5]), 3, 0.0, 9)
    assert only.frames.tolist() == [3, 4, 5]


def test_a_known_frame_near_the_start_is_inside_a_later_stretch(film):
    (only,) = stretches(film, squares([1]), 3, 0.2, 9)
    assert only.frames.tolist() == [0, 2, 4]


def test_start_and_end_are_kept_to(film):
    part = Clip(film.path, "square", start=0.5, end=1.0)  # frames 5 to 9
    found = stretches(part, squares(), 3, 0.1, 99)
    assert ends(found) == [7, 8, 9]
    assert found[0].frames.tolist() == [5, 6, 7]
    assert stretches(part, squares([0, 1, 12]), 3, 0.1, 99) == []


def test_a_stretch_longer_than_the_film_has_what_there_is(film):
    (only,) = stretches(film, squares(), 50, 0.1, 9)
    assert only.frames.tolist() == list(range(LENGTH))


def test_stretches_that_meet_are_one_walk(film):
    # Every other frame is taken: 10 that are known, of which the middles of 4 parts are ends.
    (whole,) = walks(film, squares(), frames=3, step=0.2, most=4)
    assert whole.frames.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    apart = walks(film, squares(), frames=2, step=0.1, most=3)
    assert [one.frames.tolist() for one in apart] == [[2, 3], [9, 10], [15, 16]]


def test_walks_out_of_step_stay_apart(film):
    # Every third is known from frame 1 on, and every other taken: 7 and 13 are in step with 1.
    taken = [one.frames.tolist() for one in walks(film, squares(range(1, 16, 3)), 3, 0.2, 3)]
    assert taken == [[1, 3, 5, 7, 9, 11, 13]]
    taken = [one.frames.tolist() for one in walks(film, squares(range(1, 16, 3)), 3, 0.2, 4)]
    assert taken == [[1], [0, 2, 4, 6, 8, 10], [9, 11, 13]]


def test_a_walk_keeps_to_its_clip(film):
    part = Clip(film.path, "square", start=0.5, end=1.0)  # frames 5 to 9
    (only,) = walks(part, squares(), 8, 0.1, 9)
    assert only.frames.tolist() == [5, 6, 7, 8, 9]
    assert walks(part, squares([0, 1, 12]), 3, 0.1, 9) == []


def rows_of(dataset):
    return [(x["frames"].numpy(), x["mask"].numpy(), y.numpy()) for x, y in dataset]


def test_boxes_go_with_their_frames(film, tmp_path):
    dataset, found = box_dataset(
        [film], {film.path: squares()}, frames=2, step=0.1, size=(64, 64), each=3, most=2,
        cache=tmp_path,
    )  # fmt: skip
    assert int(dataset.cardinality()) == 2
    (x, mask, y), (last, _, _) = rows_of(dataset)
    assert x.shape == (2, 2, 64, 64, 3)
    assert len(last) == 1
    assert mask.all()
    for row, stretch in enumerate(found[:2]):
        for place, number in enumerate(stretch.frames):
            # The height is doubled: 12 and 8 become 24 and 16.
            np.testing.assert_allclose(y[row, place, 0], [2 * number, 24, 8, 16, 0])
            left, top, w, h = map(int, y[row, place, 0, :4])
            inside = x[row, place, top + 2 : top + h - 2, left + 2 : left + w - 2]
            assert inside.min() > 180
            assert x[row, place].mean() < 20  # and nothing else is white
    assert (y[:, :, 1, 4] == NOTHING).all()


def test_frames_nobody_looked_at_do_not_count(film):
    known = squares([8])
    dataset, _ = box_dataset([film], {film.path: known}, frames=3, step=0.1, size=SIZE, most=1)
    ((_, _, y),) = rows_of(dataset)
    assert y[0, :, 0, 4].tolist() == [UNSEEN, UNSEEN, 0]


def test_a_known_frame_without_a_box_counts(film):
    known = Annotated(Boxes.none(), np.array([8]))
    dataset, _ = box_dataset([film], {film.path: known}, frames=2, step=0.1, size=SIZE, most=1)
    ((_, _, y),) = rows_of(dataset)
    assert y[0, :, 0, 4].tolist() == [UNSEEN, NOTHING]


def test_too_many_boxes_leave_out_the_smallest(film):
    boxes = Boxes([8, 8, 8], [[0, 0, 4, 4], [0, 0, 9, 9], [0, 0, 6, 6]], [0, 1, 2])
    known = {film.path: Annotated(boxes, np.array([8]))}
    dataset, _ = box_dataset([film], known, frames=1, step=0.1, size=SIZE, most=2)
    ((_, _, y),) = rows_of(dataset)
    assert y[0, 0, :, 4].tolist() == [1, 2]


def test_a_short_stretch_is_padded(film):
    dataset, _ = box_dataset([film], {film.path: squares()}, frames=24, step=0.1, size=SIZE, most=1)
    ((_, mask, y),) = rows_of(dataset)
    assert mask[0].tolist() == [True] * LENGTH + [False] * 4
    assert (y[0, LENGTH:, 0, 4] == UNSEEN).all()


def test_augmented_boxes_still_hold_the_square(film):
    dataset, _ = box_dataset(
        [film], {film.path: squares()}, frames=2, step=0.1, size=SIZE, each=16, most=1,
        batch_size=16, training=True, augment=Augment(crop=0.5, colour=0.0),
    )  # fmt: skip
    ((x, _, y),) = rows_of(dataset)
    seen = flipped = 0
    for pictures, rows in zip(x, y, strict=True):
        for picture, row in zip(pictures, rows[:, 0], strict=True):
            if row[4] == 0:
                assert_holds_the_square(picture, row, atol=1.6)
                seen += 1
        if (rows[:, 0, 4] == 0).all():
            flipped += rows[1, 0, 0] < rows[0, 0, 0]  # the square goes to the right
    assert seen > 16
    assert flipped > 2


@pytest.mark.parametrize("size", [SIZE, (48, 48)])
def test_turned_boxes_still_hold_the_square(film, size):
    augment = Augment(crop=0.0, turn=True, colour=0.0)
    dataset, _ = box_dataset(
        [film], {film.path: squares()}, frames=1, step=0.1, size=size, each=16, most=1,
        batch_size=16, training=True, augment=augment,
    )  # fmt: skip
    seen, upright = 0, set()
    for x, _, y in (batch for _ in range(2) for batch in rows_of(dataset)):
        for (picture,), (row,) in zip(x, y[:, 0], strict=True):
            if row[4] == 0:
                assert_holds_the_square(picture, row, atol=1.8)
                seen += 1
                upright.add(bool(row[3] > row[2] + 2))
    assert seen > 16
    # The square is 6 wide and 12 high in 48 · 48 pixels: it lies after a quarter turn.
    assert upright == ({False} if size == SIZE else {True, False})


def test_turned_by_hand():
    rows = np.array([[[10, 20, 5, 8, 1], [0, 0, 0, 0, NOTHING]]], np.float32)
    ways = {
        0: [10, 20, 5, 8, 1],
        1: [20, 85, 8, 5, 1],  # the right edge is the top
        2: [85, 72, 5, 8, 1],
        3: [72, 10, 8, 5, 1],
    }
    for number, way in ways.items():
        found = turned(rows, tf.constant(number), (100, 100)).numpy()[0]
        assert found.tolist() == [way, [0, 0, 0, 0, NOTHING]]


def test_training_order_is_new_in_every_epoch_and_the_same_for_a_seed(film):
    def epochs(seed):
        dataset, _ = box_dataset(
            [film], {film.path: squares()}, frames=1, step=0.1, size=SIZE, each=16, most=1,
            batch_size=16, training=True, seed=seed,
        )  # fmt: skip
        return [rows_of(dataset)[0][2][:, 0, 0, 0].tolist() for _ in range(2)]

    one, two = epochs(0)
    assert one != two
    assert sorted(one) == sorted(two)
    assert epochs(0) == [one, two]
    assert epochs(1) != [one, two]


@given(
    st.integers(0, 40), st.integers(0, 40), st.integers(1, 30), st.integers(1, 30),
    st.integers(0, 2**31 - 1),
)  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_moved_boxes_lie_in_the_picture(x, y, w, h, seed):
    rows = np.array([[[x, y, w, h, 3]]], np.float32)
    part = Augment(crop=0.9).part(tf.constant([seed, 7]))
    left, top, width, height, label = moved(rows, part, (64, 48)).numpy()[0, 0]
    if label == NOTHING:
        assert width == height == 0
        return
    assert label == 3
    assert min(left, top) >= 0
    assert left + width <= 48 + 1e-3
    assert top + height <= 64 + 1e-3
    assert min(width, height) > 0


def test_moved_by_hand():
    # The right half of 101 × 101 pixels: a pixel's middle p + ½ goes to 2p - 100 + ½.
    rows = np.array([[[60.5, 10.5, 10, 20, 1], [0, 0, 0, 0, NOTHING], [0, 0, 5, 5, 0]]], np.float32)
    found = moved(rows, np.float32([0, 0.5, 1, 1]), (101, 101)).numpy()[0]
    np.testing.assert_allclose(found[0], [20.5, 10.5, 20, 20, 1], atol=1e-4)
    assert found[1].tolist() == found[2].tolist() == [0, 0, 0, 0, NOTHING]
    mirrored = moved(rows, np.float32([0, 1, 1, 0]), (101, 101)).numpy()[0]
    np.testing.assert_allclose(mirrored[0], [101 - 70.5, 10.5, 10, 20, 1], atol=1e-4)


def test_frames_by_number(film):
    found = frames_numbered(film.path, np.array([0, 7, 30]), SIZE)
    assert len(found.frames) == 2
    np.testing.assert_allclose(found.times, [0, 0.7], atol=1e-6)
    assert found.frames[1][16, 14 + 4].min() > 180
    with pytest.raises(VideoError, match="it has no frame 30"):
        frames_numbered(film.path, np.array([30]), SIZE)


def test_a_bad_film_is_named_and_skipped(film, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    problems = Problems()
    known = {film.path: squares(), str(bad): squares()}
    _, found = box_dataset([Clip(str(bad), "x"), film], known, size=SIZE, problems=problems)
    assert {one.clip.path for one in found} == {film.path}
    assert problems.names() == {str(bad)}


def test_boxes_of_other_videos_or_times_are_said(film):
    with pytest.raises(ValueError, match=r"there must be one stretch .* got none of 1 clips"):
        box_dataset([film], {})
    with pytest.raises(ValueError, match="there must be one stretch"):
        box_dataset([film], {film.path: squares([500])})


def test_a_stretch_says_where_it_is_from(film):
    (only,) = stretches(film, squares([5]), 1, 0.1, 1)
    assert isinstance(only, Stretch)
    assert (only.clip, only.fps) == (film, FPS)
