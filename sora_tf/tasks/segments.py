"""Segments of a film of any length, by kernel temporal segmentation of its features."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from sora_tf.config import lite
from sora_tf.models.sora import build_sora
from sora_tf.tasks.kts import segment
from sora_tf.tasks.parts import Pace, film_parts
from sora_tf.tasks.running import FEATURES, Running, running
from sora_tf.video import probe

BLOCK = 600  # frames segmented at once: two minutes at 5 frames a second
SCATTER_S = 0.2  # of film, wholly unlike itself, that a cut must save
APART = 0.6  # of films of many scenes, by features of ImageNet's CNNs: what SCATTER_S goes with
SHORTEST_S = 1.0  # of a segment, in the mean
SIDE = 128  # pixels that `lite` looks at: 20 times real time on one core


def cutter() -> Running:
    """`lite` with ImageNet's weights, for `segment_edges`.

    Raises:
        ImportError: the package with the weights is not installed.
    """
    return running(build_sora(replace(lite(), size=(SIDE, SIDE)), weights="imagenet"))


def segment_edges(path: str, model: Running) -> np.ndarray:
    """Where the segments of a film begin, and where the last one ends, in s.

    Args:
        path: file or URL.
        model: from `cutter`.
    Returns:
        (S + 1,), increasing from 0.
    Raises:
        VideoError: the film cannot be read.
    """
    pace = Pace((SIDE, SIDE))
    times: list[np.ndarray] = []

    def features(folder):
        for part in film_parts(model, path, pace, folder, [FEATURES]):
            times.append(part.times)
            if len(part.times):
                yield part.vectors[FEATURES]

    with tempfile.TemporaryDirectory() as folder:
        cuts = list(boundaries(features(Path(folder)), pace.rate))
    at = np.concatenate(times)
    return np.array([0.0, *at[cuts], end_of(path, at, pace.rate)])


def end_of(path: str, times: np.ndarray, rate: float) -> float:
    """The end of a film in s: as its header says where that fits its last frame.

    Args:
        path: file or URL.
        times: (n,), of the frames that were read, s.
        rate: frames a second that were asked for.
    """
    step = float(np.median(np.diff(times))) if len(times) > 1 else 1 / rate
    said = probe(path).duration or 0.0
    if times[-1] < said <= times[-1] + max(2 * step, 1 / rate):
        return said
    return float(times[-1]) + step


def boundaries(
    features: Iterable[np.ndarray], rate: float, scatter: float = SCATTER_S
) -> Iterator[int]:
    """The frames at which a new segment begins, found in blocks, so that memory is bounded.

    A block begins at the last boundary of the block before, or half a block before its end, so
    that no boundary lies at the edge of both.

    Args:
        features: (n, F) of length 1, one stretch of the film after another.
        rate: frames a second.
        scatter: the penalty of a boundary, s: C = scatter·rate of `segment`.
    Yields:
        Numbers of frames, increasing, from 1.
    """
    block, first = np.zeros((0, 0)), 0
    for rows in features:
        block = np.concatenate([block, rows]) if len(block) else np.asarray(rows, np.float32)
        while len(block) >= BLOCK:
            cuts = _cuts(block[:BLOCK], rate, scatter)
            yield from (first + int(cut) for cut in cuts)
            gone = max(BLOCK // 2, int(cuts[-1]) if len(cuts) else 0)
            block, first = block[gone:], first + gone
    if len(block) > 1:
        yield from (first + int(cut) for cut in _cuts(block, rate, scatter))


def spread_of(features: Iterable[np.ndarray]) -> float:
    """How far apart a film's features lie: 1 - |mean|², 0 to 1, a thousandth at least.

    Args:
        features: (n, F) of length 1, one stretch of the film after another.
    """
    total, count = np.zeros(1), 0
    for rows in features:
        total = total + rows.sum(axis=0, dtype=np.float64)
        count += len(rows)
    mean = total / max(count, 1)
    return max(1e-3, 1.0 - float(mean @ mean))


def _cuts(block: np.ndarray, rate: float, scatter: float) -> np.ndarray:
    return segment(block, scatter * rate, math.ceil(len(block) / (SHORTEST_S * rate)))


def pieces(starts: np.ndarray, frames: int, longest: int, most: int) -> np.ndarray:
    """Cuts segments into pieces that a summary takes or leaves.

    Args:
        starts: (S,) int, the first frames of the segments, from 0.
        frames: frames of the film.
        longest: frames of a piece, at most, unless there would be more than `most` pieces.
        most: pieces at most; neighbours are joined until there are no more.
    Returns:
        (P,) int, the first frames of the pieces.
    """
    ends = np.append(starts[1:], frames)
    found = np.concatenate(
        [
            np.linspace(start, end, math.ceil((end - start) / longest), endpoint=False).astype(int)
            for start, end in zip(starts, ends, strict=True)
        ]
    )
    return found[:: math.ceil(len(found) / most)]
