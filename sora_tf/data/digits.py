"""Moving digits: small clips whose label is the motion alone, made offline.

A digit walks round a closed horizontal loop of P places, as many as there are frames where not
said otherwise, by ±1 or ±3 places a frame. A step coprime with P visits every place once in P
frames, so with the same digit, row and first place all four labels give the very same set of
frames, in another order. A model that does not see order is right one time in four, whatever its
size.
"""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sora_tf import _checks
from sora_tf.data.index import Clip, write_index

STEPS = {"left": -1, "left-fast": -3, "right": 1, "right-fast": 3}  # places a frame; sorted
COUNTS = {"train": 400, "val": 100, "test": 200}
POOLS = {"train": (0.0, 0.6), "val": (0.6, 0.8), "test": (0.8, 1.0)}  # shares of the images


def make_digits(
    count: int,
    frames: int = 8,
    size: int = 28,
    images: np.ndarray | None = None,
    seed: int = 0,
    *,
    places: int | None = None,
    background: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Makes clips of one handwritten digit going round from edge to edge.

    The labels take turns, so they are as even as `count` allows. Digit, row, first place, size
    and brightness are drawn at random for each clip and stay the same through it.

    Args:
        count: clips to make, B.
        frames: frames a clip, T; a whole number of laps.
        size: side of the square picture, S, in pixels; at least 12.
        images: (N, h, w) uint8, the digits (bright on black); scikit-learn's 1,797 when None.
        seed: the same seed gives the same clips.
        places: places in a lap, P; None is T. 5 or more (of 4, 3 right is 1 left) and coprime
            with 3.
        background: brightness of a fixed random texture behind the digit, 0 (black) to 1.
    Returns:
        clips (B, T, S, S, 3) uint8; labels (B,) int64; the names of the labels.
    Raises:
        ValueError: a number out of its range, a loop that does not close, or other images.
    """
    _checks.at_least("make_digits", "count", count, 1, "clips", "Ask for one or more.")
    scene = _Scene(frames, frames if places is None else places, size, background)
    pool = _images(images)
    clips = np.empty((count, frames, size, size, 3), np.uint8)
    labels = np.arange(count) % len(STEPS)
    for number, label in enumerate(labels):
        rng = np.random.default_rng((seed, number))
        clips[number] = scene.draw(pool, list(STEPS.values())[label], rng)
    return clips, labels, tuple(STEPS)


def write_digits(
    folder: str | os.PathLike[str],
    counts: Mapping[str, int] = COUNTS,
    frames: int = 8,
    size: int = 28,
    seed: int = 0,
    fps: float = 8.0,
    *,
    images: np.ndarray | None = None,
    places: int | None = None,
    background: float = 0.0,
    progress: Callable[[int, int], None] | None = None,
) -> list[Clip]:
    """Writes moving digits as `folder/CLASS/SPLIT-xxxxx.mp4` and `folder/index.csv`.

    The files are lossless and of the size given: an encoder that spends its bits unevenly would
    mark the first frame, and with it the order. Each split takes its digits from images of its
    own: the first 60 % train, the next 20 % validate, the last 20 % test. The index is written
    last, so where it is the set is whole.

    Args:
        folder: made where it is missing; files of the same name are replaced.
        counts: clips for each of "train", "val", "test".
        frames, size, seed, images, places, background: as in `make_digits`.
        fps: frames per second of the files.
        progress: called with (clips written, clips in all) after each file.
    Returns: the clips, as `read_index(folder / "index.csv")` gives them.
    Raises:
        ValueError: as `make_digits`, or a split of another name.
    """
    from sora_tf.video import write

    scene = _Scene(frames, frames if places is None else places, size, background)
    for name in counts:
        _checks.one_of("write_digits", "split", name, POOLS)
    root = Path(os.path.abspath(folder))
    pool = _images(images)
    done, total = 0, sum(counts.values())
    clips = []
    for part, count in counts.items():
        low, high = (round(share * len(pool)) for share in POOLS[part])
        for number in range(count):
            rng = np.random.default_rng((seed, list(POOLS).index(part), number))
            label = list(STEPS)[number % len(STEPS)]
            pixels = scene.draw(pool[low:high], STEPS[label], rng)
            path = root / label / f"{part}-{number:05d}.mp4"
            path.parent.mkdir(parents=True, exist_ok=True)
            write(path, pixels, fps, quality=0)
            clips.append(Clip(str(path), label, split=part))
            done += 1
            if progress:
                progress(done, total)
    write_index(clips, root / "index.csv")
    return clips


@dataclass(frozen=True)
class _Scene:
    """What all clips of a set share."""

    frames: int
    places: int
    size: int
    background: float

    def __post_init__(self) -> None:
        owner, places = "make_digits", self.places
        _checks.at_least(owner, "size", self.size, 12, "pixels", "Use 28, as MNIST does.")
        _checks.between(owner, "background", self.background, 0.0, 1.0, "Use 0 for black.")
        _checks.at_least(owner, "places", places, 5, "", "Of 4, 3 right is 1 left.")
        for step in STEPS.values():
            if math.gcd(step, places) != 1:
                raise ValueError(
                    f"{owner}: places (the frames where not given) must share no factor with the "
                    f"step {step}, so that each is visited, got {places}. Use {places - 1} or "
                    f"{places + 1}."
                )
        if self.frames < 1 or self.frames % places:
            raise ValueError(
                f"{owner}: frames must be whole laps of {places} places, got {self.frames}. "
                f"Use {max(1, self.frames // places) * places}."
            )

    def draw(self, pool: np.ndarray, step: int, rng: np.random.Generator) -> np.ndarray:
        """One clip (T, S, S, 3) uint8; takes the same numbers from `rng` whatever the step."""
        size = self.size
        height = round(size * rng.uniform(0.5, 0.65))
        digit = _resize(pool[rng.integers(len(pool))].astype(np.float32), height)
        digit *= rng.uniform(0.7, 1.0)
        row = rng.integers(size - height + 1)
        phase = rng.integers(self.places)
        texture = rng.uniform(0, 255 * self.background, (size, size)).astype(np.float32)
        canvas = np.zeros((size, size), np.float32)
        canvas[row : row + height, :height] = digit
        places = (phase + step * np.arange(self.frames)) % self.places
        shifts = np.round(places * size / self.places).astype(int)  # pixels
        moved = [np.maximum(np.roll(canvas, shift, axis=1), texture) for shift in shifts]
        return np.repeat(np.stack(moved).round().astype(np.uint8)[..., None], 3, axis=-1)


def _images(images: np.ndarray | None) -> np.ndarray:
    if images is None:
        from sklearn.datasets import load_digits

        return (load_digits().images * (255 / 16)).round().astype(np.uint8)
    if images.ndim != 3 or images.dtype != np.uint8 or not images.size:
        raise ValueError(
            f"make_digits: images must be (N, h, w) uint8, got {images.shape} {images.dtype}. "
            "Convert them; scikit-learn's digits are used when none are given."
        )
    return images


def _resize(image: np.ndarray, side: int) -> np.ndarray:
    """(h, w) → (side, side), linear between the centres of pixels."""

    def weights(length: int) -> np.ndarray:
        at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1)
        distance = np.abs(at[:, None] - np.arange(length)[None])
        return np.maximum(1 - distance, 0).astype(np.float32)

    return weights(image.shape[0]) @ image @ weights(image.shape[1]).T
