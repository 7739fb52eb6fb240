"""Things cut out of some frames and put into others: so that what is learnt of a thing is not
learnt of the place where it was filmed.

What is put in is how a thing differs from what is around it, so that it takes on the light of where
it comes to.
Reference: Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation", CVPR 2021.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import tensorflow as tf

from sora_tf.data.boxes import NOTHING

MARGIN = 0.35  # of the longest side of a box: what is cut out around it
RING = 2  # pixels at the edge of what is cut out, which show what is around
PLAIN = 10.0  # grey levels: the most that they may differ, for a thing to be cut out
LARGEST = 0.05  # of a picture's area, that a thing may take
SMALLEST = 6.0  # pixels of a side, of a thing that is made smaller
SCALES = (-0.6, 0.4)  # of the size, logarithm
GAIN = 0.15  # of how much a thing stands out: standard deviation of the logarithm
MOTION = 6.0  # pixels from frame to frame: standard deviation
SOFT = 0.12  # of the sides, over which a thing fades into where it comes to
MOST_KEPT = 2000  # things


@dataclass(frozen=True)
class Thing:
    """A thing as it differs from what is around it.

    Args:
        pixels: (h, w, 3) float32, differences.
        box: (4,), left, top, width and height in them.
        label: its class.
    """

    pixels: np.ndarray
    box: np.ndarray
    label: int


@dataclass(frozen=True)
class Things:
    """What is put into stretches of frames.

    Args:
        found: by class; no class is empty.
        most: things put into a stretch, up to.
        flip: whether half of them are mirrored.
    """

    found: tuple[tuple[Thing, ...], ...]
    most: int = 2
    flip: bool = True

    @cached_property
    def digest(self) -> str:
        """What tells these things from others."""
        digest = hashlib.sha256(repr((self.most, self.flip)).encode())
        for own in self.found:
            for thing in own:
                digest.update(thing.pixels.tobytes())
        return digest.hexdigest()

    def put_into(
        self, pictures: np.ndarray, rows: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Puts some things beside what is there; they move steadily.

        They are of the classes that are there, each as likely as another, for a place says
        something of what is found in it; of any class where nothing is there.

        Args:
            pictures: (T, H, W, 3) uint8.
            rows: (T, M, 5) float32, as `box_dataset` gives them.
            rng: source of all that is drawn.

        Returns:
            The same with more in them; what was given stays as it was.
        """
        pictures, rows = pictures.copy(), rows.copy()
        alike = [own for own in self.found if (rows[..., 4] == own[0].label).any()] or self.found
        for _ in range(rng.integers(self.most + 1) if alike else 0):
            own = alike[rng.integers(len(alike))]
            self._put(own[rng.integers(len(own))], pictures, rows, rng)
        return pictures, rows

    def _put(self, thing, pictures, rows, rng):
        pixels, box = self._varied(thing, rng)
        (h, w), (height, width) = pixels.shape[:2], pictures.shape[1:3]
        if h >= height or w >= width:
            return
        first = rng.uniform(0, [width - w, height - h])
        steps = np.arange(len(pictures))[:, None] * rng.normal(0, MOTION, 2)
        places = np.clip(first + steps, 0, [width - w, height - h]).astype(int)
        boxes = np.concatenate([places + box[:2], np.tile(box[2:], (len(places), 1))], axis=-1)
        if (touching(boxes[:, None], rows[..., :4]) & (rows[..., 4] >= 0)).any():
            return
        for picture, row, (x, y), put in zip(pictures, rows, places, boxes, strict=True):
            part = picture[y : y + h, x : x + w]
            part[:] = np.clip(part + pixels, 0, 255).round()
            free = np.flatnonzero(row[:, 4] == NOTHING)
            if len(free):
                row[free[0]] = [*put, thing.label]

    def _varied(self, thing, rng):
        """A thing of another size, that stands out otherwise, and fades at its edges."""
        pixels, box = thing.pixels, thing.box.astype(np.float64)
        if self.flip and rng.random() < 0.5:
            pixels = pixels[:, ::-1]
            box[0] = pixels.shape[1] - box[0] - box[2]
        scale = max(np.exp(rng.uniform(*SCALES)), min(1.0, SMALLEST / box[2:].min()))
        size = np.maximum(1, np.round(np.multiply(pixels.shape[:2], scale))).astype(int)
        box *= np.tile(size[::-1] / pixels.shape[1::-1], 2)
        pixels = tf.image.resize(pixels, size, antialias=True).numpy()
        edges = [np.minimum(np.arange(n) + 1, n - np.arange(n)) / (SOFT * n + 1) for n in size]
        fade = np.minimum(np.minimum(edges[0][:, None], edges[1]), 1.0)
        return pixels * (fade * np.exp(rng.normal(0, GAIN)))[..., None], box


def touching(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Whether boxes (..., 4) have anything in common."""
    low = np.maximum(one[..., :2], other[..., :2])
    high = np.minimum(one[..., :2] + one[..., 2:], other[..., :2] + other[..., 2:])
    return (high > low).all(axis=-1)


def things_in(frames: Iterable[tuple[np.ndarray, np.ndarray]], most: int, flip: bool) -> Things:
    """Cuts out the things that stand before something plain.

    Args:
        frames: pictures (H, W, 3) uint8 and their rows (M, 5), as `box_dataset` gives them.
        most, flip: as in `Things`.
    """
    found: dict[int, list[Thing]] = {}
    count = 0
    for picture, rows in frames:
        for row in rows[rows[:, 4] >= 0]:
            thing = _cut(picture, row)
            if thing is not None and count < MOST_KEPT:
                found.setdefault(thing.label, []).append(thing)
                count += 1
    return Things(tuple(tuple(own) for _, own in sorted(found.items())), most, flip)


def _cut(picture, row):
    """The thing of a row; None where it is large, at the edge, or before something that varies."""
    height, width = picture.shape[:2]
    x, y, w, h = row[:4]
    margin = max(RING + 1, MARGIN * max(w, h))
    left, top = np.round([x - margin, y - margin]).astype(int)
    right, bottom = np.round([x + w + margin, y + h + margin]).astype(int)
    if left < 0 or top < 0 or right > width or bottom > height or w * h > LARGEST * width * height:
        return None
    part = picture[top:bottom, left:right].astype(np.float32)
    inner = np.zeros(part.shape[:2], bool)
    inner[RING:-RING, RING:-RING] = True
    ring = part[~inner]
    if ring.std(axis=0).mean() > PLAIN:
        return None
    return Thing(
        part - ring.mean(axis=0), np.array([x - left, y - top, w, h], np.float32), int(row[4])
    )
