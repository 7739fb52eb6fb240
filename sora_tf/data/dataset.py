"""Clips in, batches for `model.fit` out."""

import itertools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf.data.augment import Augment, mixup
from sora_tf.data.cache import ClipCache
from sora_tf.data.clip import decode, is_cached, pad
from sora_tf.data.index import Clip
from sora_tf.data.problems import Problems
from sora_tf.video import VideoError, VideoFrames


def clip_dataset(
    clips: Sequence[Clip],
    labels: Sequence[str],
    *,
    frames: int = 16,
    size: tuple[int, int] = (112, 112),
    batch_size: int = 8,
    training: bool = False,
    augment: Augment | None = None,
    cache: str | os.PathLike[str] | ClipCache | None = None,
    seed: int = 0,
    oversample: int = 2,
    workers: int | None = None,
    fit: str = "stretch",
    progress: Callable[[int, int], None] | None = None,
    problems: Problems | None = None,
) -> tf.data.Dataset:
    """Batches of clips with their labels.

    Yields ({"frames": (B, T, H, W, 3) uint8, "mask": (B, T) bool}, (B, classes) float32 one-hot),
    the last batch with the clips that are left. `mask` is False where a short clip is padded.

    For evaluation the clips come in the order given and each is what `load_clip` gives. For
    training the order is new in every epoch; of `oversample`·T frames evenly spread, T are drawn,
    one of each segment, and `augment` changes them. The same seed gives the same batches, epoch
    by epoch, whatever the number of workers.

    A clip that cannot be read is left out, named in the log once, and noted in `problems`. With a
    cache all clips are decoded before this function returns, and the number of batches is known.

    Args:
        clips: what to read.
        labels: class names, in the order of the one-hot vector (see `labels_of`).
        frames: frames of a clip, T.
        size: height and width of a frame in pixels, (H, W).
        batch_size: clips in a batch, B.
        training: whether to shuffle, draw frames and augment.
        augment: changes to training clips; None draws the frames and changes nothing else.
        cache: folder (or `ClipCache`) for decoded clips; None decodes in every epoch.
        seed: of order, frames and augmentation.
        oversample: for training, frames decoded for each frame used.
        workers: clips read at the same time; None leaves it to tf.data.
        fit: how a picture fills the size: "stretch", "cover" or "contain".
        progress: called with (clips done, clips in all) while the cache is filled.
        problems: collects the clips that were skipped.
    Raises:
        ValueError: no clips, a label that is not in `labels`, or a number out of its range.
    """
    owner = "clip_dataset"
    _checks.at_least(owner, "frames", frames, 1, "frame", "16 is usual.")
    _checks.at_least(owner, "batch_size", batch_size, 1, "clip", "8 is a good start.")
    _checks.at_least(owner, "oversample", oversample, 1, "", "2 is a good start.")
    if workers is not None:
        _checks.at_least(owner, "workers", workers, 1, "", "None leaves it to tf.data.")
    numbers = label_numbers(owner, clips, labels)
    if not training:
        augment = None
    elif augment is None:
        augment = replace(Augment.none(), time_jitter=1.0)
    loader = _Loader(
        clips=clips,
        frames=frames,
        size=size,
        count=frames * oversample if training else frames,
        fit=fit,
        augment=augment,
        cache=cache if cache is None or isinstance(cache, ClipCache) else ClipCache(cache),
        problems=Problems() if problems is None else problems,
    )
    loader.fill_cache(workers, progress)

    def load(index: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kinds = [tf.uint8, tf.bool, tf.bool]
        pictures, mask, read = tf.numpy_function(loader.load, [index, seed], kinds)
        pictures = tf.ensure_shape(pictures, (frames, *size, 3))  # (T, H, W, 3)
        mask = tf.ensure_shape(mask, (frames,))  # (T,)
        return pictures, mask, tf.one_hot(tf.gather(numbers, index), len(labels)), seed, read

    def change(pictures, mask, label, seed, read):
        if augment is not None:
            pictures = augment.apply(pictures, seed)
        return pictures, mask, label, seed

    def finish(pictures, mask, label, seed):
        if augment is not None and augment.mixup:
            seed = tf.bitwise.invert(seed[0])  # not the numbers that the first clip has used
            pictures, mask, label = mixup(pictures, mask, label, augment.mixup, seed)
        return {"frames": pictures, "mask": mask}, label

    parallel = workers or tf.data.AUTOTUNE
    signature = (tf.TensorSpec((), tf.int64), tf.TensorSpec((2,), tf.int32))
    order = EpochOrder(clips, loader.problems, seed, shuffle=training)
    dataset = tf.data.Dataset.from_generator(order, output_signature=signature)
    dataset = dataset.map(load, num_parallel_calls=parallel)
    dataset = dataset.filter(lambda pictures, mask, label, seed, read: read)
    dataset = dataset.map(change, num_parallel_calls=parallel).batch(batch_size).map(finish)
    readable = len(order.readable())
    if loader.cache is not None and readable:
        batches = math.ceil(readable / batch_size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(batches))
    options = tf.data.Options()
    options.deterministic = True
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


@dataclass
class _Loader:
    """Reads clip number `index` and chooses its frames."""

    clips: Sequence[Clip]
    frames: int
    size: tuple[int, int]
    count: int
    fit: str
    augment: Augment | None
    cache: ClipCache | None
    problems: Problems
    filled: bool = field(default=False, init=False)

    def decode(self, index: int) -> VideoFrames | None:
        """The candidate frames; None where the clip cannot be read."""
        clip = self.clips[index]
        try:
            video = decode(**self._what(clip), cache=self.cache)
        except VideoError as error:
            if self.filled:
                raise  # the number of batches has been promised
            self.problems.skip(clip.name, str(error))
            return None
        if video.damage:
            self.problems.damage(clip.name, video.damage)
        return video

    def load(self, index: int, seed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.bool_]:
        """Frames (T, H, W, 3), mask (T,), and whether the clip was read."""
        video = self.decode(index)
        if video is None:
            blank = np.zeros((self.frames, *self.size, 3), np.uint8)
            return blank, np.zeros(self.frames, bool), np.False_
        chosen = video.frames
        if self.augment is not None:
            places = self.augment.choose(len(chosen), self.frames, np.random.default_rng(seed))
            chosen = chosen[places]
        return *pad(chosen, self.frames), np.True_

    def fill_cache(self, workers: int | None, progress: Callable[[int, int], None] | None) -> None:
        """Decodes every clip that the cache does not hold; does nothing without a cache."""
        if self.cache is None:
            return
        fill = partial(self._fill, cache=self.cache)
        with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
            for done, _ in enumerate(pool.map(fill, range(len(self.clips))), 1):
                if progress:
                    progress(done, len(self.clips))
        self.filled = True

    def _fill(self, index: int, cache: ClipCache) -> None:
        if not is_cached(**self._what(self.clips[index]), cache=cache):
            self.decode(index)

    def _what(self, clip: Clip) -> dict[str, Any]:
        what = {"path": clip.path, "start": clip.start, "end": clip.end}
        return what | {"count": self.count, "size": self.size, "fit": self.fit}


@dataclass
class EpochOrder:
    """The clips of an epoch, each with a seed of its own; every call is the next epoch.

    Args:
        clips: all of them; one that `problems` knows to be unreadable is left out.
        problems: as in `clip_dataset`.
        seed: of the order and of the clips' seeds.
        shuffle: whether every epoch has an order of its own.
    """

    clips: Sequence[Clip]
    problems: Problems
    seed: int
    shuffle: bool
    epochs: Iterator[int] = field(default_factory=itertools.count, init=False)

    def __call__(self) -> Iterator[tuple[int, np.ndarray]]:
        """(number of a clip, its seed (2,) int32), in the next epoch's order."""
        rng = np.random.default_rng((self.seed, next(self.epochs)))
        count = len(self.clips)
        order = rng.permutation(count) if self.shuffle else np.arange(count)
        seeds = rng.integers(2**31, size=(count, 2), dtype=np.int32)
        readable = self.readable()
        for index in order:
            if index in readable:
                yield index, seeds[index]

    def readable(self) -> set[int]:
        """The numbers of the clips not known to be unreadable."""
        bad = self.problems.names()
        return {i for i, clip in enumerate(self.clips) if clip.name not in bad}


def label_numbers(owner: str, clips: Sequence[Clip], labels: Sequence[str]) -> tf.Tensor:
    """The place of each clip's label in `labels`, (clips,) int64; errors name `owner`."""
    if not clips:
        raise ValueError(f"{owner}: clips must not be empty, got none. Give one or more.")
    if len(set(labels)) != len(labels):
        raise ValueError(
            f"{owner}: labels must differ from one another, got {', '.join(labels)}. "
            "Use labels_of(clips)."
        )
    for clip in clips:
        _checks.one_of(owner, f"the label of {clip.name}", clip.label, labels)
    place = {label: number for number, label in enumerate(labels)}
    return tf.constant([place[clip.label] for clip in clips], tf.int64)
