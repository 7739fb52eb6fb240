"""Films of any length: chunks against one pass, parts on disk, and what a kill leaves."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest

from sora_tf.config import RelationConfig, micro, small
from sora_tf.data import make_digits
from sora_tf.models import build_sora, embedder
from sora_tf.tasks.embed_long import embed_long_to_table
from sora_tf.tasks.parts import Pace, film_folder, film_parts, kept_parts, work_folder
from sora_tf.tasks.running import FEATURES, running
from sora_tf.video import VideoError, frames_every, write

PACE = Pace((32, 32), 5.0)
KEEP = ("frame_vectors", FEATURES)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Moving digits for 16 s."""
    clips, _, _ = make_digits(8, 20, 56, seed=3)
    path = str(tmp_path_factory.mktemp("film") / "film.mp4")
    write(path, clips.reshape(-1, 56, 56, 3), 10.0)
    return path


def causal(frames):
    extractor = replace(small().extractor, channels=(8, 8, 16), depths=(1, 1, 1), features=24)
    relation = RelationConfig(units=24, heads=2, blocks=1)
    config = replace(small(), frames=frames, size=(32, 32), extractor=extractor, relation=relation)
    return build_sora(config, num_classes=3)


@pytest.fixture(scope="module")
def model():
    return causal(16)


@pytest.fixture
def short_parts(monkeypatch):
    """Parts of 6.4 s, the least there is: 32 frames."""
    monkeypatch.setattr("sora_tf.tasks.parts.PART_S", 2.0)


def pictures(path):
    return np.stack([picture for _, picture in frames_every(path, 0.2, size=(32, 32))])


def joined(parts, name):
    return np.concatenate([part.vectors[name] for part in parts])


def test_chunks_are_one_pass(film, model, short_parts, tmp_path):
    parts = list(film_parts(running(model), film, PACE, tmp_path / "parts", KEEP))
    assert [len(part.times) for part in parts] == [32, 32, 16]
    assert [part.last for part in parts] == [False, False, True]
    np.testing.assert_allclose(np.concatenate([part.times for part in parts]), np.arange(80) * 0.2)
    whole = causal(80)
    whole.set_weights(model.get_weights())
    once = embedder(whole).predict_on_batch(pictures(film)[None])
    assert np.abs(once["global_vector"]).max() > 0.01
    np.testing.assert_allclose(parts[-1].global_vector, once["global_vector"][0], atol=1e-6)
    np.testing.assert_allclose(joined(parts, "frame_vectors"), once["frame_vectors"][0], atol=1e-6)


def test_features_are_of_length_1_and_see_one_frame(film, model, tmp_path):
    parts = list(film_parts(running(model), film, PACE, tmp_path / "parts", KEEP))
    rows = joined(parts, FEATURES).astype(np.float32)
    assert rows.shape == (80, 4 * 16)  # the head has four times the channels of the last stage
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=2e-3)


def test_a_model_that_looks_ahead_sees_clips(film, tmp_path):
    model = build_sora(replace(micro(), size=(32, 32)), num_classes=3)  # full edges, T = 8
    parts = list(film_parts(running(model), film, PACE, tmp_path / "parts", KEEP))
    clips = embedder(model).predict_on_batch(pictures(film).reshape(10, 8, 32, 32, 3))
    vectors = clips["frame_vectors"].reshape(80, -1)
    np.testing.assert_allclose(joined(parts, "frame_vectors"), vectors, atol=1e-4)
    np.testing.assert_allclose(parts[-1].global_vector, clips["global_vector"].mean(0), atol=1e-4)


def test_the_last_clip_counts_by_its_frames(film, tmp_path):
    model = build_sora(replace(micro(), size=(32, 32)))
    pace = replace(PACE, rate=1.25)  # 20 frames: two clips and a half
    (part,) = film_parts(running(model), film, pace, tmp_path / "parts", KEEP)
    frames = np.stack([picture for _, picture in frames_every(film, 0.8, size=(32, 32))])
    assert len(frames) == 20
    first = model.predict_on_batch(frames[:16].reshape(2, 8, 32, 32, 3))
    rest = model.predict_on_batch(frames[None, 16:])
    wanted = (8 * first[0] + 8 * first[1] + 4 * rest[0]) / 20
    np.testing.assert_allclose(part.global_vector, wanted, atol=1e-5)


def test_what_is_done_is_not_done_again(film, model, short_parts, tmp_path, monkeypatch):
    runner, folder = running(model), tmp_path / "parts"
    whole = list(film_parts(runner, film, PACE, tmp_path / "whole", KEEP))
    first = film_parts(runner, film, PACE, folder, KEEP)
    next(first), next(first)
    first.close()
    assert len(kept_parts(folder)) == 2
    fed = []
    feed = runner.feed
    monkeypatch.setattr(runner, "feed", lambda frames: fed.append(len(frames)) or feed(frames))
    again = list(film_parts(runner, film, PACE, folder, KEEP))
    assert fed == [16]
    assert [part.last for part in again] == [False, False, True]
    np.testing.assert_allclose(again[-1].global_vector, whole[-1].global_vector, atol=1e-6)
    np.testing.assert_array_equal(joined(again, FEATURES), joined(whole, FEATURES))
    fed.clear()
    assert len(list(film_parts(runner, film, PACE, folder, KEEP))) == 3
    assert fed == []


def test_folders_of_other_keys_go_and_changed_films_are_others(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"one")
    one = work_folder(tmp_path / "out", "key")
    before = film_folder(one, str(path))
    assert before == film_folder(one, str(path))
    assert before != film_folder(one, str(tmp_path / "b.mp4"))
    path.write_bytes(b"another")
    assert before != film_folder(one, str(path))
    assert work_folder(tmp_path / "out", "key") == one
    other = work_folder(tmp_path / "out", "other key")
    assert other.is_dir()
    assert not one.exists()


def test_a_bad_film_leaves_nothing(model, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(VideoError, match="cannot open"):
        list(film_parts(running(model), str(tmp_path / "a.mp4"), PACE, tmp_path / "parts", KEEP))
    assert not (tmp_path / "parts").exists()


def test_a_pace_of_nothing_is_refused():
    with pytest.raises(ValueError, match="rate must be above 0"):
        Pace((32, 32), 0.0)


def test_a_table_of_minutes(film, model, short_parts, tmp_path):
    bad, out = tmp_path / "bad.mp4", tmp_path / "v.parquet"
    bad.write_bytes(b"nothing")
    runner = running(model)
    results = list(embed_long_to_table(runner, [film, str(bad)], PACE, out, "key"))
    assert [result["windows"] for result in results] == [3, 0]
    assert "cannot open" in results[1]["error"]
    rows = parquet.read_table(out).to_pylist()
    assert [(row["start"], round(row["end"], 1)) for row in rows] == [
        (0.0, 6.2),
        (6.4, 12.6),
        (12.8, 15.8),
    ]
    parts = list(film_parts(runner, film, PACE, tmp_path / "parts", KEEP))
    np.testing.assert_allclose(rows[-1]["global_vector"], parts[-1].global_vector, atol=1e-6)
    assert sorted(os.listdir(tmp_path)) == ["bad.mp4", "parts", "v.parquet"]


def test_no_row_no_table(model, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"nothing")
    out = tmp_path / "v.parquet"
    list(embed_long_to_table(running(model), [str(tmp_path / "bad.mp4")], PACE, out, "key"))
    assert os.listdir(tmp_path) == ["bad.mp4"]


@pytest.mark.slow
def test_a_long_embedding_survives_a_kill(run, tmp_path):
    clips, _, _ = make_digits(60, 50, 56, seed=3)
    path, out = tmp_path / "film.mp4", tmp_path / "v.parquet"
    write(path, clips.reshape(-1, 56, 56, 3), 10.0)  # five minutes
    command = [sys.executable, "-m", "sora_tf.cli", "embed", str(run.path), str(path)]
    command += ["--rate", "10", "-o", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".v.parquet.parts-*/*/*.npz")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    times = np.concatenate(parquet.read_table(out)["frame_times"].to_pylist())
    np.testing.assert_allclose(times, np.arange(3000) / 10, atol=1e-6)
