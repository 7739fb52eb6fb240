import json

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from sora_tf.data import AUGMENTS, Augment, mixup

NONE = {"crop": 0.0, "flip": False, "colour": 0.0, "speed": 0.0, "time_jitter": 0.0}
EACH = {
    "crop": Augment(**NONE | {"crop": 0.5}),
    "flip": Augment(**NONE | {"flip": True}),
    "turn": Augment(**NONE | {"turn": True}),
    "colour": Augment(**NONE | {"colour": 0.5}),
    "erase": Augment(**NONE, erase=0.8),
    "all": Augment(erase=0.4),
}


def clip(frames=4, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, 10, 12, 3), np.uint8)


def apply(augment, frames, seed):
    return augment.apply(tf.constant(frames), tf.constant([7, seed])).numpy()


@pytest.mark.parametrize("name", EACH)
def test_equal_frames_stay_equal_and_the_picture_changes(name):
    still = np.repeat(clip(1), 5, axis=0)
    changed = 0
    for seed in range(8):
        out = apply(EACH[name], still, seed)
        assert out.shape == still.shape
        assert out.dtype == np.uint8
        assert (out == out[:1]).all()
        changed += (out != still).any()
        np.testing.assert_array_equal(out, apply(EACH[name], still, seed))
    assert changed >= 2  # a flip spares half of the clips


@pytest.mark.parametrize("name", ["crop", "flip", "turn"])
def test_a_frame_changes_as_it_would_by_itself(name):
    frames = clip()
    for seed in range(4):
        out = apply(EACH[name], frames, seed)
        for t in range(len(frames)):
            np.testing.assert_array_equal(
                out[t : t + 1], apply(EACH[name], frames[t : t + 1], seed)
            )


def test_flip_turns_all_frames_or_none():
    frames = clip()
    flips = 0
    for seed in range(40):
        out = apply(EACH["flip"], frames, seed)
        mirrored = (out == frames[:, :, ::-1]).all()
        assert mirrored or (out == frames).all()
        flips += mirrored
    assert 10 <= flips <= 30  # 20 expected, standard deviation 3.2


@pytest.mark.parametrize(("width", "turns"), [(10, [0, 1, 2, 3]), (12, [0, 2])])
def test_turns_are_quarters_of_squares_and_halves_of_other_pictures(width, turns):
    frames = clip()[:, :, :width]
    ways = {number: np.rot90(frames, number, axes=(1, 2)) for number in turns}
    drawn = []
    for seed in range(60):
        out = apply(EACH["turn"], frames, seed)
        (number,) = [n for n, way in ways.items() if way.shape == out.shape and (way == out).all()]
        told = EACH["turn"].turns(tf.constant([7, seed]), (10, width))
        assert told == number
        drawn.append(number)
    # 15 or 30 expected, standard deviation 3.4 or 3.9.
    assert all(abs(drawn.count(number) - 60 / len(turns)) < 12 for number in turns)


def test_crop_shows_a_part_at_full_size():
    # Rows hold their own number times 10: a crop to the share s spans s·90 of them.
    frames = np.broadcast_to((np.arange(10) * 10)[None, :, None, None], (2, 10, 12, 3))
    spans = []
    for seed in range(30):
        out = apply(EACH["crop"], frames.astype(np.uint8), seed).astype(int)
        spans.append(out[0, -1, 0, 0] - out[0, 0, 0, 0])
    assert 44 <= min(spans) < 60
    assert 75 < max(spans) <= 90


def test_colour_is_brightness_contrast_and_saturation():
    # On a grey clip of one value v saturation and contrast change nothing, brightness scales:
    # v·b, b in [0.5, 1.5].
    grey = np.full((2, 4, 4, 3), 100, np.uint8)
    values = [int(apply(EACH["colour"], grey, seed)[0, 0, 0, 0]) for seed in range(40)]
    assert 50 <= min(values) < 65
    assert 135 < max(values) <= 150
    # On two greys 80 and 120 (mean 100) contrast scales the difference from the mean:
    # (high - low) / (high + low) = 20 c / 100, c in [0.5, 1.5], whatever the brightness.
    two = grey.copy()
    two[:, :2], two[:, 2:] = 80, 120
    ratios = []
    for seed in range(40):
        out = apply(EACH["colour"], two, seed).astype(float)
        low, high = out[0, 0, 0, 0], out[0, 3, 0, 0]
        ratios.append((high - low) / (high + low) / 0.2)
    assert 0.47 <= min(ratios) < 0.7
    assert 1.3 < max(ratios) <= 1.53


def test_erase_paints_one_box_with_the_mean():
    frames = clip()
    for seed in range(10):
        out = apply(EACH["erase"], frames, seed)
        hole = (out != frames).any(axis=(0, 3))
        if not hole.any():
            continue
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        box = out[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == round(frames.mean())).all()
        assert len(rows) <= 8  # 0.8 of 10
        assert len(columns) <= 10  # 0.8 of 12, rounded
        outside = ~np.isin(np.arange(10), np.arange(rows[0], rows[-1] + 1))
        np.testing.assert_array_equal(out[:, outside], frames[:, outside])


def test_none_changes_nothing():
    frames = clip()
    np.testing.assert_array_equal(apply(Augment.none(), frames, 1), frames)
    # 12 frames in 4 segments of 3: the middles are 1, 4, 7, 10.
    rng = np.random.default_rng(0)
    assert Augment.none().choose(12, 4, rng).tolist() == [1, 4, 7, 10]


def test_apply_knows_its_shape_in_a_graph():
    dataset = tf.data.Dataset.from_tensors(clip()).map(
        lambda frames: EACH["all"].apply(frames, tf.constant([1, 2]))
    )
    assert dataset.element_spec == tf.TensorSpec((4, 10, 12, 3), tf.uint8)


@given(
    st.integers(1, 60),
    st.integers(1, 20),
    st.floats(0, 0.9),
    st.floats(0, 1),
    st.integers(0, 2**31),
)
def test_chosen_frames_keep_their_order(available, frames, speed, jitter, seed):
    augment = Augment(**NONE | {"speed": speed, "time_jitter": jitter})
    chosen = augment.choose(available, frames, np.random.default_rng(seed))
    assert len(chosen) == min(available, frames)
    assert (np.diff(chosen) > 0).all()
    assert chosen[0] >= 0
    assert chosen[-1] < available


def test_speed_spans_less_of_the_clip():
    slow = Augment(**NONE | {"speed": 0.5})
    spans = [np.ptp(slow.choose(100, 10, np.random.default_rng(i))) for i in range(50)]
    # 10 middles of segments span 9/10 of the window, which is 50 to 100 frames.
    assert 44 <= min(spans) < 55
    assert 80 < max(spans) <= 90


def test_jitter_reaches_the_whole_segment():
    free = Augment(**NONE | {"time_jitter": 1.0})
    chosen = np.stack([free.choose(12, 4, np.random.default_rng(i)) for i in range(60)])
    assert [set(column) for column in chosen.T.tolist()] == [
        {0, 1, 2}, {3, 4, 5}, {6, 7, 8}, {9, 10, 11}
    ]  # fmt: skip


def test_mixup_is_the_blend_it_says():
    frames = np.random.default_rng(0).integers(0, 256, (5, 2, 3, 3, 3), np.uint8)
    mask = np.array([[True, True], [True, False], [True, False], [True, True], [True, False]])
    labels = np.eye(5, dtype=np.float32)
    mixed, real, soft = (
        part.numpy() for part in mixup(*map(tf.constant, (frames, mask, labels)), 0.4, [1, 2])
    )
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)
    share = soft[np.arange(5), np.arange(5)]  # λ stands where the 1 was
    assert (share >= 0.5).all()
    assert len(set(share.round(4))) > 1
    before = np.roll(np.arange(5), 1)
    np.testing.assert_allclose(soft[np.arange(5), before], 1 - share, atol=1e-6)
    weight = share[:, None, None, None, None]
    expected = weight * frames + (1 - weight) * frames[before]
    assert np.abs(mixed - expected).max() <= 0.501  # rounded to uint8
    np.testing.assert_array_equal(real, mask | mask[before])


def test_mixup_survives_a_tiny_alpha():
    frames = tf.zeros((64, 1, 1, 1, 3), tf.uint8)
    soft = mixup(frames, tf.fill((64, 1), True), tf.eye(64), 1e-3, [0, 0])[2].numpy()
    np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-6)


def test_to_json_and_back():
    for augment in AUGMENTS.values():
        assert Augment.from_dict(json.loads(json.dumps(augment.to_dict()))) == augment
    assert Augment.from_dict({"flip": False}) == Augment(flip=False)
    with pytest.raises(ValueError, match="field must be one of crop, flip"):
        Augment.from_dict({"color": 0.1})


@pytest.mark.parametrize(
    "bad", [{"crop": 0.95}, {"colour": -0.1}, {"speed": 1.0}, {"mixup": float("nan")}]
)
def test_numbers_out_of_range(bad):
    with pytest.raises(ValueError, match=f"Augment: {next(iter(bad))} must be from 0"):
        Augment(**bad)
