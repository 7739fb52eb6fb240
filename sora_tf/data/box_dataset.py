"""Stretches of annotated video in, batches for `model.fit` of a detector out."""

import hashlib
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf.data.augment import Augment
from sora_tf.data.boxes import NOTHING, UNSEEN, Annotated
from sora_tf.data.cache import ClipCache, clip_key
from sora_tf.data.clip import pad
from sora_tf.data.index import Clip
from sora_tf.data.problems import Problems
from sora_tf.data.stretches import Stretch, frames_numbered, stretches
from sora_tf.video import VideoError, VideoFrames

LEAST_LEFT = 0.4  # of a box inside a cut picture, for it to count as being there


def box_dataset(
    clips: Sequence[Clip],
    known: Mapping[str, Annotated],
    *,
    frames: int = 3,
    step: float = 0.2,
    size: tuple[int, int] = (512, 640),
    each: int = 8,
    most: int = 50,
    batch_size: int = 2,
    training: bool = False,
    augment: Augment | None = None,
    cache: str | os.PathLike[str] | ClipCache | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    problems: Problems | None = None,
) -> tuple[tf.data.Dataset, list[Stretch]]:
    """Batches of stretches of video with their boxes.

    Yields ({"frames": (B, T, H, W, 3) uint8, "mask": (B, T) bool}, (B, T, M, 5) float32): left,
    top, width and height in pixels of the size given, and class, as `CentreLoss` takes them. What
    `augment` does to pictures it does to boxes; time it leaves alone.

    Videos are stretched to the size. All are decoded before this function returns.

    Args:
        clips: what to read.
        known: what is known of their videos (see `read_boxes`); other clips are left out.
        frames, step: as in `stretches`.
        size: height and width of a frame in pixels, (H, W).
        each: most stretches of a clip.
        most: most boxes of a frame, M; those beyond are left out, the smallest first.
        batch_size: stretches in a batch, B.
        training: shuffle, in a new order in every epoch, and augment.
        augment: changes to training pictures; None is none.
        cache: folder (or `ClipCache`) for decoded frames; None keeps them in memory.
        seed: of order and augmentation.
        progress: called with (clips done, clips in all).
        problems: collects the clips that were skipped.

    Returns:
        The batches, and the stretches in the order of their rows where it is not for training.

    Raises:
        ValueError: a number is out of its range, or there is not one stretch.
    """
    owner = "box_dataset"
    _checks.at_least(owner, "each", each, 1, "stretch", "8 is a good start.")
    _checks.at_least(owner, "batch_size", batch_size, 1, "stretch", "2 is a good start.")
    problems = Problems() if problems is None else problems
    store = cache if cache is None or isinstance(cache, ClipCache) else ClipCache(cache)
    reader = _Reader(known, frames, size, most, store)
    for done, clip in enumerate(clips, 1):
        try:
            if clip.path in known:
                reader.add(stretches(clip, known[clip.path], frames, step, each))
        except VideoError as error:
            problems.skip(clip.name, str(error))
        if progress:
            progress(done, len(clips))
    count = len(reader.stretches)
    if not count:
        raise ValueError(
            f"box_dataset: there must be one stretch of video whose boxes are known, got none of "
            f"{len(clips)} clips. Check that the boxes are of these videos and times."
        )
    epochs = itertools.count()

    def order() -> Iterator[tuple[int, np.ndarray]]:
        rng = np.random.default_rng((seed, next(epochs)))
        rows = rng.permutation(count) if training else np.arange(count)
        yield from zip(rows, rng.integers(2**31, size=(count, 2), dtype=np.int32), strict=True)

    def load(index, seed):
        kinds = [tf.uint8, tf.bool, tf.float32]
        pictures, mask, rows = tf.numpy_function(reader.load, [index], kinds)
        pictures = tf.ensure_shape(pictures, (frames, *size, 3))  # (T, H, W, 3)
        rows = tf.ensure_shape(rows, (frames, most, 5))  # (T, M, 5)
        if training and augment is not None:
            pictures = augment.apply(pictures, seed)
            if augment.crop or augment.flip:
                rows = moved(rows, augment.part(seed), size)
            if augment.turn:
                rows = turned(rows, augment.turns(seed, size), size)
        return {"frames": pictures, "mask": tf.ensure_shape(mask, (frames,))}, rows

    signature = (tf.TensorSpec((), tf.int64), tf.TensorSpec((2,), tf.int32))
    dataset = tf.data.Dataset.from_generator(order, output_signature=signature)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
    dataset = dataset.batch(batch_size).prefetch(2)
    dataset = dataset.apply(tf.data.experimental.assert_cardinality(-(-count // batch_size)))
    return dataset, list(reader.stretches)


def moved(rows: tf.Tensor, part: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Boxes on a picture of which a part was enlarged to its size, as `Augment.apply` does it.

    Args:
        rows: (T, M, 5), left, top, width, height in pixels and class.
        part: (4,), from `Augment.part`.
        size: height and width, pixels.
    Output: (T, M, 5); a box of which too little is left is `NOTHING`.
    """
    top, left, bottom, right = tf.unstack(part)
    h, w = (float(side) for side in size)

    def along(low, length, begin, end, side):
        # Pixel p has its middle at p + ½; the first pixel's middle is 0 of the side, the last's 1.
        a, b = (((x - 0.5) / (side - 1) - begin) / (end - begin) for x in (low, low + length))
        a, b = (value * (side - 1) + 0.5 for value in (a, b))
        return tf.minimum(a, b), tf.maximum(a, b)

    x1, x2 = along(rows[..., 0], rows[..., 2], left, right, w)
    y1, y2 = along(rows[..., 1], rows[..., 3], top, bottom, h)
    full = (x2 - x1) * (y2 - y1)
    x1, x2 = (tf.clip_by_value(x, 0.0, w) for x in (x1, x2))
    y1, y2 = (tf.clip_by_value(y, 0.0, h) for y in (y1, y2))
    real = rows[..., 4] >= 0
    there = tf.logical_and(real, (x2 - x1) * (y2 - y1) >= LEAST_LEFT * full)
    label = tf.where(tf.logical_and(real, tf.logical_not(there)), NOTHING, rows[..., 4])
    boxes = tf.stack([x1, y1, x2 - x1, y2 - y1], axis=-1)
    boxes = tf.where(there[..., None], boxes, tf.zeros_like(boxes))
    return tf.concat([boxes, label[..., None]], axis=-1)


def turned(rows: tf.Tensor, turns: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Boxes on a picture that was turned against the clock, as `Augment.apply` does it.

    Args:
        rows: (T, M, 5), left, top, width, height in pixels and class; `NOTHING` and `UNSEEN` stay.
        turns: () int32, quarter turns, 0 to 3; where the picture is not square, 0 or 2.
        size: height and width, pixels.
    Output: (T, M, 5).
    """
    left, top, width, height, label = tf.unstack(rows, axis=-1)
    below, beside = size[0] - top - height, size[1] - left - width
    ways = [
        (left, top, width, height),
        (top, beside, height, width),
        (beside, below, width, height),
        (below, left, height, width),
    ]
    boxes = tf.gather(tf.stack([tf.stack(way, -1) for way in ways]), turns)
    boxes = tf.where(label[..., None] >= 0, boxes, rows[..., :4])
    return tf.concat([boxes, label[..., None]], axis=-1)


class _Reader:
    """Stretches, and the decoded frames of each."""

    def __init__(self, known, frames, size, most, cache):
        self.known = known
        self.frames = frames
        self.size = size
        self.most = most
        self.cache = cache
        self.stretches: list[Stretch] = []
        self._memory: dict[str, VideoFrames] = {}

    def add(self, found: list[Stretch]) -> None:
        """Decodes the stretches of a clip in one pass, and keeps those that the video truly has."""
        if not found:
            return
        path = found[0].clip.path
        numbers = np.unique(np.concatenate([one.frames for one in found]))
        passes: list[VideoFrames] = []

        def cut(stretch: Stretch) -> VideoFrames:
            passes.extend([] if passes else [frames_numbered(path, numbers, self.size)])
            places = np.searchsorted(numbers, stretch.frames)
            places = places[places < len(passes[0].frames)]
            return VideoFrames(passes[0].frames[places], passes[0].times[places], None)

        kept = [
            one
            for one in found
            if len(self._decoded(one, partial(cut, one)).frames) == len(one.frames)
        ]
        if not kept:
            raise VideoError(
                path, "no frames", "it ends before the first frame whose boxes are known"
            )
        self.stretches += kept

    def load(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Frames (T, H, W, 3), mask (T,), boxes (T, M, 5)."""
        stretch = self.stretches[index]
        read = partial(frames_numbered, stretch.clip.path, stretch.frames, self.size)
        pictures, mask = pad(self._decoded(stretch, read).frames, self.frames)
        return pictures, mask, self._rows(stretch)

    def _rows(self, stretch):
        rows = np.zeros((self.frames, self.most, 5), np.float32)
        rows[..., 4] = UNSEEN
        known = self.known[stretch.clip.path]
        (width, height), (h, w) = stretch.size, self.size
        for place, number in enumerate(stretch.frames):
            if number not in known.frames:
                continue
            rows[place, :, 4] = NOTHING
            own = known.boxes.on(number).scaled(w / width, h / height)
            largest = np.argsort(-own.boxes[:, 2] * own.boxes[:, 3], kind="stable")[: self.most]
            rows[place, : len(largest), :4] = own.boxes[largest]
            rows[place, : len(largest), 4] = own.labels[largest]
        return rows

    def _decoded(self, stretch: Stretch, read: Callable[[], VideoFrames]) -> VideoFrames:
        """A stretch's frames, out of the cache where they are there."""
        mark = hashlib.sha256(stretch.frames.astype("<i8").tobytes()).hexdigest()[:16]
        if self.cache is None:
            key = f"{stretch.clip.path} {mark}"
            if key not in self._memory:
                self._memory[key] = read()
            return self._memory[key]
        try:
            key = f"{clip_key(stretch.clip.path, 0, self.size)[:24]}{mark}"
        except OSError:
            return read()  # says in one sentence what is wrong with the file
        return self.cache.get(key, read)
