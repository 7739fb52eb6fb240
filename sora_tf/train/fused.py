"""Trains a model that fuses what is seen, heard and said in clips; resumes after a kill.

The nodes of every clip are made once and kept: frame vectors of a CNN as it is, log-mel windows or
YAMNet's vectors of them, and sentence vectors. What is trained is the encoder of sound, where it is
not YAMNet, and the fusion.
"""

import itertools
import logging
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf import config as configs
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import SoraConfig
from sora_tf.data import Problems, labels_of, split
from sora_tf.data.fused import FusedClip, read_fused
from sora_tf.models.fusion import FRAME, FusionConfig, build_fusion
from sora_tf.models.sound import SoundConfig
from sora_tf.tasks.nodes import NodeReader, stacked
from sora_tf.train.batches import learnt_from
from sora_tf.train.evaluate import write_judged
from sora_tf.train.fit import class_weights, compile_model, write_learnt
from sora_tf.train.fused_run import SETS, YAMNET, FusedRun, FusedRunConfig, reader_of
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.run import RunError, load_model, versions
from sora_tf.train.settings import TrainConfig
from sora_tf.video import VideoError

LOG = logging.getLogger(__name__)


def usual_fused_training() -> TrainConfig:
    """How a fusion is trained where nothing else is asked for.

    What is seen, what is heard and what is said each learn from a share of the clips in any epoch
    (see `Voices`), so that more epochs than usual are needed.
    """
    return TrainConfig(epochs=120, batch_size=16)


def train_fused(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    sets: Sequence[str] = SETS,
    model: SoraConfig | str = "lite",
    fusion: FusionConfig | None = None,
    sound: SoundConfig | str | None = None,
    training: TrainConfig | None = None,
    fit: str = "stretch",
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> FusedRun:
    """Trains a classifier of what is seen, heard and said, and writes a run folder.

    Clips may lack sound or words. Started again on a folder whose run was interrupted, it goes on
    after the last whole epoch.

    Args:
        source: folder of class folders, or a table, see `read_fused`; where no pictures are fused,
            files of sound are clips too.
        out: the run folder.
        sets: which of "frame", "sound" and "sentence" are fused.
        model: video model, a config or a preset, whose frame vectors are the nodes that are seen;
            its weights are the usual ones and stay as they are.
        fusion: how; None is `FusionConfig()`.
        sound: the encoder of sound, which learns with the rest; None is `SoundConfig()`. "yamnet"
            takes the vectors of `build_yamnet()` as they are.
        training: how to train; None is `usual_fused_training()`.
        fit: how frames are made to fit: "stretch", "cover" or "contain".
        cache: folder for nodes, to share between runs; None keeps them in the run until it is
            finished.
        callbacks, verbose: as in `train_classifier`.

    Returns:
        The run, judged on its test split (on "val" where there is no "test").

    Raises:
        RunError: the folder holds another run, or no clip can be read.
        ValueError: the clips cannot be listed or split, there are fewer than 2 classes, or a set
            is unknown.
        ImportError: an extra that a set needs is not installed.
    """
    owner = "train_fused"
    for name in sets:
        _checks.one_of(owner, "sets", name, SETS)
    _checks.at_least(owner, "sets", len(set(sets)), 1, "set", "Name frame, sound or sentence.")
    if isinstance(sound, str):
        _checks.one_of(owner, "sound", sound, (YAMNET,))
    run = FusedRun(out)
    items = read_fused(source, seen=FRAME in sets)
    settings = training or usual_fused_training()
    clips = split([item.clip for item in items], seed=settings.seed)
    items = [replace(item, clip=clip) for item, clip in zip(items, clips, strict=True)]
    labels = labels_of(clips)
    _checks.at_least(owner, "classes", len(labels), 2, "", "Put each in a folder of its own.")
    config = FusedRunConfig(
        tuple(name for name in SETS if name in sets),
        configs.resolve(model),
        fusion or FusionConfig(),
        sound or SoundConfig(),
        labels,
        fit,
        asdict(settings),
        os.path.abspath(source),
        versions(),
    )
    if run.exists:
        if replace(run.read_config(), versions=config.versions) != config:
            raise RunError(
                f"{run.path} holds another run. Give another --out, or the same arguments to go "
                "on with it."
            )
    else:
        run.write_config(config)
    if run.finished:
        LOG.info("the run in %s is finished; give another --out to train again", run.path)
        return run
    problems = Problems()
    folder = Path(cache or run.path / "cache") / "nodes"
    kept = _kept(items, reader_of(config, folder), problems)
    history = _fit(run, config, kept, problems, settings, callbacks, verbose)
    write_learnt(run, history)
    _judge(run, config, kept, problems)
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)
    return run


class Kept:
    """Clips whose nodes are kept in files, as batches.

    Args:
        items: the clips, all of which read.
        reader: what reads them.
        labels: class names.
    """

    def __init__(self, items: Sequence[FusedClip], reader: NodeReader, labels: Sequence[str]):
        self.items, self.reader = list(items), reader
        truth = [list(labels).index(item.clip.label) for item in items]
        self.truth = np.eye(len(labels), dtype=np.float32)[truth]

    def part(self, name: str) -> "Kept":
        """Those of a split."""
        chosen = [place for place, item in enumerate(self.items) if item.clip.split == name]
        found = Kept([], self.reader, [])
        found.items, found.truth = [self.items[n] for n in chosen], self.truth[chosen]
        return found

    def batches(self, size: int, seed: int | None = None, behind: int = 0) -> tf.data.Dataset:
        """Batches of (nodes, one-hot); in another order every epoch where there is a seed."""
        epoch = itertools.count(behind)

        def rows():
            order = np.arange(len(self.items))
            if seed is not None:
                np.random.default_rng((seed, next(epoch))).shuffle(order)
            for start in range(0, len(order), size):
                chosen = order[start : start + size]
                yield stacked([self.reader.read(self.items[n]) for n in chosen]), self.truth[chosen]

        nodes = stacked([self.reader.read(self.items[0])])
        signature = (
            {
                name: tf.TensorSpec([None, *values.shape[1:]], tf.as_dtype(values.dtype))
                for name, values in nodes.items()
            },
            tf.TensorSpec([None, self.truth.shape[1]], tf.float32),
        )
        dataset = tf.data.Dataset.from_generator(rows, output_signature=signature)
        count = -(-len(self.items) // size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(count))
        return dataset.prefetch(tf.data.AUTOTUNE)


def _kept(items, reader, problems):
    """Reads all clips once; those that do not read are noted and left out."""
    labels = labels_of(item.clip for item in items)
    found = []
    with counting("nodes") as update:
        for done, item in enumerate(items, 1):
            try:
                reader.read(item)
                found.append(item)
            except VideoError as error:
                problems.skip(item.clip.name, str(error))
            update(done, len(items))
    if not found:
        raise RunError(f"not one clip could be read; the first: {problems.lines()[0]}")
    return Kept(found, reader, labels)


def _fit(run, config, kept, problems, settings, callbacks, verbose):
    """Runs `model.fit` from the last checkpoint to the last epoch; returns the history."""
    learnt = learnt_from([item.clip for item in kept.items], config.source)
    held = kept.part("val")
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    keras.utils.set_random_seed(settings.seed + len(history))
    if checkpoint:
        model = load_model(checkpoint[0])
    else:
        shapes = kept.reader.shapes
        learning = config.sound if isinstance(config.sound, SoundConfig) else None
        model = build_fusion(shapes, len(config.labels), config.fusion, sound=learning)
        compile_model(model, settings, settings.steps(len(learnt)))
    model.fit(
        kept.part("train").batches(settings.batch_size, settings.seed, len(history)),
        validation_data=held.batches(settings.batch_size) if held.items else None,
        epochs=settings.epochs,
        initial_epoch=len(history),
        class_weight=class_weights(learnt, config.labels) if settings.class_weights else None,
        callbacks=[KeepEpochs(run, history), *callbacks],
        verbose=verbose,
    )
    return history


def _judge(run, config, kept, problems):
    part = "test" if kept.part("test").items else "val"
    judged = kept.part(part)
    if not judged.items:
        raise RunError(f"no clip of {config.source} is left to judge the run by.")
    scores = run.load_model().predict(judged.batches(32), verbose=0)
    clips = [item.clip for item in judged.items]
    truth = judged.truth.argmax(axis=1)
    write_judged(run, part, clips, truth, scores, config.labels, problems)
