"""The verbs about what is said: train on a table, tell of files, say what is wrong."""

import csv
import json

import pytest

from sora_tf.cli import main
from sora_tf.models.minilm import PACKAGE

pytest.importorskip("safetensors")
pytest.importorskip("tokenizers")
pytest.importorskip(PACKAGE)
pytest.importorskip("pysubs2")

GOOD, BAD = (
    ("what a great day", "I love it", "wonderful, thanks"),
    ("I hate it", "awful", "shut up"),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    with open(folder / "talk.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("said", "felt", "dialogue"))
        for n in range(60):
            writer.writerows(
                (text, mood, n) for text, mood in ((GOOD[n % 3], "good"), (BAD[n % 3], "bad"))
            )
    columns = "text=said,label=felt"
    out = str(folder / "run")
    command = ["train-text", str(folder / "talk.csv"), "--out", out, "--columns", columns]
    assert main([*command, "--epochs", "4", "--alone", "--name", "mood"]) == 0
    return out


@pytest.fixture
def film(tmp_path):
    lines = "\n\n".join(
        f"{n + 1}\n00:00:0{2 * n},000 --> 00:00:0{2 * n + 1},000\n{text}."
        for n, text in enumerate((GOOD[0], BAD[0]))
    )
    (tmp_path / "film.srt").write_text(lines)
    return str(tmp_path / "film.srt")


def test_training_says_what_it_scored(run, capsys):
    command = ["train-text", run.replace("run", "talk.csv"), "--out", run, "--alone"]
    columns = ["--columns", "text=said,label=felt", "--epochs", "4", "--name", "mood"]
    assert main([*command, *columns]) == 0  # finished before: given back
    assert (
        "test: weighted F1 1.000, macro F1 1.000, 100.0% of 18 utterances"
        in capsys.readouterr().out
    )


def test_films_are_told_as_text_and_as_a_table(run, film, tmp_path, capsys):
    assert main(["sentiment", film, "--run", run]) == 0
    printed = capsys.readouterr().out
    assert "film.srt: 2 sentences; mood " in printed
    assert "0.0 s  good " in printed
    out = tmp_path / "told.csv"
    assert main(["sentiment", film, "no.txt", "--run", run, "--json", "-o", str(out)]) == 3
    captured = capsys.readouterr()
    answer, failed = json.loads(captured.out)
    assert [one["mood"]["label"] for one in answer["sentences"]] == ["good", "bad"]
    assert answer["windows"][0]["mood"]["good"] == pytest.approx(answer["whole"]["mood"]["good"])
    assert failed["error"].startswith("no.txt: cannot open")
    assert captured.err.startswith("sora-tf: no.txt: cannot open")
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["mood"] for row in rows] == ["good", "bad"]
    assert float(rows[1]["mood(bad)"]) > 0.5
    assert float(rows[1]["start"]) == 2.0


def test_no_table_of_nothing(run, tmp_path, capsys):
    assert main(["sentiment", "no.txt", "--run", run, "-o", str(tmp_path / "none.json")]) == 1
    assert not (tmp_path / "none.json").exists()
    assert "no.txt: cannot open" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["sentiment", "a.txt", "--run", "no run"], "there is no run in no run"),
        (["sentiment", "a.txt", "--run", "RUN", "-o", "a.doc"], "ending of --out must be one of"),
        (["sentiment", "a.txt", "--run", "RUN", "--every", "0"], "every must be above 0"),
        (["train-text", "no.csv", "--out", "x"], "there is no table no.csv"),
        (["train-text", "no.csv", "--out", "x", "--columns", "text"], "must be NAME=COLUMN"),
    ],
)
def test_errors_are_one_line(run, command, message, capsys):
    assert main([run if word == "RUN" else word for word in command]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
