import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pyarrow.parquet as parquet
import pytest

from sora_tf.data import load_clip, make_digits
from sora_tf.models import embedder
from sora_tf.tasks import Reading, classify_files, embed_files, embed_to_table, read_windows
from sora_tf.tasks.windows import stretches
from sora_tf.video import VideoError, probe, write

READING = Reading(8, (28, 28))


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Four moving digits one after another, 4 s."""
    clips, labels, names = make_digits(4, 8, 56, seed=3)
    path = str(tmp_path_factory.mktemp("film") / "film.mp4")
    write(path, clips.reshape(-1, 56, 56, 3), 8.0)
    return path, [names[label] for label in labels]


def test_windows_of_a_file(film):
    path, _ = film
    assert stretches(path, READING) == [(0.0, None)]
    cut = Reading(8, (28, 28), seconds=1.0)
    assert stretches(path, cut) == [(0, 1), (1, 2), (2, 3), (3, 4)]
    # 4 s is less than one and a half windows of 3 s, so it is one.
    assert stretches(path, Reading(8, (28, 28), seconds=3.0)) == [(0.0, None)]


def test_windows_are_what_load_clip_reads(film):
    path, _ = film
    items = list(read_windows([path], Reading(8, (28, 28), seconds=1.0)))
    assert [last for _, _, last in items] == [False, False, False, True]
    for second, (_, window, _) in enumerate(items):
        frames, mask, times = load_clip(path, 8, (28, 28), start=float(second), end=second + 1.0)
        np.testing.assert_array_equal(window.frames, frames)
        np.testing.assert_array_equal(window.times, times)
        assert mask.all()


def test_a_bad_file_among_good_ones(film, tmp_path):
    path, _ = film
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    items = list(read_windows([str(bad), path, str(bad)], READING))
    assert [isinstance(item, VideoError) for _, item, _ in items] == [True, False, True]


def test_classify_over_time(run, film):
    path, truth = film
    config = run.read_config()
    reading = Reading(8, (28, 28), seconds=1.0)
    (answer,) = classify_files(run.load_model(), config.labels, [path], reading)
    assert [(w["start"], w["end"]) for w in answer["windows"]] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    mean = np.mean([list(w["scores"].values()) for w in answer["windows"]], axis=0)
    np.testing.assert_allclose(list(answer["scores"].values()), mean)
    assert answer["label"] == config.labels[int(mean.argmax())]
    assert len(truth) == 4


def test_embed_is_the_embedder(run, film):
    path, _ = film
    model = run.load_model()
    (result,) = embed_files(model, [path], READING)
    frames, _, times = load_clip(path, 8, (28, 28))
    vectors = embedder(model)(frames[None])
    (row,) = result["rows"]
    np.testing.assert_allclose(row["global_vector"], vectors["global_vector"][0], atol=1e-5)
    np.testing.assert_allclose(row["frame_vectors"], vectors["frame_vectors"][0], atol=1e-5)
    np.testing.assert_array_equal(row["frame_times"], times)


def test_a_table_is_resumed_and_nothing_is_redone(run, film, digits, tmp_path, monkeypatch):
    monkeypatch.setattr("sora_tf.tasks.embed.EACH", 2)
    paths = [str(path) for path in sorted((digits / "left").glob("*.mp4"))[:5]]
    model, out = run.load_model(), tmp_path / "v.parquet"
    first = embed_to_table(model, paths, READING, out, "key")
    for _ in range(4):  # two parts are on disk when the third begins
        next(first)
    first.close()
    assert not out.exists()
    read = []

    def spy(paths, reading):
        read.extend(paths)
        return read_windows(paths, reading)

    monkeypatch.setattr("sora_tf.tasks.embed.read_windows", spy)
    results = list(embed_to_table(model, paths, READING, out, "key"))
    assert read == paths[4:] or read == paths[2:]
    assert [r["path"] for r in results] == paths
    assert parquet.read_table(out)["path"].to_pylist() == paths
    assert os.listdir(tmp_path) == ["v.parquet"]


def test_parts_of_another_model_are_redone(run, digits, tmp_path, monkeypatch):
    monkeypatch.setattr("sora_tf.tasks.embed.EACH", 1)
    paths = [str(path) for path in sorted((digits / "left").glob("*.mp4"))[:2]]
    model, out = run.load_model(), tmp_path / "v.parquet"
    first = embed_to_table(model, paths, READING, out, "one")
    next(first)
    first.close()
    list(embed_to_table(model, paths, READING, out, "two"))
    assert parquet.read_table(out).num_rows == 2
    assert os.listdir(tmp_path) == ["v.parquet"]


def test_embedding_survives_a_kill(run, digits, tmp_path):
    paths = [str(path) for path in sorted(digits.glob("*/*.mp4"))[:80]]
    out = tmp_path / "v.parquet"
    command = [sys.executable, "-m", "sora_tf.cli", "embed", str(run.path), *paths, "-o", str(out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".v.parquet.parts-*/*.json")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    assert parquet.read_table(out)["path"].to_pylist() == paths


def test_rows_of_a_killed_run_of_other_files_are_left_out(run, digits, tmp_path, monkeypatch):
    monkeypatch.setattr("sora_tf.tasks.embed.EACH", 1)
    paths = [str(path) for path in sorted((digits / "left").glob("*.mp4"))[:3]]
    model, out = run.load_model(), tmp_path / "v.parquet"
    first = embed_to_table(model, paths[:2], READING, out, "key")
    for _ in range(2):
        next(first)
    first.close()
    results = list(embed_to_table(model, paths[1:], READING, out, "key"))
    assert [result["path"] for result in results] == paths[1:]
    assert parquet.read_table(out)["path"].to_pylist() == paths[1:]


def test_a_name_that_is_no_text_is_spelt_out_in_the_table(run, film, tmp_path):
    name = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    shutil.copy(film[0], name)
    out = tmp_path / "v.parquet"
    (result,) = embed_to_table(run.load_model(), [name], READING, out, "key")
    assert result["path"] == name
    assert parquet.read_table(out)["path"].to_pylist() == [f"{tmp_path}/\\udcff.mp4"]


def test_a_length_beyond_belief_is_an_error_and_not_a_list(film, monkeypatch):
    info = replace(probe(film[0]), duration=1e12)
    monkeypatch.setattr("sora_tf.tasks.windows.probe", lambda path: info)
    with pytest.raises(VideoError, match=r"over the limit: 1e\+12 s, so its header says"):
        stretches(film[0], Reading(8, (28, 28), seconds=2.0))


@pytest.mark.parametrize(("seconds", "length"), [(None, "whole files"), (0.5, "windows of 0.5 s")])
def test_a_step_that_leaves_gaps_is_refused(seconds, length):
    with pytest.raises(ValueError, match=f"step must be .* got 1 s for {length}"):
        Reading(8, (28, 28), seconds=seconds, step=1.0)


@pytest.mark.parametrize("name", ["seconds", "step"])
def test_bad_times_are_named(name):
    with pytest.raises(ValueError, match=f"{name} must be above"):
        Reading(8, (28, 28), **{name: 0.0})
