"""The sound of films and sound files: formats, the film's clock, limits, and bad files."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from sounds import tone, write_film, write_wav

from sora_tf.video import VideoError
from sora_tf.video.audio import Sound, read_sound
from sora_tf.video.resample import resample

RATE = 16_000


def level(sound: Sound, hertz: float, part: slice = slice(1000, -1000)) -> float:
    """The amplitude of a sine of this pitch in a part of the sound."""
    samples = sound.samples[part]
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / sound.rate)
    return float(2 * np.abs(samples @ turn) / len(samples))


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 32_000, 44_099, 44_100, 48_000, 192_000])
def test_resampling_keeps_a_sine_where_it_was(rate):
    samples = tone(1000, 1.0, rate)
    made = resample(samples, rate, RATE)
    assert len(made) == RATE
    apart = np.abs(made - tone(1000, 1.0))[200:-200]
    assert apart.max() < 1e-3 * 0.5


def test_resampling_filters_out_what_the_lower_rate_cannot_hold():
    made = resample(tone(9000, 1.0, 48_000), 48_000, RATE)[200:-200]
    assert np.sqrt(np.mean(made**2)) < 1e-3  # it would be heard at 7 kHz


def test_a_click_keeps_its_time_and_the_end_is_not_lost():
    samples = np.zeros(44_100, np.float32)
    samples[[100, 22_050, 44_050]] = 1.0
    made = resample(samples, 44_100, RATE)
    peaks = [int(np.argmax(made[:1000])), 4000 + int(np.argmax(made[4000:12_000]))]
    peaks.append(15_000 + int(np.argmax(made[15_000:])))
    # 100 · 16000/44100 = 36.3, 22050 · … = 8000, 44050 · … = 15981.9
    assert peaks == [36, 8000, 15_982]


@pytest.mark.parametrize(
    ("name", "codec", "form", "layout", "rate", "apart"),
    [
        ("a.wav", "pcm_s16le", "s16", "mono", 16_000, 1e-4),
        ("a.wav", "pcm_u8", "u8", "stereo", 44_100, 1e-2),
        ("a.wav", "pcm_f64le", "dbl", "mono", 8_000, 1e-4),
        ("a.flac", "flac", "s32", "7.1", 48_000, 1e-4),
        ("a.flac", "flac", "s16", "mono", 8_000, 1e-4),
        ("a.wav", "pcm_s16le", "s16", "7.1", 48_000, 1e-4),
        ("a.m4a", "aac", "fltp", "7.1", 48_000, 3e-2),
        ("a.mp3", "libmp3lame", "s16p", "stereo", 44_100, 3e-2),
    ],
)
def test_every_form_gives_the_same_samples(tmp_path, name, codec, form, layout, rate, apart):
    channels = av.AudioLayout(layout).nb_channels
    # Channel c has the level 0.5·(c + 1)/channels; their mean is 0.25·(channels + 1)/channels.
    loud = (np.arange(channels) + 1) / channels
    samples = tone(440, 1.5, rate)[:, None] * loud
    path = write_film(tmp_path / name, samples, rate, codec=codec, form=form, layout=layout)
    sound = read_sound(path)
    assert sound.rate == RATE
    assert sound.samples.dtype == np.float32
    wanted = 0.25 * (channels + 1) / channels
    if "aac" in codec and channels > 2:  # the codec drops what is above 120 Hz from channel 4
        wanted -= 0.5 * 4 / channels / channels
    assert level(sound, 440) == pytest.approx(wanted, abs=apart)
    assert level(sound, 3000) < 1e-2
    assert len(sound.samples) == pytest.approx(1.5 * RATE, abs=0.08 * RATE)
    assert sound.damage is None


def test_another_rate_is_given_as_asked(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(440, 1.0))
    sound = read_sound(path, rate=22_050)
    assert len(sound.samples) == 22_050
    assert level(sound, 440) == pytest.approx(0.5, abs=1e-3)


def clicks(seconds: float, rate: int) -> np.ndarray:
    """One click of 2 ms at every whole second, its level the number of the second, in tenths."""
    samples = np.zeros(round(seconds * rate), np.float32)
    for second in range(1, int(seconds)):
        samples[second * rate : second * rate + rate // 500] = second / 10
    return samples


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [("a.mov", "pcm_s16le", "s16"), ("a.wav", "pcm_s16le", "s16"), ("a.flac", "flac", "s16")],
)
def test_a_clip_is_what_the_whole_holds_there(tmp_path, name, codec, form):
    rng = np.random.default_rng(0)
    noise = rng.uniform(-0.5, 0.5, 9 * 44_100).astype("f4")
    seconds = 9.0 if name == "a.mov" else None
    path = write_film(tmp_path / name, noise, 44_100, codec=codec, form=form, seconds=seconds)
    whole = read_sound(path)
    assert len(whole.samples) == 9 * RATE
    for start, end in [(0.0, 1.0), (2.5, 3.25), (7.01, 8.99)]:  # the last one is jumped to
        clip = read_sound(path, start=start, end=end)
        assert clip.start == start
        assert len(clip.samples) == round((end - start) * RATE)
        part = whole.samples[round(start * RATE) : round(end * RATE)]
        np.testing.assert_allclose(clip.samples, part, atol=2e-4)
        assert clip.real.all()


def test_a_track_that_begins_late_is_padded(tmp_path):
    path = write_film(tmp_path / "a.mkv", clicks(4, 48_000), late=0.5, seconds=5.0)
    sound = read_sound(path)
    # Sound from 0.5 to 4.5 s of 5 s of picture; its click of 1 s is heard at 1.5 s.
    assert len(sound.samples) == 5 * RATE
    assert np.flatnonzero(sound.real)[[0, -1]] == pytest.approx([0.5 * RATE, 4.5 * RATE], abs=20)
    assert not sound.samples[~sound.real].any()
    for second in (1, 2, 3):
        at = round((second + 0.5) * RATE)
        assert sound.samples[at : at + 32].max() == pytest.approx(second / 10, abs=0.03)
        assert np.abs(sound.samples[at + 200 : at + RATE - 200]).max() < 0.01


def test_a_track_that_begins_before_the_pictures_is_cut(tmp_path):
    path = write_film(tmp_path / "a.mkv", clicks(4, 48_000), seconds=2.0, picture_late=1.5)
    sound = read_sound(path)
    # The pictures run from 1.5 s to 3.5 s of the file: the click of 2 s is at 0.5 s.
    assert len(sound.samples) == pytest.approx(2 * RATE, abs=RATE // 10)
    assert sound.real.all()
    assert sound.samples[RATE // 2 : RATE // 2 + 32].max() == pytest.approx(0.2, abs=0.03)
    assert np.abs(sound.samples[: RATE // 2 - 200]).max() < 0.01


@pytest.mark.parametrize(("heard", "shown"), [(1.0, 3.0), (3.0, 1.0)])
def test_sound_shorter_or_longer_than_the_picture(tmp_path, heard, shown):
    path = write_film(tmp_path / "a.mkv", tone(440, heard, 48_000), seconds=shown)
    sound = read_sound(path)
    assert len(sound.samples) == pytest.approx(shown * RATE, abs=RATE // 10)
    assert sound.real.sum() == pytest.approx(min(heard, shown) * RATE, abs=RATE // 10)
    assert sound.present
    after = read_sound(path, start=3.5, end=4.0)
    assert (len(after.samples), after.present) == (RATE // 2, False)


@pytest.mark.parametrize("samples", [None, np.zeros(96_000, np.float32)])
def test_a_film_without_sound_says_so(tmp_path, samples):
    path = write_film(tmp_path / "a.mkv", samples, seconds=2.0)
    for sound, count in [(read_sound(path), 2 * RATE), (read_sound(path, end=0.5), RATE // 2)]:
        assert len(sound.samples) == pytest.approx(count, abs=RATE // 10)
        assert not sound.samples.any()
        assert not sound.real.any()
        assert not sound.present


def write_float_wav(path: Path, samples: np.ndarray) -> Path:
    """A WAV file of 32-bit floats, byte by byte: PyAV would refuse what is no number."""
    data = samples.astype("<f4").tobytes()
    form = np.array([3, 1], "<u2").tobytes() + np.array([RATE, 4 * RATE], "<u4").tobytes()
    form += np.array([4, 32], "<u2").tobytes()
    chunks = b"WAVEfmt " + np.uint32(16).tobytes() + form + b"data" + np.uint32(len(data)).tobytes()
    path.write_bytes(b"RIFF" + np.uint32(len(chunks) + len(data)).tobytes() + chunks + data)
    return path


def test_samples_that_are_no_numbers_are_left_out(tmp_path):
    samples = tone(440, 1.0)
    samples[[100, 200]] = np.nan
    samples[300:310] = np.inf
    sound = read_sound(write_float_wav(tmp_path / "a.wav", samples))
    assert np.isfinite(sound.samples).all()
    assert sound.damage == "12 samples are no numbers"
    assert (~sound.real).sum() == 12
    np.testing.assert_allclose(sound.samples[1000:], samples[1000:], atol=1e-6)


def test_a_truncated_file_gives_what_there_is(tmp_path):
    path = write_film(tmp_path / "a.flac", tone(440, 4.0, RATE), RATE, codec="flac", form="s16")
    part = tmp_path / "part.flac"
    part.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    sound = read_sound(part)
    assert 1.0 < len(sound.samples) / RATE < 3.0
    assert level(sound, 440) == pytest.approx(0.5, abs=0.01)
    asked = read_sound(part, end=4.0)
    assert len(asked.samples) == 4 * RATE
    assert not asked.real[-RATE:].any()


def empty_wav(path):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda path: path.write_text("This is no sound at all.\n" * 40), "cannot open"),
        (lambda path: path.write_bytes(b""), "cannot open"),
        (lambda path: None, "cannot open"),
        (empty_wav, "no sound"),
    ],
)
def test_files_of_no_sound_are_one_clear_line(tmp_path, make, kind):
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(VideoError) as caught:
        read_sound(path)
    assert caught.value.kind == kind
    assert str(caught.value).startswith(f"{path}: {kind}: ")
    assert "\n" not in str(caught.value)


def test_length_is_bounded_whatever_the_header_says(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(440, 3.0))
    with pytest.raises(VideoError, match="over the limit: more than 2 s of sound"):
        read_sound(path, limit=2.0)
    with pytest.raises(VideoError, match="over the limit"):
        read_sound(path, start=0.0, end=1e9)
    assert len(read_sound(path, start=1.0, end=2.0, limit=2.0).samples) == RATE
    content = bytearray(path.read_bytes())
    content[40:44] = b"\xff\xff\xff\x7f"  # the data are said to be 2 GiB
    path.write_bytes(content)
    assert len(read_sound(path, limit=4.0).samples) == 3 * RATE
    content[24:28] = (2**31 - 1).to_bytes(4, "little")  # samples per s
    path.write_bytes(content)
    with pytest.raises(VideoError, match="samples per s"):
        read_sound(path)


@pytest.mark.parametrize(
    ("given", "said"),
    [({"rate": 0}, "rate"), ({"start": -1.0}, "start"), ({"start": 2.0, "end": 1.0}, "end"),
     ({"limit": 0.0}, "limit")],
)  # fmt: skip
def test_arguments_are_checked(tmp_path, given, said):
    with pytest.raises(ValueError, match=f"read_sound: {said} must be"):
        read_sound(tmp_path / "a.wav", **given)


def test_a_file_object_will_do(tmp_path):
    path = write_wav(tmp_path / "a.wav", tone(440, 0.5))
    with open(path, "rb") as file:
        np.testing.assert_array_equal(read_sound(file).samples, read_sound(path).samples)


@pytest.mark.parametrize(
    ("name", "seconds", "first", "last"),
    [
        # Times of the sound as ffprobe's packets have them, less that of the first picture.
        ("FLIR Thermal.mp4", 11.35, 0.188, 11.263),
        ("shorter_audio_than_video_3s.webm", 3.04, 0.0, 2.993),
        ("sample.mkv", 0.97, 0.062, 0.968),
    ],
)
def test_real_films(shared_data, name, seconds, first, last):
    sound = read_sound(shared_data / "odd-videos" / name)
    assert len(sound.samples) / RATE == pytest.approx(seconds, abs=0.01)
    heard = np.flatnonzero(sound.real)[[0, -1]] / RATE
    assert heard == pytest.approx([first, last], abs=0.03)


def test_strange_files_give_sound_or_one_clear_line(shared_data):
    found = {}
    for path in sorted((shared_data / "odd-videos").iterdir()):
        if path.suffix == ".csv" or path.stat().st_size > 2**18:
            continue
        try:
            sound = read_sound(path, limit=60.0)
        except VideoError as error:
            found[path.name] = error.kind
            continue
        found[path.name] = sound.present
        assert np.isfinite(sound.samples).all()
        assert len(sound.samples) == len(sound.real)
        assert not sound.samples[~sound.real].any()
    assert found["test_case_1389299.mp4"] == "cannot open"
    assert found["RIFF.avi"] == "no sound"
    assert sum(kind is True for kind in found.values()) >= 10
