from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf.data import Clip, folds, split


def clip(number, label="a", group="", part=None):
    return Clip(f"{number}.mp4", label, group=group, split=part)


some_clips = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 12)), min_size=1, max_size=40
).map(lambda rows: [clip(i, label, f"g{group}") for i, (label, group) in enumerate(rows)])


@given(some_clips, st.integers(0, 3))
def test_no_group_straddles_and_none_is_lost(clips, seed):
    groups = {c.group for c in clips}
    if len(groups) < 3:
        with pytest.raises(ValueError, match="3 parts must be filled"):
            split(clips, seed=seed)
        return
    parted = split(clips, seed=seed)
    assert [replace(c, split=None) for c in parted] == clips
    assert len({(c.group, c.split) for c in parted}) == len(groups)
    assert {c.split for c in parted} == {"train", "val", "test"}
    assert split(clips, seed=seed) == parted


@given(some_clips, st.integers(0, 3))
def test_clips_in_another_order_fall_alike(clips, seed):
    if len({c.group for c in clips}) >= 3:
        placed = {c.path: c.split for c in split(clips, seed=seed)}
        assert {c.path: c.split for c in split(clips[::-1], seed=seed)} == placed


def test_every_label_is_shared_out_as_asked():
    # 40 of a and 20 of b by 0.7, 0.15, 0.15: 28, 6, 6 and 14, 3, 3.
    clips = [clip(i, "a" if i < 40 else "b") for i in range(60)]
    counts = Counter((c.label, c.split) for c in split(clips))
    expected = {"a": (28, 6, 6), "b": (14, 3, 3)}
    for label, numbers in expected.items():
        assert tuple(counts[label, part] for part in ("train", "val", "test")) == numbers


def test_a_label_with_three_groups_is_in_all_three_parts():
    clips = [clip(i, label) for label in "ab" for i in range(ord(label), ord(label) + 30)]
    clips += [clip(200 + i, "rare", f"g{i % 3}") for i in range(9)]
    assert {c.split for c in split(clips) if c.label == "rare"} == {"train", "val", "test"}


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_group_finds_room_first(seed):
    # 60 clips by 0.7, 0.15, 0.15: 42, 9, 9. The group of 30 fits into the 42 alone.
    clips = [clip(i, group="big" if i < 30 else "") for i in range(60)]
    parted = split(clips, seed=seed)
    assert Counter(c.split for c in parted) == {"train": 42, "val": 9, "test": 9}
    assert parted[0].split == "train"


def test_another_seed_is_another_split():
    clips = [clip(i) for i in range(30)]
    assert split(clips, seed=0) != split(clips, seed=1)


def test_given_splits_stay_and_carry_over_to_their_group():
    clips = [clip(i, group=f"g{i // 2}") for i in range(40)]
    clips[0] = replace(clips[0], split="test")
    clips[3] = replace(clips[3], split="holdout")
    parts = [c.split for c in split(clips)]
    assert parts[:4] == ["test", "test", "holdout", "holdout"]
    # 38 clips, less the holdout's two: 0.7 · 38 = 26.6, 0.15 · 38 = 5.7, in pairs.
    assert Counter(parts) == {"train": 26, "val": 6, "test": 6, "holdout": 2}


def test_all_given_is_left_alone():
    clips = [clip(0, part="train"), clip(1, part="val")]
    assert split(clips) == clips


def test_a_leak_in_the_given_splits_is_an_error():
    clips = [clip(0, group="cam", part="train"), clip(1, group="cam", part="test")]
    with pytest.raises(ValueError, match="'train' and 'test' for group cam"):
        split(clips)


def test_bad_fractions():
    with pytest.raises(ValueError, match="must add up to 1"):
        split([clip(0)], {"train": 0.7, "test": 0.2})
    with pytest.raises(ValueError, match="share of test must be above 0"):
        split([clip(0)], {"train": 1.0, "test": 0.0})


def test_a_missing_label_is_told(caplog):
    split([clip(0, "lone"), *(clip(i) for i in range(1, 9))])
    assert "no clip of label 'lone' in" in caplog.text


@settings(deadline=None)  # the first call imports scikit-learn
@pytest.mark.filterwarnings("ignore:The least populated class")
@given(some_clips, st.integers(2, 4))
def test_folds_are_whole_groups_and_all_clips(clips, count):
    try:
        parts = folds(clips, count)
    except ValueError as error:
        assert f"each of {count} parts must get a group" in str(error)  # noqa: PT017
        return
    assert len(parts) == count
    assert sorted(c.path for part in parts for c in part) == sorted(c.path for c in clips)
    assert sum(len({c.group for c in part}) for part in parts) == len({c.group for c in clips})
    assert folds(clips, count) == parts


def test_folds_share_out_the_labels():
    clips = [clip(i, "ab"[i % 2]) for i in range(20)]
    for part in folds(clips, 5):
        assert Counter(c.label for c in part) == {"a": 2, "b": 2}
    assert folds(clips, 5, seed=1) != folds(clips, 5, seed=2)
    with pytest.raises(ValueError, match="each of 30 parts"):
        folds(clips, 30)
    with pytest.raises(ValueError, match="count must be at least 2"):
        folds(clips, 1)
