"""Teaches a video model the words for what it sees, so that it can be asked for any others.

A clip's vector is drawn to the sentence vector of its own text and away from those of all other
texts, each pair for itself (sigmoid loss). The run is a classifier of the texts it was trained on,
and `tasks.zero_shot` compares its vectors with any others.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sora_tf import config as configs
from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.data import Problems, read_index, split
from sora_tf.models.aligned import (
    TEXT_VECTOR,
    build_aligned,
    imagenet_words,
    text_of_label,
    with_texts,
)
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.models.video_model import VideoModel
from sora_tf.train.batches import frozen_features, labelled_batches, learnt_from
from sora_tf.train.derive import check_same
from sora_tf.train.fit import (
    begin,
    class_weights,
    compile_model,
    judge,
    resume,
    strategy,
    write_learnt,
)
from sora_tf.train.frozen import feature_batches
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.run import Run, RunError, load_model
from sora_tf.train.settings import TrainConfig, usual_training

ASKED = "align.json"


def align(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    texts: Mapping[str, str] | None = None,
    model: SoraConfig | str = "lite",
    training: TrainConfig | None = None,
    fit: str = "stretch",
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> Run:
    """Trains a model from clips to vectors of sentences, and writes a run folder.

    The folder is that of `train_classifier`, with align.json for the texts: the run names the
    clips it was trained on as any classifier does. Started again on a folder whose run was
    interrupted, it goes on after the last whole epoch.

    Args:
        source: folder of class folders, or a table whose label is any text about the clip.
        out: the run folder.
        texts: what is said of clips of a label; None takes the label as words.
        model: a config, or the name of a preset, on an EfficientNet-Lite, which stays as it is.
        training: how to train; None is what `usual_training` says.
        fit, cache, callbacks, verbose: as in `train_classifier`.

    Returns:
        The run, evaluated.

    Raises:
        RunError: the folder holds another run, or no clip can be read.
        ValueError: the clips cannot be listed or split, two labels have the same text, or the
            model cannot be built.
        ImportError: the extras "pretrained" and "text" are not installed.
    Reference: Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023; the text
        side stays as it is, as in Zhai et al., "LiT", CVPR 2022, with the sides changed.
    """
    run = Run(out)
    chosen = replace(training or usual_training(model), frozen=True, views=0)
    given = dict(texts or {})
    if run.finished or run.checkpoint():
        check_same(run, ASKED, {"texts": given}, "aligned")
        config, clips = resume(run, source, model, chosen, None, fit)
    else:
        clips = split(read_index(source), seed=chosen.seed)
        config = begin(run, source, clips, configs.resolve(model), chosen, None, fit)
        write_json(run.path / ASKED, {"texts": given})
    if not run.finished:
        problems = Problems()
        decoded = cache or run.path / "cache"
        history = _fit(run, config, clips, given, decoded, problems, callbacks, verbose)
        write_learnt(run, history)
        judge(run, clips, cache, problems)
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)
    return run


def vector_model(run: Run) -> VideoModel:
    """The model of an aligned run from clips to vectors of sentences.

    Raises:
        RunError: there is no run, or it is not aligned.
    """
    model = run.load_model()
    if TEXT_VECTOR not in {layer.name for layer in model.layers}:
        raise RunError(
            f"the run in {run.path} was not aligned with texts. Give one that `sora-tf align` "
            "wrote, or none."
        )
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    return VideoModel(clip, model.get_layer(TEXT_VECTOR).output)


def texts_of(run: Run) -> list[str]:
    """The texts that an aligned run has learnt to tell apart, in the order of its labels.

    Those of a classifier that was not aligned are its labels as words.

    Raises:
        RunError: there is no run, or what it was aligned with does not read.
    """
    labels = run.read_config().labels
    if not is_aligned(run):
        return [text_of_label(label) for label in labels]
    try:
        return _texts(labels, json.loads((run.path / ASKED).read_text(encoding="utf-8"))["texts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{run.path / ASKED} does not read: {error}. Align the run anew.") from None


def is_aligned(run: Run) -> bool:
    """Whether `align` wrote a run."""
    return (run.path / ASKED).is_file()


def learner(
    aligned: VideoModel, vectors: np.ndarray, settings: TrainConfig, clips: int
) -> VideoModel:
    """What is trained of an aligned model: its head, compiled to tell texts apart.

    Args:
        aligned: from `build_aligned`; the layers are shared.
        vectors: (K, 384), of the texts.
        settings: how to train.
        clips: how many learn.

    Returns:
        A model from pooled features (B, T, F) to a score from 0 to 1 for each text (B, K).
    """
    head = with_texts(head_of(aligned), vectors, "sigmoid")
    compile_model(head, settings, settings.steps(clips))  # for its optimizer
    head.compile(
        head.optimizer,
        keras.losses.BinaryCrossentropy(),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    return head


def _fit(run, config, clips, texts, cache, problems, callbacks, verbose):
    """Runs `model.fit` from the last checkpoint to the last epoch; returns the history."""
    settings = TrainConfig(**config.training)
    learnt_from(clips, config.source)
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    *_, learnt = labelled_batches(config, clips, cache, problems)
    encoder = SentenceEncoder()
    vectors = encoder.encode(_texts(config.labels, texts))
    keras.utils.set_random_seed(settings.seed)
    with strategy().scope():
        aligned = build_aligned(imagenet_words(encoder, config.model.extractor.block), config.model)
        seen, held = frozen_features(pooled_features(aligned), config, clips, cache, problems)
        whole = with_texts(aligned, vectors)
        if checkpoint:
            head = load_model(checkpoint[0])
        else:
            head = learner(aligned, vectors, settings, len(learnt))
    weights = class_weights(learnt, config.labels) if settings.class_weights else None
    batch = settings.batch_size
    head.fit(
        feature_batches(seen, batch, training=True, seed=settings.seed, behind=len(history)),
        validation_data=feature_batches(held, batch) if held else None,
        epochs=settings.epochs,
        initial_epoch=len(history),
        class_weight=weights,
        callbacks=[KeepEpochs(run, history, whole), *callbacks],
        verbose=verbose,
    )
    return history


def _texts(labels, given):
    unknown = sorted(set(given) - set(labels))
    if unknown:
        raise ValueError(
            f"align: texts must be of labels of the clips, got one of {unknown[0]!r}. The labels "
            f"are {', '.join(labels)}."
        )
    found = [given.get(label) or text_of_label(label) for label in labels]
    if len(set(found)) < len(found):
        raise ValueError("align: every label must have a text of its own, got one twice. Reword.")
    return found
