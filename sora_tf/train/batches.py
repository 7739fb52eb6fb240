"""The clips of a run as batches to learn from; a run without one is told so."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.data import Augment, Clip, Problems, clip_dataset
from sora_tf.models.video_model import clips_at_once
from sora_tf.train.frozen import FeatureKeys, FeatureViews, features_by_clip
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
    found = _read(clips, problems)
    if not found:
        raise RunError(f"not one training clip could be read; the first: {problems.lines()[0]}")
    return found


def _read(clips, problems):
    bad = problems.names()
    return [clip for clip in clips if clip.name not in bad]


def labelled_batches(
    config: RunConfig,
    clips: Sequence[Clip],
    cache: str | os.PathLike[str],
    problems: Problems,
    behind: int = 0,
) -> tuple[tf.data.Dataset, tf.data.Dataset | None, list[Clip]]:
    """Batches of a run's clips, as its training wants them.

    Args:
        config: what the run is asked to do.
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
    varied = settings.views > 0 or not settings.frozen
    with counting("decoding clips") as update:
        training = _batches(
            config, train, cache, problems, varied=varied, behind=behind, progress=update
        )
    validation = _batches(config, held, cache, problems) if held else None
    return training, validation, readable(train, problems)


def _batches(config, clips, cache, problems, varied=False, behind=0, progress=None):
    """Batches of clips; of as many as the CNN looks at in one go where it is frozen.

    What learns from a frozen CNN has batches of its own.
    """
    settings, model = TrainConfig(**config.training), config.model
    at_once = clips_at_once(model.frames, model.size)
    return clip_dataset(
        clips,
        config.labels,
        frames=model.frames,
        size=model.size,
        batch_size=at_once if settings.frozen else settings.batch_size,
        fit=config.fit,
        cache=cache,
        problems=problems,
        training=varied,
        augment=Augment.from_dict(config.augment),
        seed=settings.seed_after(behind),
        progress=progress,
    )


def frozen_features(
    extractor: keras.Model,
    config: RunConfig,
    clips: Sequence[Clip],
    cache: str | os.PathLike[str],
    problems: Problems,
) -> tuple[list[FeatureViews], list[FeatureViews]]:
    """What a frozen CNN makes of a run's training and validation clips, made where it is missing.

    Args:
        extractor: from `pooled_features`.
        config: what the run is asked to do.
        clips: its clips, each with its split.
        cache: of the decoded clips; the features go to features/ in it.
        problems: what is known of clips that do not read, which are left out.

    Returns:
        Parts for `feature_batches`; without clips for validation, none of them.
    """
    settings = TrainConfig(**config.training)
    keys = FeatureKeys(extractor, config)
    top = Path(cache) / "features"

    def plain(chosen):
        folders = [top / keys.of_clip(clip) for clip in chosen]
        places = [config.labels.index(clip.label) for clip in chosen]
        labels = np.eye(len(config.labels), dtype=np.float32)[places]

        def batches(numbers):
            return _batches(config, [chosen[n] for n in numbers], cache, problems)

        with counting("features") as update:
            return features_by_clip(folders, labels, extractor, batches, update)

    def varied(chosen):
        def batches():
            return _batches(config, chosen, cache, problems, varied=True)

        with counting("features") as update:
            folder = top / keys.of_varied(chosen)
            return [FeatureViews(folder, extractor, batches, settings.views, update)]

    train, held = (_read(part_of(clips, name), problems) for name in ("train", "val"))
    return varied(train) if settings.views else plain(train), plain(held)
