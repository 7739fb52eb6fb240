"""From a folder of videos and a file of boxes to a finished run of a detector."""

import hashlib
import logging
import os
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import CELLS, DetectorConfig
from sora_tf.data import Augment, Clip, Problems, read_index, split, write_index
from sora_tf.data.box_dataset import Stretch, box_dataset
from sora_tf.data.box_files import read_boxes
from sora_tf.data.boxes import Annotated
from sora_tf.data.cache import clip_key
from sora_tf.data.index import SUFFIXES, is_url
from sora_tf.data.splits import FRACTIONS
from sora_tf.models.backbones import LITE
from sora_tf.models.detector import acquaint, build_detector, head_of_detector, scale_maps
from sora_tf.models.refiner import build_refiner
from sora_tf.models.video_model import clips_at_once
from sora_tf.train.batches import learnt_from, part_of
from sora_tf.train.centre_loss import CentreLoss
from sora_tf.train.detector_run import DetectorRun, DetectorRunConfig
from sora_tf.train.evaluate_detector import evaluate_detector
from sora_tf.train.fit import compile_model, precision, strategy, write_learnt
from sora_tf.train.frozen import FeatureViews, feature_batches
from sora_tf.train.keep import KeepEpochs
from sora_tf.train.refiner import train_refiner
from sora_tf.train.run import RunError, load_model, versions
from sora_tf.train.settings import TrainConfig
from sora_tf.train.unlabelled import read_unlabelled
from sora_tf.video import VideoError, probe

LOG = logging.getLogger(__name__)
EACH = 8  # stretches of a clip, where nothing else is asked for
AUGMENT = Augment(speed=0.0)
MOST_LOOKED = 100  # batches, for the spread of what is seen in whole pictures
MOST_PIXELS = 512 * 640  # of a frame, where no size is asked for


def usual_detector_training(config: DetectorConfig) -> TrainConfig:
    """How a detector is trained where nothing else is asked for.

    EfficientNet-Lite keeps ImageNet's weights, for most sets of boxes are small; two variations
    of every stretch are looked at.
    """
    lite = config.extractor.block in LITE
    return TrainConfig(
        epochs=15,
        batch_size=2,
        learning_rate=2e-3,
        weights="imagenet" if lite else None,
        frozen=lite,
        views=2 if lite else 0,
    )


def train_detector(
    source: str | os.PathLike[str],
    boxes: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    model: DetectorConfig | None = None,
    each: int = EACH,
    training: TrainConfig | None = None,
    augment: Augment | None = None,
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> DetectorRun:
    """Trains a detector on videos whose boxes are known, and writes a run folder.

    Started again on a folder whose run was interrupted, it goes on after the last whole epoch.

    Args:
        source: a video, a folder of videos at any depth, or a table with the column `path` and,
            where wanted, `label`, `start`, `end`, `split` and `group`. Fewer than three videos
            without a split are cut in time: the first 70 % train, the last 15 % test. Where every
            row has a split, it is kept, and may differ between parts of one video.
        boxes: their boxes, as `read_boxes` takes them.
        out: the run folder.
        model: what to build; None is `DetectorConfig()` with the size of the videos.
        each: most stretches of a clip.
        training: how to train; None is what `usual_detector_training` says.
        augment: how training pictures are varied; None is the usual without "speed".
        cache: folder for decoded frames and for features, to share between runs; None keeps them
            in the run until it is finished.
        callbacks: more Keras callbacks.
        verbose: as in `model.fit`.

    Returns:
        The run, evaluated on its test split (on "val" where there is no "test").

    Raises:
        RunError: the folder holds a run of something else, or no clip can be read.
        ValueError: videos and boxes do not fit, or the model cannot be built.
        FileNotFoundError: there are no such videos or boxes.
    """
    run = DetectorRun(out)
    if run.finished or run.checkpoint():
        known, _ = read_boxes(boxes, _resume(run, source, boxes, model))
    else:
        clips = _divided(list_videos(source), (training or TrainConfig()).seed)
        known, labels = read_boxes(boxes, clips)
        _begin(run, source, boxes, clips, labels, model, each, training, augment)
    if run.finished:
        LOG.info("the run in %s is finished; give another --out to train again", run.path)
    complete_detector(run, known, cache=cache, callbacks=callbacks, verbose=verbose)
    return run


def complete_detector(
    run: DetectorRun,
    known: Mapping[str, Annotated],
    *,
    first: Callable[[], keras.Model] | None = None,
    cache: str | os.PathLike[str] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    verbose: int | str = "auto",
) -> None:
    """Trains a run that was begun from its last checkpoint to the end, unless it is finished.

    Args:
        run: the run.
        known: what is known of its videos (`read_boxes`).
        first: gives the detector to begin with; None builds what the run's config says.
        cache, callbacks, verbose: as in `train_detector`.

    Raises:
        RunError: no clip can be read, or the training runs away.
    """
    if not run.finished:
        config, clips = run.read_config(), read_index(run.path / "split.csv")
        kept = Path(cache or run.path / "cache")
        problems = Problems()
        history = _fit(run, config, clips, known, kept, problems, callbacks, verbose, first)
        if config.model.refine and not run.refined:
            train_refiner(
                run, config, clips, known,
                cache=kept, problems=problems, callbacks=callbacks, verbose=verbose,
            )  # fmt: skip
        write_learnt(run, history)
        part = "test" if part_of(clips, "test") else "val"
        evaluate_detector(run, part=part, problems=problems)
    if cache is None:
        shutil.rmtree(run.path / "cache", ignore_errors=True)


def list_videos(source: str | os.PathLike[str]) -> list[Clip]:
    """The clips of a video, of a folder or of a table; a folder's name is its videos' label.

    Raises:
        FileNotFoundError, ValueError: as `read_index`.
    """
    path = Path(source)
    if is_url(str(source)) or path.suffix.lower() in SUFFIXES:
        if not is_url(str(source)) and not path.is_file():
            raise FileNotFoundError(f"train: there is no video {source}. Correct the name.")
        return [Clip(str(source) if is_url(str(source)) else os.path.abspath(path), "-")]
    clips = read_unlabelled(source)
    if path.is_dir():
        top = os.path.abspath(path)
        folders = [os.path.dirname(clip.path) for clip in clips]
        return [
            clip if folder == top else replace(clip, label=os.path.basename(folder))
            for clip, folder in zip(clips, folders, strict=True)
        ]
    try:
        return read_index(source)
    except ValueError:
        return clips  # a table without labels


def _divided(clips, seed):
    """Every clip with a split: as a table says; else by video, and few videos are cut in time."""
    if all(clip.split for clip in clips):
        return clips
    groups = {clip.group for clip in clips}
    if len(groups) >= len(FRACTIONS) or any(clip.split for clip in clips):
        return split(clips, seed=seed)
    made = []
    for clip in clips:
        start, end = clip.start or 0.0, clip.end
        try:
            end = end or probe(clip.path).duration
        except VideoError as error:
            raise RunError(str(error)) from None
        if not end:
            raise RunError(f"{clip.path} does not say how long it is. Give a table with splits.")
        at = start
        for part, share in FRACTIONS.items():
            until = at + share * (end - start)
            made.append(replace(clip, start=at, end=until, split=part))
            at = until
    return made


def _begin(run, source, boxes, clips, labels, model, each, training, augment):
    if not labels:
        raise ValueError(f"train: {boxes} must hold one box, got none. Give a file with boxes.")
    config = model or replace(DetectorConfig(), size=usual_size(part_of(clips, "train")))
    chosen = training or usual_detector_training(config)
    learnt_from(clips, source)
    build_detector(config, len(labels), chosen.weights)  # what cannot be is found before reading
    if config.refine:
        build_refiner(config, len(labels), chosen.weights)
    made = DetectorRunConfig(
        model=config,
        labels=labels,
        each=each,
        training=asdict(chosen),
        augment=(augment or AUGMENT).to_dict(),
        source=os.path.abspath(source),
        boxes=os.path.abspath(boxes),
        versions=versions(),
    )
    run.path.mkdir(parents=True, exist_ok=True)
    write_index(clips, run.path / "split.csv")
    run.write_config(made)


def _resume(run, source, boxes, model):
    config = run.read_config()
    other = (
        (config.source, os.path.abspath(source)),
        (config.boxes, os.path.abspath(boxes)),
        (config.model, model or config.model),
    )
    if any(begun != asked for begun, asked in other):
        raise RunError(
            f"{run.path} holds a run of another model, of other videos or boxes. Give another "
            "--out, or the same arguments to go on with it."
        )
    return read_index(run.path / "split.csv")


def usual_size(clips: Sequence[Clip]) -> tuple[int, int]:
    """Height and width in multiples of 32 that suit some videos, none above 512 × 640 pixels."""
    sizes = []
    for clip in clips[:20]:
        try:
            info = probe(clip.path)
        except VideoError:
            continue  # the dataset names it
        sizes.append((info.height, info.width))
    if not sizes:
        return DetectorConfig().size
    height, width = np.median(sizes, axis=0)
    scale = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
    h, w = (max(CELLS, int(side * scale / CELLS + 0.5) * CELLS) for side in (height, width))
    return h, w


def _fit(run, config, clips, known, cache, problems, callbacks, verbose, first):
    """Runs `model.fit` from the last checkpoint to the last epoch; returns the history."""
    settings, model = TrainConfig(**config.training), config.model
    checkpoint = run.checkpoint()
    history = checkpoint[1] if checkpoint else []
    behind = 0 if settings.frozen else len(history)
    at_once = clips_at_once(model.frames, model.size)
    shape: dict[str, Any] = {
        "frames": model.frames,
        "step": model.step,
        "size": model.size,
        "each": config.each,
        "most": model.most,
        "batch_size": at_once if settings.frozen else settings.batch_size,
        "cache": cache,
        "problems": problems,
    }
    with counting("decoding videos") as update:
        batches, learnt = box_dataset(
            part_of(clips, "train"),
            known,
            training=settings.views > 0 or not settings.frozen,
            augment=Augment.from_dict(config.augment),
            seed=settings.seed_after(behind),
            progress=update,
            **shape,
        )
    held = [clip for clip in part_of(clips, "val") if clip.path in known]
    validation, judged = box_dataset(held, known, **shape) if held else (None, [])
    keras.utils.set_random_seed(settings.seed)
    whole = None
    with strategy().scope(), precision(settings):
        if settings.frozen:
            whole = build_detector(model, len(config.labels), settings.weights)
            features = partial(_features, scale_maps(whole), config, cache, known, shape)
            kept = features(learnt, settings.views)
            plain = feature_batches(kept, settings.batch_size)
            batches = feature_batches(
                kept, settings.batch_size, training=True, seed=settings.seed, behind=len(history)
            )
            if judged:
                validation = feature_batches(features(judged, 0), settings.batch_size)
        if checkpoint:
            network = load_model(checkpoint[0])
        else:
            if first is not None:
                network = first()
            elif whole is None:
                network = build_detector(model, len(config.labels), settings.weights)
                acquaint(network, _contexts(batches.map(_first_half(network)).take(MOST_LOOKED)))
            else:
                network = head_of_detector(whole)
                acquaint(network, _contexts(plain))
            compile_model(network, settings, settings.steps(len(learnt)))  # for its optimizer
            network.compile(network.optimizer, CentreLoss(model.stride), jit_compile=settings.xla)
    network.fit(
        batches,
        validation_data=validation,
        epochs=settings.epochs,
        initial_epoch=len(history),
        callbacks=[KeepEpochs(run, history, whole), *callbacks],
        verbose=verbose,
    )
    return history


def _first_half(network):
    maps = scale_maps(network)
    return lambda clip, rows: (maps(clip, training=False), rows)


def _contexts(batches):
    """What is seen in whole pictures, (N, F)."""
    found = []
    for maps, _ in batches:
        last = max(name for name in maps if name.startswith("map"))
        found.append(maps[last].numpy().reshape(-1, maps[last].shape[-1]))
    return np.concatenate(found)


def _features(maps, config, cache, known, shape, found, views) -> list[FeatureViews]:
    """What the frozen CNN makes of stretches, made where it is missing, clip by clip.

    Each clip's are kept by themselves, so that they serve whatever split the clip is in, and
    whichever clips are added.
    """
    settings = TrainConfig(**config.training)
    digest = hashlib.sha256(repr((config.model.extractor, config.model.stride)).encode())
    for weight in maps.get_weights():
        digest.update(weight.tobytes())
    labels = (config.model.size, config.model.most, config.labels, config.boxes)
    digest.update(repr((labels, Path(config.boxes).stat().st_mtime_ns)).encode())
    if views:
        digest.update(f"{config.augment} {settings.seed}".encode())

    def batches_of(clip):
        return box_dataset(
            [clip],
            known,
            training=views > 0,
            augment=Augment.from_dict(config.augment),
            seed=settings.seed + zlib.crc32(clip.name.encode()),  # clips vary apart
            **shape,
        )[0]

    clips: dict[Clip, list[Stretch]] = {}
    for stretch in found:
        clips.setdefault(stretch.clip, []).append(stretch)
    made = []
    with counting("features") as update:
        for done, (clip, own) in enumerate(clips.items(), 1):
            name = digest.copy()
            key = clip_key(clip.path, 0, config.model.size)
            name.update(f"{key} {clip.name} {[one.frames.tolist() for one in own]}".encode())
            folder = cache / "maps" / name.hexdigest()[:40]
            made.append(FeatureViews(folder, maps, partial(batches_of, clip), max(1, views)))
            update(done, len(clips))
    return made
