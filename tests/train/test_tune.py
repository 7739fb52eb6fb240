import csv
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from sora_tf.config import RelationConfig, lite, micro, small
from sora_tf.data import Augment, read_index, write_index
from sora_tf.train import RunError, TrainConfig, evaluate_run
from sora_tf.train.settings import usual_training
from sora_tf.train.tune import Budget, Cost, default_space, tune, tuning
from sora_tf.train.tune import search as searching
from sora_tf.train.tune.budget import Costs
from sora_tf.train.tune.importance import importance
from sora_tf.train.tune.outcome import (
    Outcome,
    outside,
    ranked,
    read_outcomes,
    score_of,
    score_outside,
)
from sora_tf.train.tune.report import write_report
from sora_tf.train.tune.search import search
from sora_tf.train.tune.space import Choice, Range, applied, check_space, read_space, usual_values

SPACE = {"x": Choice((0, 1, 2, 3, 4, 5)), "kind": Choice(("a", [1, 2], None)), "y": Range(1, 8)}


# The space.


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"relation.windw": [1]}, "Did you mean 'relation.window'?"),
        ({"training.seed": [1, 2]}, "got 'training.seed'"),
        ({"colour": [1]}, "Try 'relation.window'"),
        ({"dropout": []}, "dropout must have a list of choices"),
        ({"dropout": 0.5}, "dropout must have a list of choices"),
        ({"dropout": {"from": 1, "to": 0}}, "range from low to high"),
        ({"dropout": {"from": 0, "to": 1, "log": True}}, "log: above 0"),
        ({"dropout": {"from": 0, "to": 1, "by": 2}}, "'by': 2"),
        ({"dropout": {"from": "0", "to": "1"}}, "range from low to high"),
        ({}, "a name at least"),
        ([], "got list"),
    ],
)
def test_a_space_that_is_none_is_one_sentence(data, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        read_space(data)


def test_a_space_reads():
    found = read_space(
        {"dropout": [0, 0.5], "training.learning_rate": {"from": 1e-4, "to": 1e-2, "log": True}}
    )
    assert found["dropout"] == Choice((0, 0.5))
    assert found["training.learning_rate"].place(1e-3) == pytest.approx(0.5)
    assert Range(1, 3).whole
    assert not Range(1, 3, 0.5).whole


def test_values_are_put_where_they_belong():
    values = {
        "relation.window": 3,
        "relation": {"alpha": "gcn"},
        "extractor": {"block": "conv", "channels": [8, 8], "depths": [1, 1]},
        "training.learning_rate": 0.5,
        "size": [60, 80],
    }
    model, training = applied(values, small(), TrainConfig(epochs=7))
    # Named parts first, single settings on top; what is not named stays.
    assert model.relation == replace(small().relation, alpha="gcn", window=3)
    assert model.extractor == replace(
        small().extractor, block="conv", channels=(8, 8), depths=(1, 1)
    )
    assert model.size == (60, 80)
    assert training == TrainConfig(epochs=7, learning_rate=0.5)


def test_a_model_without_relations_needs_no_settings_of_them():
    values = {"relation": None, "relation.window": 3}
    assert applied(values, small(), TrainConfig())[0].relation is None
    bare = replace(small(), relation=None)
    values = {"relation": {}, "relation.window": 3}
    assert applied(values, bare, TrainConfig())[0].relation == RelationConfig(window=3)
    with pytest.raises(ValueError, match=r"relation\.window must be a part of the model"):
        check_space(read_space({"relation.window": [1, 2]}), bare, TrainConfig())
    check_space(read_space({"relation": [None, {}], "relation.window": [1]}), bare, TrainConfig())


def test_a_value_that_fits_nowhere_is_named():
    space = read_space({"extractor.memory": [0.25, 0.7]})
    with pytest.raises(ValueError, match=r"extractor.memory fits nowhere with 0.7: .*from 0.0 to"):
        check_space(space, small(), TrainConfig())
    # Without contrast there must be a block, which the space has.
    both = {"relation.contrast": [0, 16], "relation.blocks": [0, 1]}
    check_space(read_space(both), lite(), TrainConfig())


@pytest.mark.parametrize("model", [micro(), small(), lite(), replace(micro(), relation=None)])
def test_the_default_space_suits_every_preset(model):
    training = usual_training(model)
    space = default_space(model, training)
    check_space(read_space(space), model, training)
    usual = usual_values(read_space(space), model, training)
    assert applied(usual, model, training) == (model, training)  # the first trial
    assert json.loads(json.dumps(space)) == space
    # On a frozen CNN nothing that changes its features, which would have to be made again.
    cnn = {name for name in space if name in ("frames", "size") or name.startswith("extractor.")}
    assert (cnn <= {"extractor.features", "extractor.dropout"}) == training.frozen
    assert any(name.startswith("relation.") for name in space) == (model.relation is not None)


def test_the_usual_values_are_those_of_the_configs_or_the_nearest():
    space = read_space(
        {
            "dropout": [0.0, 0.4],
            "relation.alpha": ["gcn", "attention"],
            "relation.window": {"from": 1, "to": 9, "step": 4},
            "extractor.block": ["conv"],
            "training.learning_rate": {"from": 1e-2, "to": 1.0, "log": True},
            "training.weight_decay": {"from": 1e-4, "to": 1e-1, "log": True},
            "training.epochs": [5, 7],
        }
    )
    relation = RelationConfig(window=6, alpha="attention")
    model = replace(small(), dropout=0.3, relation=relation)
    training = TrainConfig(epochs=7, learning_rate=1e-3, weight_decay=0.02)
    assert usual_values(space, model, training) == {
        "dropout": 0.4,
        "relation.alpha": "attention",
        "relation.window": 5,  # of 1, 5 and 9
        "extractor.block": "conv",
        "training.learning_rate": 1e-2,
        "training.weight_decay": 0.02,
        "training.epochs": 7,
    }
    parts = read_space(
        {
            "relation": [None, {"alpha": "gcn"}, {"alpha": "attention"}, {}],
            "extractor.channels": [[4, 8], list(model.extractor.channels)],
        }
    )
    assert usual_values(parts, model, training) == {
        "relation": {"alpha": "attention"},
        "extractor.channels": list(model.extractor.channels),
    }
    assert usual_values(parts, replace(model, relation=None), training)["relation"] is None
    bare = usual_values(space, replace(model, relation=None), training)
    assert (bare["relation.alpha"], bare["relation.window"]) == ("gcn", 1)
    assert Range(0, 10, 4).nearest(10) == 8  # the last step below the end
    assert Range(0.5, 2.0).nearest(None) == 0.5


# The score.


def test_the_score_is_accuracy_then_loss_then_the_budget():
    # 3 of 4 right at a loss of 1: 0.75 - (1/2)/4.
    assert score_of(0.75, 1.0, 4) == pytest.approx(0.625)
    assert score_of(0.75, 0.5, 4) > score_of(0.75, 1.0, 4)
    assert score_of(0.75, 1e9, 4) > score_of(0.5, 0.0, 4)
    # 15 ms of 10 are half too many: -1 - (1/2)/(3/2).
    budget = Budget(ms=10, mb=2)
    assert score_outside(Cost(15, 1), budget) == pytest.approx(-1 - 1 / 3)
    assert score_outside(Cost(15, 1), budget) < score_of(0.0, 1e9, 1)
    assert outside(Cost(10, 2), budget) == ""
    assert outside(Cost(9, 2.5), budget) == "outside the budget: 2.50 MB, more than 2"
    assert not outside(Cost(99, 1), Budget(mb=1))
    assert not Budget()
    with pytest.raises(ValueError, match="ms must be above 0 ms, got -1"):
        Budget(ms=-1)


def test_a_model_is_measured_once_whatever_its_dropout(tmp_path):
    measured = []

    def cost(config):
        measured.append(config)
        return Cost(1.5, 2.5)

    for dropout in (0.0, 0.5):
        assert Costs(tmp_path, cost).of(replace(micro(), dropout=dropout)) == Cost(1.5, 2.5)
    Costs(tmp_path, cost).of(replace(micro(), frames=4))
    assert [config.frames for config in measured] == [8, 4]


# The search.


class Killed(BaseException):
    pass


def quality_of(values):
    """Best with x = 4, a list, y = 6."""
    return 1 - abs(values["x"] - 4) / 8 - abs(values["y"] - 6) / 16 - (values["kind"] != [1, 2]) / 4


def completed(folder):
    files = folder.glob("trial_*/trial.json")
    states = [json.loads(file.read_text()) for file in files]
    return {state["trial_id"] for state in states if state["status"] == "COMPLETED"}


def test_the_search_reasons(tmp_path):
    seen = []

    def attempt(name, values, epochs):
        assert epochs is None
        seen.append(values)
        return quality_of(values)

    search(tmp_path / "s", SPACE, attempt, trials=18)
    assert len(seen) == 18
    assert all(type(v["x"]) is int and type(v["y"]) is int for v in seen)
    assert {json.dumps(v["kind"]) for v in seen} == {'"a"', "[1, 2]", "null"}
    assert len({json.dumps(v) for v in seen}) == 18
    scores = [quality_of(values) for values in seen]
    # Drawn are the first 6; of all 144 combinations, 18 drawn ones have 0.9 or more on average 1
    # time (7 of 144 are as good).
    assert sum(scores[6:]) / 12 > sum(scores[:6]) / 6 + 0.1
    assert max(scores) >= 0.9


@pytest.mark.parametrize("method", ["bayesian", "hyperband"])
def test_the_first_trial_is_what_was_asked_for(method, tmp_path):
    seen, first = [], {"x": 2, "kind": [1, 2], "y": 7}

    def attempt(name, values, epochs):
        seen.append(values)
        return quality_of(values)

    search(tmp_path / "s", SPACE, attempt, method=method, trials=4, epochs=3, first=first)
    assert seen[0] == first
    assert first not in seen[1:3]


@pytest.mark.parametrize("method", ["bayesian", "hyperband"])
def test_a_kill_at_any_write_loses_no_trial(method, tmp_path, monkeypatch):
    write, allowed, attempts = searching.write_json, [0], []

    def failing(path, value):
        allowed[0] -= 1
        if allowed[0] < 0:
            raise Killed
        write(path, value)

    def attempt(name, values, epochs):
        attempts.append(name)
        return quality_of(values)

    monkeypatch.setattr(searching, "write_json", failing)
    kills = 0
    for writes in range(1, 200):
        folder, allowed[0] = tmp_path / "s", writes
        shutil.rmtree(folder, ignore_errors=True)
        try:
            search(folder, SPACE, attempt, method=method, trials=3, epochs=3)
            break
        except Killed:
            kills += 1
        done, allowed[0] = completed(folder), 10**9
        attempts.clear()
        search(folder, SPACE, attempt, method=method, trials=3, epochs=3)
        assert not done & set(attempts)
        assert sorted(done | set(attempts)) == ["0", "1", "2"]
        assert completed(folder) == {"0", "1", "2"}
    assert kills > 10


def test_hyperband_gives_the_best_more_epochs(tmp_path):
    seen = []

    def attempt(name, values, epochs):
        seen.append((epochs, values))
        return quality_of(values)

    # 9 epochs: 9 models for 1 epoch, 3 for 3, 1 for 9; 5 for 3 and 2 for 9; 3 for 9.
    search(tmp_path / "s", SPACE, attempt, method="hyperband", trials=23, epochs=9)
    assert Counter(epochs for epochs, _ in seen) == {1: 9, 3: 3 + 5, 9: 1 + 2 + 3}
    first = sorted((values for epochs, values in seen if epochs == 1), key=quality_of)
    second = [values for epochs, values in seen if epochs == 3][:3]
    assert sorted(map(quality_of, second)) == sorted(map(quality_of, first[-3:]))


def test_what_a_trial_raises_ends_the_search(tmp_path):
    def attempt(name, values, epochs):
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="the disk is full"):
        search(tmp_path / "s", SPACE, attempt, trials=3)
    with pytest.raises(ValueError, match="the search must be one of bayesian, hyperband"):
        search(tmp_path / "s", SPACE, attempt, method="grid")


WORK = """
import json, sys, time
from pathlib import Path
from sora_tf.train.tune.search import search
from sora_tf.train.tune.space import Choice
me = Path(sys.argv[1])

def attempt(name, values, epochs):
    with open(me.with_suffix(".did"), "a") as file:
        file.write(name + "\\n")
    time.sleep(0.5)
    return float(values["x"])

search(me.parent / "s", {"x": Choice(tuple(range(20)))}, attempt, trials=8)
"""


@pytest.mark.slow
def test_a_chief_and_two_workers_share_a_search(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", WORK, str(tmp_path / name)],
            env={
                **os.environ,
                "KERASTUNER_TUNER_ID": name,
                "KERASTUNER_ORACLE_IP": "127.0.0.1",
                "KERASTUNER_ORACLE_PORT": str(port),
            },
        )
        for name in ("chief", "tuner0", "tuner1")
    ]
    assert [process.wait(300) for process in running] == [0, 0, 0]
    did = [(tmp_path / f"tuner{i}.did").read_text().split() for i in (0, 1)]
    assert all(did)
    assert sorted(did[0] + did[1]) == sorted(completed(tmp_path / "s")) == list("01234567")
    assert not (tmp_path / "chief.did").exists()


def test_who_a_process_is(monkeypatch):
    for name in ("KERASTUNER_ORACLE_IP", "KERASTUNER_TUNER_ID"):
        monkeypatch.delenv(name, raising=False)
    assert searching.role() == "alone"
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    assert searching.role() == "chief"
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner1")
    assert searching.role() == "worker"


# Whole searches.


class Widths:
    """Says that a model takes as many ms as its first convolution has channels."""

    name = "channels"

    def __init__(self):
        self.asked = []

    def __call__(self, model, config):
        self.asked.append(config)
        return Cost(float(config.extractor.channels[0]), 1.0)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def asked(digits, settings):
    return {
        "source": digits / "index.csv",
        "model": settings["model"],
        "training": TrainConfig(epochs=1, batch_size=16),
        "space": {
            "extractor.channels": [[4, 8], [8, 8], [12, 8]],
            "training.learning_rate": {"from": 1e-3, "to": 1e-2, "log": True},
        },
        "trials": 4,
        "augment": Augment.none(),
        "verbose": 0,
    }


def test_a_budgeted_search_is_killed_goes_on_and_leaves_a_run(asked, tmp_path, monkeypatch, caplog):
    measure, train, trained = Widths(), tuning.Trainer.train, []

    def killing(self, model, training):
        if len(trained) == 1:
            trained.append(None)
            raise KeyboardInterrupt
        trained.append(model)
        return train(self, model, training)

    monkeypatch.setattr(tuning.Trainer, "train", killing)
    arguments = {**asked, "out": tmp_path / "run", "budget": Budget(ms=8), "measure": measure}
    with pytest.raises(KeyboardInterrupt):
        tune(**arguments)
    before = {outcome.name for outcome in read_outcomes(tmp_path / "run" / "search")}
    assert before
    assert (tmp_path / "run" / "report.html").is_file()
    with pytest.raises(RunError, match="must hold the same search, got another trials"):
        tune(**{**arguments, "trials": 5})
    run = tune(**arguments)
    outcomes = read_outcomes(run.path / "search")
    assert [outcome.name for outcome in outcomes] == ["0", "1", "2", "3"]
    wide = [o for o in outcomes if o.values["extractor.channels"][0] > 8]
    # Those outside are not trained, and none that was is trained again.
    assert all(o.epochs == 0 and o.score < -1 and "12.00 ms" in o.reason for o in wide)
    assert all(model is None or model.extractor.channels[0] <= 8 for model in trained)
    assert len(trained) - 1 == len(outcomes) - len(wide)
    # The search measures each kind of model once, the end the best twice: before and after.
    kinds = {tuple(o.values["extractor.channels"]) for o in outcomes}
    assert len(measure.asked) == len(kinds) + 2

    state = json.loads((run.path / "tuner.json").read_text())
    best = ranked(outcomes)[0]
    assert state["best"]["name"] == best.name
    width = best.values["extractor.channels"][0]
    assert state["measured"] == {"ms": width, "mb": 1, "inside": True}
    # The run repeats the trial, to the number.
    history = table(run.path / "history.csv")
    assert float(history[-1]["val_loss"]) == pytest.approx(best.loss, rel=1e-4)
    assert float(history[-1]["val_accuracy"]) == best.accuracy
    assert run.read_metrics()["part"] == "test"
    assert evaluate_run(run, part="val")["accuracy"] == pytest.approx(best.accuracy)
    rows = table(run.path / "trials.csv")
    assert [row["trial"] for row in rows] == ["0", "1", "2", "3"]
    assert not (run.path / "cache").exists()
    # Once more, nothing is left to do.
    times = {path: path.stat().st_mtime_ns for path in run.path.rglob("*.json")}
    tune(**arguments)
    assert times == {path: path.stat().st_mtime_ns for path in run.path.rglob("*.json")}
    with pytest.raises(RunError, match="not one of 4 trials is good"):
        tune(**{**arguments, "out": tmp_path / "none", "budget": Budget(mb=0.5)})


def test_heads_are_searched_on_features_made_once(asked, tmp_path, monkeypatch):
    from sora_tf.train.tune import trial

    made, measured = [], []
    views = trial.frozen_features

    def counted(*arguments):
        found = views(*arguments)
        made.extend(found)
        return found

    class Fast:
        name = "nothing"

        def __call__(self, model, config):
            measured.append(config)
            return Cost(1.0, 1.0)

    monkeypatch.setattr(trial, "frozen_features", counted)
    run = tune(
        **{
            **asked,
            "out": tmp_path / "run",
            "training": TrainConfig(epochs=2, batch_size=16, frozen=True, learning_rate=3e-3),
            "space": {"relation.window": [1, 3], "standardise": [False, True], "dropout": [0, 0.5]},
            "trials": 6,
            "budget": Budget(ms=2),
            "measure": Fast(),
        }
    )
    assert len(made) == 2  # of the training clips and of the validation clips
    outcomes = read_outcomes(run.path / "search")
    assert all(outcome.epochs == 2 for outcome in outcomes)
    # Only who leads is measured.
    leading = [o for n, o in enumerate(outcomes) if all(p.score < o.score for p in outcomes[:n])]
    assert [o.name for o in outcomes if o.cost] == [o.name for o in leading]
    best = ranked(outcomes)[0]
    assert best.cost
    history = table(run.path / "history.csv")
    assert max(float(row["val_accuracy"]) for row in history) == best.accuracy


def test_all_clips_judge_heads_where_no_table_says_which(asked, tmp_path, monkeypatch):
    parts = []
    history = tuning.Trainer._history

    def noted(self, model, training, part):
        parts.append(part)
        return history(self, model, training, part)

    monkeypatch.setattr(tuning.Trainer, "_history", noted)
    clips = [replace(clip, split=None) for clip in read_index(asked["source"])]
    write_index(clips, tmp_path / "free.csv")
    run = tune(
        **{
            **asked,
            "source": tmp_path / "free.csv",
            "out": tmp_path / "run",
            "training": TrainConfig(epochs=2, batch_size=16, frozen=True, learning_rate=3e-3),
            "space": {"dropout": [0, 0.5]},
            "trials": 1,
        }
    )
    assert json.loads((run.path / "tuner.json").read_text())["folds"] == 3
    known = [clip for clip in read_index(run.path / "clips.csv") if clip.split != "test"]
    assert len(parts) == 3
    assert all(len(part.learnt) + part.count == len(known) for part in parts)
    # Each is held out once: in all parts but one it is learnt from.
    assert Counter(clip.path for part in parts for clip in part.learnt) == Counter(
        {clip.path: 2 for clip in known}
    )
    held = sum(part.count for part in parts)
    (outcome,) = read_outcomes(run.path / "search")
    assert held == len(known)
    assert outcome.accuracy * held == pytest.approx(round(outcome.accuracy * held), abs=1e-3)
    assert outcome.values == {"dropout": micro().dropout}


def test_a_model_that_cannot_be_scores_below_all_others(asked, tmp_path):
    # Four heads do not divide 30 channels, which shows when the model is built.
    space = {"relation.units": [30, 32], "relation.alpha": ["attention"]}
    run = tune(**{**asked, "out": tmp_path / "run", "space": space, "trials": 2})
    bad, good = sorted(read_outcomes(run.path / "search"), key=lambda outcome: outcome.score)
    assert "heads must divide units" in bad.reason
    assert (bad.score, bad.epochs) == (-2, 0)
    assert good.counts
    assert run.read_config().model.relation.units == 32


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "hyperband", "space": {"training.epochs": [1, 2]}}, "choose the epochs itself"),
        ({"trials": 0}, "trials must be at least 1 trial, got 0"),
        ({"budget": Budget(ms=1)}, "measure must be given with a budget"),
        ({"method": "grid"}, "the search must be one of"),
    ],
)
def test_what_cannot_be_searched_is_said_before_anything_is_written(change, words, asked, tmp_path):
    with pytest.raises(ValueError, match=words):
        tune(**{**asked, "out": tmp_path / "run", **change})
    assert not (tmp_path / "run").exists()


def test_a_run_that_was_not_tuned_is_left_alone(asked, run):
    with pytest.raises(RunError, match="was not tuned"):
        tune(**{**asked, "out": run.path})


# The report.


def outcomes_of(count):
    """Accuracy falls with x alone."""
    made = []
    for n in range(count):
        values = {"x": n % 6, "kind": ["a", [1, 2], None][n // 2 % 3], "y": 1 + n * 5 % 8}
        accuracy = 0.9 - 0.1 * values["x"]
        score = score_of(accuracy, 0.5, 20)
        made.append(Outcome(f"{n:02d}", values, 3, accuracy, 0.5, Cost(n + 1, 2.0), "", score))
    return made


def test_what_decides_the_score_is_found():
    found = importance(outcomes_of(30), SPACE)
    assert next(iter(found.shares)) == "x"
    assert found.shares["x"] > 0.8
    assert sum(found.shares.values()) == pytest.approx(1)
    assert found.r2 > 0.8
    assert importance(outcomes_of(4), SPACE) is None
    alike = [replace(outcome, score=0.5) for outcome in outcomes_of(30)]
    assert importance(alike, SPACE) is None


@pytest.mark.parametrize("counting", [True, False])
def test_the_report_is_one_page_that_needs_nothing_else(counting, tmp_path):
    bad = Outcome("30", {"x": 0, "kind": "a", "y": 8}, reason="5 < 6 & <b>")
    outcomes = [*(outcomes_of(30) if counting else []), bad]
    asked = {
        "source": "/data/<clips>", "method": "bayesian", "trials": 40,
        "budget": {"ms": 5.0, "mb": None}, "measure": "TFLite float32",
    }  # fmt: skip
    write_report(tmp_path / "r.html", outcomes, SPACE, asked)
    text = (tmp_path / "r.html").read_text()
    assert not re.search(r"https?:|src=|href=|@import|nan", text)
    assert "at most 5 ms a frame (TFLite float32)" in text
    assert "5 &lt; 6 &amp; &lt;b&gt;" in text
    assert "<b>" not in text
    assert "&lt;clips&gt;" in text
    lines = re.findall(r'<path class="trial ?(\w*)" data-trial="(\d+)" d="M([^"]*)"', text)
    assert len(lines) == len(outcomes) == text.count("<tr class=")
    assert [name for kind, name, _ in lines if kind == "out"] == ["30"]
    if counting:
        # Trial 00 is the best of those with x = 0, being the first of equals; drawn last.
        assert lines[-1][:2] == ("best", "00")
        # Settings, ms, MB and accuracy: six axes. Accuracy is the highest: at the top, y = 62.
        points = lines[-1][2].split(" L")
        assert len(points) == 6
        assert float(points[-1].split(",")[1]) == 62
