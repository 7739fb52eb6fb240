"""Trains a model that tells what is felt in each utterance of dialogues."""

import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.data import Clip, split
from sora_tf.data.utterances import Utterance, dialogues, read_utterances
from sora_tf.data.words import BagOfWords
from sora_tf.models.dialogue import MASK, DialogueConfig, build_dialogue
from sora_tf.models.sentence_vectors import sentence_vectors
from sora_tf.models.text import Vocabulary
from sora_tf.tasks.sentiment import Heard, hear, score
from sora_tf.train.evaluate import write_report
from sora_tf.train.fit import optimizer_of, write_learnt
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.metrics import classification_metrics
from sora_tf.train.run import RunError, load_model, versions, write_csv
from sora_tf.train.sentiment_run import BAG, VOCABULARY, SentimentRun, SentimentRunConfig
from sora_tf.train.settings import TrainConfig

LOG = logging.getLogger(__name__)
TRAIN, CHOOSE, TEST = "train", "val", "test"
CHOOSING = 0.2  # of the training dialogues choose the epoch, where no split "val" does
BALANCE = 0.5  # classes are weighted by their rarity to this power: 0 as they are, 1 all alike


def usual_sentiment_training() -> TrainConfig:
    """What suits dialogues."""
    return TrainConfig(epochs=8, batch_size=16, learning_rate=1e-3)


def train_sentiment(
    table: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    name: str | None = None,
    model: DialogueConfig | None = None,
    training: TrainConfig | None = None,
    cache: str | os.PathLike[str] | None = None,
    verbose: int | str = "auto",
) -> SentimentRun:
    """Trains on a table of utterances and writes a run folder.

    Started again on a folder whose run was interrupted, it goes on after the last whole epoch.

    Whole dialogues go to the parts train, val and test, as the column split says or else 70, 15
    and 15 %. The epoch with the best weighted F1 on val is kept; where the column split names no
    val, a fifth of the training dialogues is held out for that.

    Args:
        table, columns: as in `read_utterances`.
        name: of what is told, such as "emotion"; None is the name of the column of labels.
        out: the run folder; one that is finished is given back as it is.
        model: what to train; None is `DialogueConfig()`. Its `bag` and `words.vocabulary` are
            how many terms it may have at most; they are those of the training texts.
        training: how; None is `usual_sentiment_training()`.
        cache: .npz of MiniLM vectors, to share between runs; None keeps them in the run until it
            is finished.
        verbose: as in `model.fit`.

    Returns:
        The run, judged on test, or on val where there is no test.

    Raises:
        RunError: the folder holds a run of something else, or the training runs away.
        ValueError: the table does not read, or has fewer than 2 labels to learn.
        ImportError: MiniLM is not installed.
    """
    run = SentimentRun(out)
    settings = training or usual_sentiment_training()
    columns = dict(columns or {})
    utterances = _parted(read_utterances(table, columns), settings.seed)
    learnt = [one for one in utterances if one.split == TRAIN]
    labels = tuple(sorted({one.label for one in learnt}))
    _checks.at_least(
        "train_sentiment", "labels of the training part", len(labels), 2, "", "Add some."
    )
    config = model or DialogueConfig()
    texts = [one.text for one in learnt]
    bag = vocabulary = None
    if config.bag:
        bag = BagOfWords.of(texts, config.bag)
        config = replace(config, bag=bag.size)
    if config.words:
        vocabulary = Vocabulary.of(texts, config.words.vocabulary)
        config = replace(config, words=replace(config.words, vocabulary=vocabulary.size))
    wanted = SentimentRunConfig(
        config,
        name or columns.get("label", "label").lower(),
        labels,
        asdict(settings),
        os.path.abspath(table),
        columns,
        versions(),
    )
    begun = run.finished or run.checkpoint()
    if begun and replace(run.read_config(), versions=wanted.versions) != wanted:
        raise RunError(
            f"{run.path} holds a run of another model or table. Give another --out, or the "
            "same arguments."
        )
    if run.finished:
        LOG.info("the run in %s is finished; give another --out to train again", run.path)
        return run
    run.write_config(wanted)
    parts = {one.dialogue: one.split for one in utterances}
    rows = [{"dialogue": dialogue, "split": part} for dialogue, part in parts.items()]
    write_csv(run.path / "split.csv", ["dialogue", "split"], rows)
    if bag:
        bag.write(run.path / BAG)
    if vocabulary:
        vocabulary.write(run.path / VOCABULARY)
    vectors, kept = None, cache or run.path / "vectors.npz"
    if config.vector:
        vectors = sentence_vectors([one.text for one in utterances], kept)
    heard = hear(utterances, config, bag, vocabulary, vectors)
    write_learnt(run, _fit(run, wanted, heard, utterances, verbose))
    _judge(run, run.load_model(), heard, utterances, wanted)
    if cache is None:
        (run.path / "vectors.npz").unlink(missing_ok=True)
    return run


def weighted_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """The mean of the classes' F1, each weighted by how often it is true."""
    return float(f1_score(truth, predicted, average="weighted"))


class Batches(keras.utils.Sequence):
    """Whole dialogues in batches, in another order every epoch.

    Args:
        heard: of M utterances.
        targets: (M,) class of each.
        weights: (M,) how much each counts.
        groups: numbers of the utterances of each dialogue.
        size: dialogues in a batch.
        seed: of the order.
    """

    def __init__(
        self,
        heard: Heard,
        targets: np.ndarray,
        weights: np.ndarray,
        groups: Sequence[np.ndarray],
        size: int,
        seed: int,
    ):
        self.heard, self.targets, self.weights = heard, targets, weights
        self.groups, self.size = groups, size
        self._random = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        """Batches in an epoch."""
        return math.ceil(len(self.groups) / self.size)

    def __getitem__(self, place: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
        """Inputs, classes (B, N), weights (B, N) that are 0 on padding."""
        taken = self._order[place * self.size : (place + 1) * self.size]
        given, numbers = self.heard.batch([self.groups[n] for n in taken])
        return given, self.targets[numbers], self.weights[numbers] * given[MASK]

    def on_epoch_end(self) -> None:
        """Shuffles."""
        self._order = self._random.permutation(len(self.groups))


class KeepDialogues(KeepEpochs):
    """Keeps every epoch, and the model of the one that is best on dialogues held out.

    Args:
        run, history: as in `KeepEpochs`.
        heard, targets, groups: as in `Batches`; the groups are those held out.
        reach: as in `score`.
    """

    def __init__(
        self,
        run: SentimentRun,
        history: list[dict[str, float]],
        heard: Heard,
        targets: np.ndarray,
        groups: Sequence[np.ndarray],
        reach: int,
    ):
        super().__init__(run, history)
        self.heard, self.targets, self.groups, self.reach = heard, targets, groups, reach

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Scores; adds val_accuracy and val_weighted_f1 to the logs.

        Raises:
            RunError: the loss is no number any more.
        """
        logs = {} if logs is None else logs
        if math.isfinite(logs["loss"]):
            rows = np.concatenate(self.groups)
            found = score(self.model, self.heard, self.groups, self.reach)[rows].argmax(axis=1)
            logs["val_accuracy"] = float((found == self.targets[rows]).mean())
            logs["val_weighted_f1"] = weighted_f1(self.targets[rows], found)
        super().on_epoch_end(epoch, logs)

    def quality(self, row: dict[str, float]) -> tuple[float, ...]:
        """By weighted F1, then as usual."""
        return (row["val_weighted_f1"], *super().quality(row))


def _parted(utterances: list[Utterance], seed: int) -> list[Utterance]:
    """Each with its part; see `train_sentiment`."""
    if all(one.split for one in utterances):
        found = list(utterances)
        _check_whole(found)
    else:
        found = _split(utterances, None, seed)
    if any(one.split == CHOOSE for one in found):
        return found
    rows = [n for n, one in enumerate(found) if one.split == TRAIN]
    shares = {TRAIN: 1 - CHOOSING, CHOOSE: CHOOSING}
    parted = _split([replace(found[n], split=None) for n in rows], shares, seed)
    for n, one in zip(rows, parted, strict=True):
        found[n] = one
    return found


def _check_whole(utterances):
    parts: dict[str, str | None] = {}
    for one in utterances:
        if parts.setdefault(one.dialogue, one.split) != one.split:
            raise ValueError(
                f"train_sentiment: the dialogue {one.dialogue!r} must be in one split, got "
                f"{parts[one.dialogue]} and {one.split}. Give dialogues names of their own."
            )


def _split(utterances, fractions, seed):
    clips = [
        Clip(str(n), one.label, group=one.dialogue, split=one.split)
        for n, one in enumerate(utterances)
    ]
    given = {"fractions": fractions} if fractions else {}
    parts = split(clips, seed=seed, **given)
    return [replace(one, split=clip.split) for one, clip in zip(utterances, parts, strict=True)]


def _fit(run, config, heard, utterances, verbose):
    """Trains from the last checkpoint on; returns the history."""
    labels, settings = config.labels, TrainConfig(**config.training)
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    seed = settings.seed_after(len(history))
    keras.utils.set_random_seed(seed)
    targets = np.array(
        [labels.index(one.label) if one.label in labels else 0 for one in utterances]
    )
    groups = {
        part: [group for group in dialogues(utterances) if utterances[group[0]].split == part]
        for part in (TRAIN, CHOOSE)
    }
    rows = np.concatenate(groups[TRAIN])
    counts = np.bincount(targets[rows], minlength=len(labels))
    rarity = (counts.sum() / counts) ** (BALANCE if settings.class_weights else 0.0)
    rarity /= (rarity * counts).sum() / counts.sum()
    batches = Batches(heard, targets, rarity[targets], groups[TRAIN], settings.batch_size, seed)
    if checkpoint:
        network = load_model(checkpoint[0])
    else:
        network = build_dialogue(config.model, len(labels))
        optimizer = optimizer_of(settings, settings.epochs * len(batches))
        network.compile(optimizer, keras.losses.SparseCategoricalCrossentropy())
    keep = KeepDialogues(run, history, heard, targets, groups[CHOOSE], config.model.reach)
    network.fit(
        batches,
        epochs=settings.epochs,
        initial_epoch=len(history),
        callbacks=[keep],
        verbose=verbose,
        shuffle=False,
    )
    return history


def _judge(run, network, heard, utterances, config):
    """Writes metrics.json, predictions.csv and confusion.png."""
    parts = {one.split for one in utterances}
    part = TEST if TEST in parts else CHOOSE
    rows = [
        n for n, one in enumerate(utterances) if one.split == part and one.label in config.labels
    ]
    if not rows:
        raise RunError(f"the part {part} of {config.source} has none of the labels learnt.")
    groups = [group for group in dialogues(utterances) if utterances[group[0]].split == part]
    scores = score(network, heard, groups, config.model.reach)[rows]
    truth = np.array([config.labels.index(utterances[n].label) for n in rows])
    metrics = _of_utterances(classification_metrics(truth, scores, config.labels))
    metrics["per_class"] = {
        label: _of_utterances(row) for label, row in metrics["per_class"].items()
    }
    score_f1 = weighted_f1(truth, scores.argmax(axis=1))
    metrics = {"part": part, "weighted_f1": score_f1, **metrics}
    table = [
        {
            "dialogue": utterances[n].dialogue,
            "text": utterances[n].text,
            "label": utterances[n].label,
            "predicted": config.labels[int(row.argmax())],
            **{f"p({label})": f"{p:.6f}" for label, p in zip(config.labels, row, strict=True)},
        }
        for n, row in zip(rows, scores, strict=True)
    ]
    write_report(run, metrics, table, config.labels, "utterances")


def _of_utterances(values: dict[str, Any]) -> dict[str, Any]:
    """The same, what is counted called by its name."""
    return {("utterances" if name == "clips" else name): value for name, value in values.items()}
