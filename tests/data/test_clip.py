import numpy as np
import pytest

from sora_tf.data import ClipCache, collate, decode, load_clip
from sora_tf.data.clip import pad
from sora_tf.video import VideoError, sample, write


def film(path, frames=12, fps=10.0, size=(32, 48)):
    """Frame t is grey of level 20 t."""
    levels = (20 * np.arange(frames))[:, None, None, None]
    return str(write(path, np.broadcast_to(levels, (frames, *size, 3)).astype(np.uint8), fps))


def levels(frames):
    return (frames.mean(axis=(1, 2, 3)) / 20).round().astype(int).tolist()


def test_the_middles_of_the_segments(tmp_path):
    frames, mask, times = load_clip(film(tmp_path / "a.mp4"), 4, (16, 24))
    assert frames.shape == (4, 16, 24, 3)
    assert frames.dtype == np.uint8
    assert mask.tolist() == [True] * 4
    # 12 frames at 10/s in 4 segments of 3: the middle ones are 1, 4, 7, 10.
    assert levels(frames) == [1, 4, 7, 10]
    np.testing.assert_allclose(times, [0.1, 0.4, 0.7, 1.0], atol=1e-3)


def test_a_short_clip_is_padded_with_its_last_frame(tmp_path):
    frames, mask, times = load_clip(film(tmp_path / "a.mp4", 3), 5, (16, 16))
    assert levels(frames) == [0, 1, 2, 2, 2]
    assert mask.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(times, [0.0, 0.1, 0.2, 0.2, 0.2], atol=1e-3)


def test_only_the_stretch_asked_for(tmp_path):
    frames, mask, _ = load_clip(film(tmp_path / "a.mp4"), 8, (16, 16), start=0.5, end=0.8)
    assert levels(frames)[:3] == [5, 6, 7]
    assert mask.sum() == 3


def test_pad_by_hand():
    values, mask = pad(np.array([1.0, 2.0]), 4)
    assert values.tolist() == [1.0, 2.0, 2.0, 2.0]
    assert mask.tolist() == [True, True, False, False]


def test_the_cache_gives_the_same(tmp_path):
    path, cache = film(tmp_path / "a.mp4"), ClipCache(tmp_path / "cache")
    plain = load_clip(path, 4, (16, 16))
    for _ in range(2):
        for a, b in zip(load_clip(path, 4, (16, 16), cache=cache), plain, strict=True):
            np.testing.assert_array_equal(a, b)
    assert (cache.hits, cache.misses) == (1, 1)


def test_what_was_read_in_haste_is_not_kept(tmp_path):
    path, cache = film(tmp_path / "a.mp4"), ClipCache(tmp_path / "cache")
    hasty = decode(path, 4, (16, 16), cache=cache, patience=60.0)
    np.testing.assert_array_equal(hasty.frames, decode(path, 4, (16, 16)).frames)
    assert cache.size_bytes() == 0


def test_real_clips_are_what_sample_reads(shared_data):
    for path in sorted((shared_data / "fight").rglob("*.mp4"))[:3]:
        frames, mask, times = load_clip(str(path), 16, (112, 112))
        video = sample(str(path), 16, size=(112, 112))
        assert mask.all()
        np.testing.assert_array_equal(frames, video.frames)
        np.testing.assert_array_equal(times, video.times)
        assert frames.std() > 5


def test_what_cannot_be_read(tmp_path):
    with pytest.raises(VideoError, match="cannot open"):
        load_clip(str(tmp_path / "none.mp4"), 4, (16, 16), cache=ClipCache(tmp_path / "c"))
    with pytest.raises(VideoError, match="no frames"):
        load_clip(film(tmp_path / "a.mp4"), 4, (16, 16), start=60.0)
    with pytest.raises(ValueError, match="frames must be at least 1"):
        load_clip(film(tmp_path / "a.mp4"), 0, (16, 16))


def test_collate_stacks():
    one = np.zeros((2, 4, 4, 3), np.uint8), np.array([True, False]), np.zeros(2)
    batch = collate([one, one, one])
    assert batch["frames"].shape == (3, 2, 4, 4, 3)
    assert batch["mask"].tolist() == [[True, False]] * 3
    with pytest.raises(ValueError, match="must not be empty"):
        collate([])
