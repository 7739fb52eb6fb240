"""The clips of a run as batches to learn from; a run without one is told so."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.data import Augment, Clip, Problems, clip_dataset
from sora_tf.models.video_model import clips_at_once
from sora_tf.train.frozen import FeatureViews, features_key
from sora_tf.train.run import RunConfig, RunError
from sora_tf.train.settings import TrainConfig


def part_of(clips: Sequence[Clip], name: str) -> list[Clip]:
    """The clips of a split."""
    return [clip for clip in clips if clip.split == name]


def learnt_from(clips: Sequence[Clip], source: str) -> list[Clip]:
    """The clips of the split "train".

    Raises:
        RunError: there are none.
    """
    found = part_of(clips, "train")
    if not found:
        raise RunError(f"no clip of {source} is in the split 'train'. Correct the table.")
    return found


def readable(clips: Sequence[Clip], problems: Problems) -> list[Clip]:
    """Training clips without those that did not read.

    Raises:
        RunError: none is left.
    """
    bad = problems.names()
    found = [clip for clip in clips if clip.name not in bad]
    if not found:
        raise RunError(f"not one training clip could be read; the first: {problems.lines()[0]}")
    return found


def labelled_batches(
    config: RunConfig,
    clips: Sequence[Clip],
    cache: str | os.PathLike[str],
    problems: Problems,
    behind: int = 0,
) -> tuple[tf.data.Dataset, tf.data.Dataset | None, list[Clip]]:
    """Batches of a run's clips, as its training wants them.

    Args:
        config: what the run is asked to do. Where its CNN is frozen, batches are of as many clips
            as it looks at in one go, for what learns has batches of its own.
        clips: its clips, each with its split.
        cache: folder for decoded clips.
        problems: collects the clips that cannot be read.
        behind: epochs already trained; those to come draw other variations.

    Returns:
        Batches of training clips; of validation clips, None where there are none; and the
        training clips that read.

    Raises:
        RunError: not one training clip can be read.
    """
    settings = TrainConfig(**config.training)
    train, held = part_of(clips, "train"), part_of(clips, "val")
    at_once = clips_at_once(config.model.frames, config.model.size)
    shape: dict[str, Any] = {
        "frames": config.model.frames,
        "size": config.model.size,
        "batch_size": at_once if settings.frozen else settings.batch_size,
        "fit": config.fit,
        "cache": cache,
        "problems": problems,
    }
    with counting("decoding clips") as update:
        training = clip_dataset(
            train,
            config.labels,
            training=settings.views > 0 or not settings.frozen,
            augment=Augment.from_dict(config.augment),
            seed=settings.seed_after(behind),
            progress=update,
            **shape,
        )
    validation = clip_dataset(held, config.labels, **shape) if held else None
    return training, validation, readable(train, problems)


def feature_views(
    extractor: keras.Model,
    config: RunConfig,
    cache: str | os.PathLike[str],
    batches: tuple[tf.data.Dataset, tf.data.Dataset | None],
    clips: tuple[Sequence[Clip], Sequence[Clip]],
) -> tuple[FeatureViews, FeatureViews | None]:
    """What a frozen CNN makes of a run's training and validation clips, made where it is missing.

    Args:
        extractor: from `pooled_features`.
        config: what the run is asked to do.
        cache: the features go to features/ in it.
        batches: of training and of validation clips, from `labelled_batches`.
        clips: the clips in them.
    """
    settings = TrainConfig(**config.training)

    def kept(dataset, of, views):
        folder = Path(cache) / "features" / features_key(extractor, of, config, views > 0)
        with counting("features") as update:
            return FeatureViews(folder, extractor, lambda: dataset, max(1, views), update)

    training, validation = batches
    return (
        kept(training, clips[0], settings.views),
        None if validation is None else kept(validation, clips[1], 0),
    )
