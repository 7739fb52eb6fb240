"""What is heard and when: by a network that is known, and by YAMNet on real sounds."""

import json

import numpy as np
import pytest
import tensorflow as tf
from sounds import tone, write_film, write_wav

from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.models import minilm, yamnet
from sora_tf.tasks import hear as module
from sora_tf.tasks.hear import hear, hear_files

NAMES = ("low", "high")


@pytest.fixture(scope="module")
def network():
    """Hears a low tone, or a high one, where the loudest band is."""
    windows = keras.Input((96, 64))
    bands = keras.layers.Lambda(lambda x: tf.reduce_mean(x, axis=1))(windows)
    split = keras.layers.Lambda(
        lambda x: tf.stack([tf.reduce_max(x[:, :32], 1), tf.reduce_max(x[:, 32:], 1)], axis=1)
    )(bands)
    scores = keras.layers.Activation("sigmoid", name="scores")(split)
    return keras.Model(windows, {"embedding": bands, "scores": scores})


def two_tones(gap: float = 2.0) -> np.ndarray:
    """Two seconds of 400 Hz, a gap of faint noise, two seconds of 4 kHz, from 2 + gap on."""
    rng = np.random.default_rng(0)
    faint = rng.normal(0, 1e-5, round(gap * 16_000))
    return np.concatenate([tone(400, 2.0), faint, tone(4000, 2.0)]).astype("f4")


def test_sounds_are_told_with_their_times(network, tmp_path):
    path = str(write_wav(tmp_path / "tones.wav", two_tones()))
    (answer,) = hear_files(network, NAMES, [path], threshold=0.5)
    low, high = answer["sounds"]
    assert (low["name"], high["name"]) == NAMES
    # A window of 0.96 s is heard where it touches the tone; one may touch a little of it.
    assert low["start"] == 0.0
    assert low["end"] == pytest.approx(2.0, abs=0.97)
    assert high["start"] == pytest.approx(4.0, abs=0.97)
    assert high["end"] == pytest.approx(6.0, abs=0.05)
    assert low["score"] > 0.9
    assert set(answer["overall"]) == set(NAMES)


def test_long_files_are_read_in_pieces_that_leave_nothing_out(network, tmp_path, monkeypatch):
    path = str(write_wav(tmp_path / "tones.wav", two_tones(gap=8.0)))
    whole = hear(network, path)
    monkeypatch.setattr(module, "PIECE", 5)
    parts = hear(network, path)
    np.testing.assert_allclose(parts.times, whole.times, atol=1e-6)
    np.testing.assert_allclose(parts.scores, whole.scores, atol=1e-4)
    # Where the header does not say how long it is, the end is where nothing is left.
    monkeypatch.setattr(module, "declared_length", lambda path: None)
    open_end = hear(network, path)
    np.testing.assert_allclose(open_end.scores, whole.scores, atol=1e-4)


def test_a_header_that_lies_is_refused(network, tmp_path, monkeypatch):
    path = str(write_wav(tmp_path / "tones.wav", tone(400, 0.5)))
    monkeypatch.setattr(module, "declared_length", lambda path: 1e12)
    (answer,) = hear_files(network, NAMES, [path])
    assert "over the limit: 1e+12 s, so its header says" in answer["error"]


def test_films_without_sound_and_files_that_do_not_read(network, tmp_path):
    silent = str(write_film(tmp_path / "silent.mp4", None, seconds=1.0))
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no film")
    first, second = hear_files(network, NAMES, [silent, str(bad)])
    assert first == {"path": silent, "sounds": [], "overall": {}, "damage": None}
    assert "cannot open" in second["error"]
    with pytest.raises(ValueError, match=r"threshold must be from 0\.01 to 0\.99, got 2"):
        next(hear_files(network, NAMES, [silent], threshold=2))


def test_the_command_line_hears_helicopters(shared_data, capsys):
    pytest.importorskip(yamnet.PACKAGE)
    folder = shared_data / "drone-audio"
    flies = str(folder / "helicopter" / "helicopter_004.flac")
    birds = str(folder / "background" / "background_002.flac")
    assert main(["hear", flies, birds, "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert next(iter(first["overall"])) == "Helicopter"
    (whole,) = [sound for sound in first["sounds"] if sound["name"] == "Helicopter"]
    assert (whole["start"], whole["end"]) == pytest.approx((0.0, 10.0), abs=0.1)
    assert "Helicopter" not in second["overall"]
    assert main(["hear", flies]) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{flies}: Helicopter 0.95, Aircraft")
    assert "0.0 to 10.0 s  Helicopter 1.00" in rest[0]


def test_texts_are_compared_with_what_is_heard(shared_data, tmp_path, capsys):
    for package in (yamnet.PACKAGE, minilm.PACKAGE, "safetensors", "tokenizers"):
        pytest.importorskip(package)
    folder = shared_data / "drone-audio"
    files = {
        kind: [str(folder / kind / f"{kind}_{n:03d}.flac") for n in range(1, 6)]
        for kind in ("helicopter", "background")
    }
    silent = str(write_film(tmp_path / "silent.mp4", None, seconds=1.0))
    asked = [*files["background"], silent, *files["helicopter"]]
    assert main(["search", "a helicopter flies by", *asked, "--heard", "--json"]) == 3
    out, err = capsys.readouterr()
    assert "no sound" in err
    found = [one["path"] for one in json.loads(out)["files"]]
    assert set(found[:5]) == set(files["helicopter"])
    given = ["--texts", "a helicopter", "birds singing", "--window", "4", "--heard", "--json"]
    assert main(["zero-shot", files["helicopter"][0], files["background"][1], *given]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["label"], second["label"]) == ("a helicopter", "birds singing")
    assert len(first["windows"]) == 3
    assert sum(first["scores"].values()) == pytest.approx(1.0)
    assert main(["search", "a bird", silent, "--heard", "--window", "0"]) == 1
    assert "seconds must be above 0" in capsys.readouterr().err
    tiny = ["--heard", "--window", "1e-5"]
    assert main(["search", "a bird", files["helicopter"][0], *tiny]) == 1
    assert "over the limit" in capsys.readouterr().err
    assert main(["search", "a bird", str(tmp_path), "--heard"]) == 1
    assert "is of what is seen. Leave the run out." in capsys.readouterr().err
