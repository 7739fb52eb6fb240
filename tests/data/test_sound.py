"""Log-mel windows: by hand, against an independent computation, and of sound with gaps."""

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st
from sounds import tone, write_film, write_wav

from sora_tf.data.sound import MelConfig, load_sound, log_mel, sound_windows
from sora_tf.video.audio import Sound

CONFIG = MelConfig()


def heard(samples: np.ndarray, start: float = 0.0) -> Sound:
    return Sound(samples, np.ones(len(samples), bool), 16_000, start)


def mel_matrix(bins: int, config: MelConfig) -> np.ndarray:
    """(bins, M): triangles on the mel scale, written out one by one."""

    def mel(hertz: float) -> float:
        return 2595 * np.log10(1 + hertz / 700)

    edges = np.linspace(mel(config.low), mel(config.high), config.mels + 2)
    weights = np.zeros((bins, config.mels))
    for number in range(1, bins):  # the constant part belongs to no band
        place = mel(number * config.rate / 2 / (bins - 1))
        for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
            rise, fall = (place - low) / (middle - low), (high - place) / (high - middle)
            weights[number, band] = max(0.0, min(rise, fall))
    return weights


def test_parity_with_scipy():
    samples = np.random.default_rng(0).normal(0, 0.1, 16_000).astype("f4") + tone(700, 1.0)
    window = scipy.signal.get_window("hann", 400)  # periodic, as tf.signal's
    filled = np.pad(samples, (0, 400)).astype(np.float64)
    _, _, found = scipy.signal.stft(
        filled, window=window, nperseg=400, noverlap=240, nfft=512, boundary=None, padded=False
    )
    magnitude = np.abs(found.T[:100]) * window.sum()  # scipy divides by the window's sum
    wanted = np.log(np.maximum(magnitude @ mel_matrix(257, CONFIG), 1e-4))
    made = log_mel(samples, CONFIG).numpy()
    assert made.shape == (100, 64)
    np.testing.assert_allclose(made, wanted, atol=1e-4)


def test_a_tone_is_loudest_in_its_band():
    # mel(1000) = 2595·log10(1 + 1000/700) = 1000.0; mel(50) = 77.8; mel(7800) = 2816.8.
    # 66 edges are 2739.0/65 = 42.14 apart; (1000.0 - 77.8)/42.14 = 21.88: nearest to edge 22,
    # which is the middle of band 21.
    assert log_mel(tone(1000, 1.0), CONFIG).numpy()[50].argmax() == 21
    # mel(4000) = 2595·log10(6.714) = 2146.1; (2146.1 - 77.8)/42.14 = 49.08: band 48.
    assert log_mel(tone(4000, 1.0), CONFIG).numpy()[50].argmax() == 48


def test_level_adds_and_silence_has_a_floor():
    quiet, loud = (log_mel(tone(1000, 1.0, level=at), CONFIG).numpy()[50, 21] for at in (0.05, 0.5))
    assert loud - quiet == pytest.approx(np.log(10), abs=1e-3)
    silence = log_mel(np.zeros(1600, np.float32), CONFIG).numpy()
    np.testing.assert_allclose(silence, np.log(1e-4), atol=1e-5)


def test_windows_overlap_and_say_when_they_are():
    found = sound_windows(heard(tone(440, 2.2), start=3.0), CONFIG)
    # Windows of 1 s every 0.5 s: from 0, 0.5 and 1 s they reach 2.0 s, one more reaches 2.5 s.
    assert found.mels.shape == (4, 100, 64)
    assert found.mels.dtype == np.float32
    np.testing.assert_allclose(found.times, [[3, 4], [3.5, 4.5], [4, 5], [4.5, 5.5]])
    assert found.mask.all()  # the last one holds 0.7 s
    np.testing.assert_array_equal(found.mels[0, 50:], found.mels[1, :50])


def test_windows_are_filled_up_or_spread():
    sound = heard(tone(440, 2.0))
    whole = sound_windows(sound, CONFIG)
    more, fewer = (sound_windows(sound, CONFIG, count) for count in (5, 2))
    # Windows begin at 0, 0.5, 1, 1.5, 2 s: half of the fourth, nothing of the fifth is sound.
    assert more.mask.tolist() == [True, True, True, True, False]
    np.testing.assert_array_equal(more.mels[:2], whole.mels[:2])
    np.testing.assert_allclose(more.mels[4], np.log(1e-4), atol=1e-5)
    np.testing.assert_array_equal(fewer.mels, whole.mels[[0, 2]])
    np.testing.assert_array_equal(fewer.times, [[0, 1], [1, 2]])
    with pytest.raises(ValueError, match="count must be at least 1 window, got 0"):
        sound_windows(sound, CONFIG, 0)


def test_a_window_is_real_where_half_of_it_is():
    sound = heard(tone(440, 3.0))
    sound.real[: 16_000 * 6 // 10] = False
    # Real from 0.6 s on: shares of the windows 0.4, 0.9, 1, 1, 1.
    assert sound_windows(sound, CONFIG).mask.tolist() == [False, True, True, True, True]
    sound.real[:] = False
    assert not sound_windows(sound, CONFIG).mask.any()
    short = sound_windows(heard(tone(440, 0.2)), CONFIG)
    assert short.mask.tolist() == [True]  # all there is


def test_another_rate_is_refused():
    with pytest.raises(ValueError, match="must have 16000 samples per s, got 8000"):
        sound_windows(Sound(np.zeros(9, "f4"), np.ones(9, bool), 8000, 0.0), CONFIG)


@settings(max_examples=20, deadline=None)
@given(
    count=st.integers(1, 40_000),
    window=st.sampled_from([0.5, 0.96, 1.0]),
    hop=st.sampled_from([0.1, 0.48, 0.5]),
)
def test_windows_cover_every_sample(count, window, hop):
    config = MelConfig(window=window, hop=hop)
    found = sound_windows(heard(np.full(count, 0.1, "f4")), config)
    assert len(found.mels) == config.windows(count / 16_000) == len(found.mask) == len(found.times)
    assert found.times[-1, 1] >= count / 16_000 - 1e-9
    assert len(found.mels) == 1 or found.times[-2, 1] < count / 16_000 + 0.01
    assert found.mask.any()
    assert np.isfinite(found.mels).all()


def test_a_clip_of_a_film(tmp_path):
    path = write_film(tmp_path / "a.mkv", tone(1000, 4.0, 48_000), seconds=4.0)
    found = load_sound(str(path), start=1.0, end=3.0)
    np.testing.assert_allclose(found.times, [[1, 2], [1.5, 2.5], [2, 3]])
    assert found.mels[1, 50].argmax() == 21
    silent = load_sound(str(write_film(tmp_path / "b.mkv", None, seconds=4.0)), count=3)
    assert silent.mels.shape == (3, 100, 64)
    assert not silent.mask.any()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"high": 9000.0}, "high"), ({"mels": 0}, "mels"), ({"hop": 2.0}, "hop"),
     ({"rate": 10}, "rate"), ({"floor": 0.0}, "floor"), ({"window": 0.001}, "window")],
)  # fmt: skip
def test_configs_are_checked(wrong, said):
    with pytest.raises(ValueError, match=f"MelConfig: {said} must be"):
        MelConfig(**wrong)


def test_a_sound_file(tmp_path):
    found = load_sound(str(write_wav(tmp_path / "a.wav", tone(4000, 1.0))))
    assert found.mels.shape == (1, 100, 64)
    assert found.mels[0, 50].argmax() == 48
