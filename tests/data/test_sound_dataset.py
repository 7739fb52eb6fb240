"""Batches of sound: what is in them, the same for the same seed, bad files left out."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from sounds import tone, write_film, write_wav

from sora_tf.data import Clip, Problems, read_index
from sora_tf.data.index import SOUND_SUFFIXES, SUFFIXES
from sora_tf.data.sound import load_sound
from sora_tf.data.sound_augment import SoundAugment
from sora_tf.data.sound_dataset import sound_dataset

LABELS = ("high", "low")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six tones of 3 s in two classes, one text file that says it is sound, one film."""
    root = tmp_path_factory.mktemp("tones")
    for number in range(3):
        write_wav(root / "low" / f"{number}.wav", tone(300 + 20 * number, 3.0))
        write_wav(root / "high" / f"{number}.wav", tone(3000 + 200 * number, 3.0))
    (root / "low" / "text.wav").write_text("no sound")
    write_film(root / "low" / "silent.mkv", None, seconds=3.0)
    return root


@pytest.fixture(scope="module")
def clips(folder):
    return read_index(folder, SUFFIXES | SOUND_SUFFIXES)


def arrays(dataset):
    """All batches, one behind the other: sound, mask, labels."""
    batches = list(dataset)
    parts = [[inputs[name] for inputs, _ in batches] for name in ("sound", "sound_mask")]
    parts.append([labels for _, labels in batches])
    return [np.concatenate(part) for part in parts]


def test_the_index_lists_sound_where_asked(folder, clips):
    names = {"/".join(Path(clip.path).parts[-2:]) for clip in clips}
    assert len(clips) == 8
    assert {"low/silent.mkv", "low/0.wav", "high/2.wav"} <= names
    assert [Path(clip.path).name for clip in read_index(folder)] == ["silent.mkv"]
    assert {".flac", ".wav", ".ogg", ".mp3"} <= SOUND_SUFFIXES
    assert not SOUND_SUFFIXES & SUFFIXES


def test_evaluation_gives_what_load_sound_gives(clips):
    problems = Problems()
    dataset = sound_dataset(clips, LABELS, seconds=3.0, batch_size=4, problems=problems)
    sound, mask, labels = arrays(dataset)
    read = [clip for clip in clips if "text" not in clip.path]
    assert sound.shape == (7, 5, 100, 64)
    for number, clip in enumerate(read):
        found = load_sound(clip.path)
        np.testing.assert_allclose(sound[number], found.mels, atol=1e-4)
        np.testing.assert_array_equal(mask[number], found.mask)
        assert LABELS[labels[number].argmax()] == clip.label
    assert not mask[[clip.path.endswith("silent.mkv") for clip in read]].any()
    assert [name.rsplit("/", 1)[1] for name in problems.names()] == ["text.wav"]
    assert len(problems) == 1
    assert "cannot open" in problems.lines()[0]


def test_short_clips_are_filled_and_of_long_ones_the_middle_is_heard(tmp_path):
    samples = np.concatenate([tone(300, 1.0), tone(3000, 1.0), tone(300, 1.0)])
    clip = Clip(str(write_wav(tmp_path / "a.wav", samples)), "low")
    sound, mask, _ = arrays(sound_dataset([clip], LABELS, seconds=1.0))
    assert sound.shape == (1, 1, 100, 64)
    assert (sound[0, 0, 5:95].argmax(axis=1) > 30).all()
    sound, mask, _ = arrays(sound_dataset([clip], LABELS, seconds=5.0))
    # 3 s of 5: windows begin at 0, 0.5, ... 4 s; that of 2.5 s holds half a second of sound.
    assert mask[0].tolist() == [True] * 6 + [False] * 3


def test_the_same_seed_gives_the_same_batches_epoch_by_epoch(clips):
    def two_epochs(seed, workers, keep=2**30):
        dataset = sound_dataset(
            clips, LABELS, seconds=0.5, batch_size=3, training=True, seed=seed, workers=workers,
            keep=keep, augment=SoundAugment(noise=0.3, mixup=0.4),
        )  # fmt: skip
        return [arrays(dataset) for _ in range(2)]

    first, again = two_epochs(1, 1), two_epochs(1, 2, keep=0)
    for one, other in zip(first, again, strict=True):
        for mine, same in zip(one, other, strict=True):
            np.testing.assert_array_equal(mine, same)
    assert np.abs(first[0][0] - first[1][0]).max() > 1  # epochs differ
    assert np.abs(first[0][0] - two_epochs(2, 1)[0][0]).max() > 1  # so do seeds
    np.testing.assert_allclose(first[0][2].sum(axis=1), 1.0, atol=1e-6)


def test_bad_arguments_are_refused(clips):
    with pytest.raises(ValueError, match="sound_dataset: clips must not be empty"):
        sound_dataset([], LABELS)
    with pytest.raises(ValueError, match=r"sound_dataset: the label of .* must be one of"):
        sound_dataset(clips, ("high", "other"))
    with pytest.raises(ValueError, match="sound_dataset: seconds must be above 0"):
        sound_dataset(clips, LABELS, seconds=0.0)
    with pytest.raises(ValueError, match="SoundAugment: noise must be from 0"):
        SoundAugment(noise=2.0)


SEED = tf.constant([3, 4], tf.int32)
ALL = np.ones(16_000, bool)


def test_gain_changes_the_level_alone():
    samples = tone(440, 1.0)
    change = SoundAugment(12.0, 0.0, 0.0, 0.0)
    made = [change.change_samples(samples, ALL, [n, 0]).numpy() for n in range(40)]
    levels = [20 * np.log10(x.std() / samples.std()) for x in made]
    assert -12.01 < min(levels) < -9
    assert 9 < max(levels) < 12.01
    np.testing.assert_allclose(made[0] / made[0].std(), samples / samples.std(), atol=1e-5)


def test_noise_is_as_loud_as_said_and_silent_where_there_is_no_sound():
    samples, real = tone(440, 1.0), ALL.copy()
    real[8000:] = False
    change = SoundAugment(0.0, 0.5, 0.0, 0.0)
    shares = []
    for number in range(40):
        made = change.change_samples(samples, real, [number, 1]).numpy()
        assert not made[8000:].any()
        noise = change.change_samples(samples, ALL, [number, 1]).numpy() - samples
        shares.append(noise.std() / samples.std())
    assert 0.4 < max(shares) < 0.505
    assert min(shares) < 0.1


def test_holes_are_of_neighbouring_times_and_the_same_bands():
    mels = np.random.default_rng(0).normal(size=(3, 50, 40)).astype("f4")
    made = SoundAugment(0.0, 0.0, 0.4, 0.3).change_mels(mels, SEED).numpy()
    hole = made != mels
    np.testing.assert_allclose(made[hole], mels.mean(), atol=1e-6)
    bands = hole.all(axis=(0, 1))
    assert 0 < bands.sum() <= 12  # 0.3·40
    assert np.diff(np.flatnonzero(bands)).max(initial=1) == 1
    times = hole.all(axis=2)  # (3, 50)
    assert (times.sum(axis=1) <= 20).all()  # 0.4·50
    assert times.any()
    np.testing.assert_array_equal(hole, times[..., None] | bands)
    same = SoundAugment.none().change_mels(mels, SEED).numpy()
    np.testing.assert_array_equal(same, mels)
