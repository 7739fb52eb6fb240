import csv
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf.data import digits as module
from sora_tf.data import load_clip, make_digits, read_index, write_digits
from sora_tf.video import probe, write


def draw(step, seed, frames, places=None, background=0.0):
    pool = np.random.default_rng(1).integers(0, 256, (5, 8, 8), np.uint8)
    scene = module._Scene(frames, places or frames, 28, background)
    return scene.draw(pool, step, np.random.default_rng(seed))


def bag(frames):
    return sorted(frame.tobytes() for frame in frames)


@settings(deadline=None)
@given(
    st.sampled_from([5, 7, 8, 10, 16, 28, 100]),
    st.integers(1, 3),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.5]),
)
def test_the_set_of_frames_says_nothing(places, laps, seed, background):
    """The same digit, row and phase under four labels: one bag of frames, in four orders."""
    clips = [draw(step, seed, places * laps, places, background) for step in module.STEPS.values()]
    assert all(bag(clip) == bag(clips[0]) for clip in clips)
    assert len({clip.tobytes() for clip in clips}) == 4


def test_a_digit_goes_round_at_its_step():
    # 28 frames on 28 pixels: a step is a pixel, and frame t is frame 0 moved by t steps.
    for step in module.STEPS.values():
        frames = draw(step, 3, 28)
        for t in range(28):
            np.testing.assert_array_equal(frames[t], np.roll(frames[0], step * t, axis=1))


def test_labels_take_turns_and_clips_differ():
    clips, labels, names = make_digits(40, frames=8, size=28, seed=5)
    assert clips.shape == (40, 8, 28, 28, 3)
    assert clips.dtype == np.uint8
    assert names == ("left", "left-fast", "right", "right-fast") == tuple(sorted(names))
    assert np.bincount(labels).tolist() == [10, 10, 10, 10]
    assert len({clip.tobytes() for clip in clips}) == 40
    assert 120 < clips.max() <= 255  # the digit stands out of the black
    again, _, _ = make_digits(40, frames=8, size=28, seed=5)
    np.testing.assert_array_equal(again, clips)
    assert (make_digits(40, seed=6)[0] != clips).any()


def test_the_papers_hundred_frames_and_images_of_ones_own():
    images = np.full((3, 28, 28), 255, np.uint8)
    clips, _, _ = make_digits(4, frames=100, size=28, images=images)
    assert clips.shape == (4, 100, 28, 28, 3)
    # White squares: their area is the same in every frame, whatever the place.
    areas = (clips[..., 0] > 128).sum(axis=(2, 3))
    assert (areas == areas[:, :1]).all()
    assert (areas >= 14**2).all()  # sides of 0.5 to 0.65 of 28
    assert (areas <= 18**2).all()


def test_clips_begin_at_every_place():
    images = np.full((1, 28, 28), 255, np.uint8)
    clips, _, _ = make_digits(160, frames=8, size=28, images=images)
    lit = (clips[:, 0, :, :, 0] > 128).any(axis=1)  # (clips, columns)
    edges = (lit & ~np.roll(lit, 1, axis=1)).argmax(axis=1)
    # Place p of 8 on 28 pixels begins at column round(3.5 p), halves to even.
    assert set(edges.tolist()) == {0, 4, 7, 10, 14, 18, 21, 24}


def test_resizing_keeps_a_ramp_straight():
    ramp = np.tile(np.arange(8, dtype=np.float32), (8, 1))
    # Centres of 16 pixels over 8: -0.25, 0.25, 0.75, ... 7.25, held at the ends.
    expected = np.clip(np.arange(16) * 0.5 - 0.25, 0, 7)
    np.testing.assert_allclose(module._resize(ramp, 16)[3], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"frames": 9}, "share no factor with the step .3, .* got 9. Use 8 or 10"),
        ({"frames": 4}, "places must be at least 5"),
        ({"frames": 24, "places": 10}, "whole laps of 10 places, got 24. Use 20"),
        ({"size": 8}, "size must be at least 12"),
        ({"count": 0}, "count must be at least 1"),
        ({"background": 2.0}, "background must be from 0.0 to 1.0"),
        ({"images": np.zeros((2, 8, 8))}, r"must be \(N, h, w\) uint8, got \(2, 8, 8\) float64"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_digits(**{"count": 4, **arguments})


def test_files_hold_the_clips_and_the_index_lists_them(tmp_path):
    seen = []
    counts = {"train": 4, "val": 2, "test": 4}
    clips = write_digits(tmp_path / "d", counts, seed=2, progress=lambda *done: seen.append(done))
    assert clips == read_index(tmp_path / "d" / "index.csv")
    assert seen == [(i + 1, 10) for i in range(10)]
    assert [clip.split for clip in clips] == ["train"] * 4 + ["val"] * 2 + ["test"] * 4
    assert [clip.label for clip in clips[:4]] == list(module.STEPS)
    with open(tmp_path / "d" / "index.csv", newline="") as file:
        assert next(csv.DictReader(file))["path"] == "left/train-00000.mp4"
    info = probe(clips[0].path)
    assert (info.width, info.height, info.fps) == (28, 28, 8.0)
    pool = module._images(None)
    low = round(0.8 * len(pool))
    for number in range(4):
        rng = np.random.default_rng((2, 2, number))
        step = module.STEPS[clips[6 + number].label]
        drawn = module._Scene(8, 8, 28, 0.0).draw(pool[low:], step, rng)
        frames, mask, _ = load_clip(clips[6 + number].path, 8, (28, 28))
        assert mask.all()
        assert np.abs(frames.astype(int) - drawn).max() <= 2  # of 255: RGB to YUV and back


def test_the_set_of_frames_says_nothing_after_encoding_either(tmp_path):
    bags = []
    for step in module.STEPS.values():
        write(tmp_path / "a.mp4", draw(step, 4, 8, background=0.3), 8.0, quality=0)
        bags.append(bag(load_clip(str(tmp_path / "a.mp4"), 8, (28, 28))[0]))
    assert bags[0] == bags[1] == bags[2] == bags[3]


def test_the_same_seed_writes_the_same_files(tmp_path):
    for name in ("a", "b"):
        write_digits(tmp_path / name, {"test": 2}, seed=1)
    sums = [
        [
            hashlib.sha256(path.read_bytes()).digest()
            for path in sorted((tmp_path / n).rglob("*.mp4"))
        ]
        for n in ("a", "b")
    ]
    assert len(sums[0]) == 2
    assert sums[0] == sums[1]
    with pytest.raises(ValueError, match="split must be one of train, val, test"):
        write_digits(tmp_path, {"dev": 1})
