"""The clips of accuracy.py, and how each seed deals them into five parts."""

import functools
import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from _folds import PARTS

from sora_tf._progress import counting
from sora_tf.config import micro
from sora_tf.data import Clip, folds, labels_of, read_index, write_digits

DIGITS = 400  # clips a part


@dataclass(frozen=True)
class Clips:
    """What is classified.

    Args:
        labels: class names.
        deal: (seed) to the five parts.
        cache: folder for decoded clips and features.
    """

    labels: tuple[str, ...]
    deal: Callable[[int], list[list[Clip]]]
    cache: Path


def contiguous(clips: list[Clip], seed: int) -> list[list[Clip]]:
    """Parts of neighbouring numbers within each class, for neighbours share footage."""
    parts: list[list[Clip]] = [[] for _ in range(PARTS)]
    for label in labels_of(clips):
        own = sorted((clip for clip in clips if clip.label == label), key=lambda clip: clip.path)
        start = seed * len(own) // (3 * PARTS)  # the borders move with the seed
        own = own[start:] + own[:start]
        for number, clip in enumerate(own):
            parts[number * PARTS // len(own)].append(clip)
    return parts


def mnist(folder: Path) -> np.ndarray:
    """All 70,000 digits (N, 28, 28) uint8; a file has a header of 16 bytes."""
    names = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")
    read = [gzip.decompress((folder / name).read_bytes())[16:] for name in names]
    return np.frombuffer(b"".join(read), np.uint8).reshape(-1, 28, 28)


def digits(source: Path, out: Path, seed: int) -> list[list[Clip]]:
    """Parts of moving digits, each from every fifth image."""
    images, config, parts = mnist(source), micro(), []
    for number in range(PARTS):
        folder = out / f"seed{seed}" / f"part{number}"
        if not (folder / "index.csv").exists():
            own, counts = images[number::PARTS], {"train": DIGITS}
            with counting(f"seed {seed}, part {number}") as update:
                write_digits(
                    folder,
                    counts,
                    config.frames,
                    config.size[0],
                    PARTS * seed + number,  # rows and places of its own as well
                    images=own,
                    progress=update,
                )
        parts.append(read_index(folder / "index.csv"))
    return parts


def clips_of(what: str, source: Path, out: Path) -> Clips:
    """The clips that were asked for and how they are dealt."""
    if what == "digits":
        deal = functools.cache(functools.partial(digits, source, out / "clips"))
        return Clips(labels_of(deal(3)[0]), deal, out / "cache")
    clips = read_index(source)
    dealt = contiguous if what == "drone" else lambda clips, seed: folds(clips, PARTS, seed)
    return Clips(labels_of(clips), functools.partial(dealt, clips), out / "cache")
