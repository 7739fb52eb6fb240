"""What a clip shows and where: the places of each frame that differ most from the clip as a whole.

Features that are averaged over a picture do not know where anything is. Here a frame is a vector
of its whole picture and a few places, each with its coordinates, its size and its own features.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.models.extractor import POOLED
from sora_tf.models.video_model import FRAMES, MASK, VideoModel
from sora_tf.models.walk import maps_by_stride

PLACES = 4  # of a frame
FACTS = 5  # of a place before its features: across, down, how much differs, width and height
FINE, COARSE = 8, 16  # pixels of a cell of the maps where places are found, and described
AROUND = 7  # cells round a place that may belong to it


@dataclass(frozen=True)
class Seen:
    """What a stretch of a film shows.

    Args:
        start, end: of the stretch, s.
        times: (T,) s since the start of the film; padding repeats the last.
        mask: (T,) bool, True where a frame is real.
        places: (T, K, 5 + C) float32: across and down as shares of the picture from its top left,
            how much differs there (1 is what differs on average), width and height of what differs
            as shares of the picture, and C features; the place that differs most first.
        whole: (T, F) float32, features of the whole picture.
    """

    start: float
    end: float
    times: np.ndarray
    mask: np.ndarray
    places: np.ndarray
    whole: np.ndarray


def place_maps(model: keras.Model, config: SoraConfig) -> VideoModel:
    """Clips to what `places_of` reads.

    Args:
        model: from `build_sora`, with cells of 8 and of 16 pixels on the way; weights are shared.
        config: what it was built from.

    Returns:
        A model to {"fine": (B·T, h, w, c), "coarse": (B·T, h/2, w/2, C), "whole": (B·T, F)}.
    """
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    maps = maps_by_stride(model, config.size[0])
    whole = model.get_layer(POOLED).output
    outputs = {"fine": maps[FINE], "coarse": maps[COARSE], "whole": whole}
    return VideoModel(clip, outputs, name="place_maps")


def see(maps: VideoModel, frames: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places and the whole of each frame, (T, K, 5 + C) and (T, F), as in `Seen`.

    Args:
        maps: from `place_maps`.
        frames: (T, H, W, 3) uint8.
        mask: (T,) bool.
    """
    found = maps.predict_on_batch({FRAMES: frames[None].astype(np.float32), MASK: mask[None]})
    places = places_of(found["fine"], found["coarse"], mask)
    return places, found["whole"].astype(np.float32)


def places_of(fine: np.ndarray, coarse: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The places of each frame that differ most from the median over the frames.

    d_t[s] = Σ_c |x_t[s,c] - median_t' x_t'[s,c]| / deviation_c. A place is a peak of d, its centre
    and size the mean and the spread of d over the cells round it that differ at least half as much.

    Args:
        fine: (T, h, w, c), the maps where places are found.
        coarse: (T, h', w', C), the maps that describe them.
        mask: (T,) bool; padded frames have no say in the median.
    Returns:
        (T, K, 5 + C) float32, as in `Seen`; rows of zeros where a frame has fewer places.
    """
    real = fine[mask]
    deviation = real.std(axis=(0, 1, 2)) + 1e-6
    differs = (np.abs(fine - np.median(real, axis=0)) / deviation).sum(axis=-1)  # (T, h, w)
    differs = differs / max(float(differs[mask].mean()), 1e-6)
    peaks = differs >= ndimage.maximum_filter(differs, (0, 3, 3))
    found = np.zeros((len(fine), PLACES, FACTS + coarse.shape[-1]), np.float32)
    for frame, (values, tops) in enumerate(zip(differs, peaks, strict=True)):
        rows, columns = np.nonzero(tops & (values > 0))
        best = np.argsort(-values[rows, columns], kind="stable")[:PLACES]
        for number, (row, column) in enumerate(zip(rows[best], columns[best], strict=True)):
            facts = _place(values, row, column)
            y, x = int(facts[1] * coarse.shape[1]), int(facts[0] * coarse.shape[2])
            found[frame, number] = [*facts, *coarse[frame, y, x]]
    return found


def _place(values: np.ndarray, row: int, column: int) -> tuple[float, float, float, float, float]:
    """A peak's facts, in the order of `Seen`."""
    h, w = values.shape
    reach = AROUND // 2
    top, left = max(0, row - reach), max(0, column - reach)
    around = values[top : row + reach + 1, left : column + reach + 1]
    mass = np.where(around >= values[row, column] / 2, around, 0.0)
    total = mass.sum()
    down = np.arange(around.shape[0]) + top + 0.5
    across = np.arange(around.shape[1]) + left + 0.5
    y, x = mass.sum(axis=1) @ down / total, mass.sum(axis=0) @ across / total
    # A cell by itself is as wide as a cell: the variance of an even spread of width 1 is 1/12.
    tall = np.sqrt(12 * (mass.sum(axis=1) @ (down - y) ** 2 / total) + 1)
    wide = np.sqrt(12 * (mass.sum(axis=0) @ (across - x) ** 2 / total) + 1)
    return x / w, y / h, float(values[row, column]), wide / w, tall / h


def seen_stretch(
    maps: VideoModel, frames: np.ndarray, mask: np.ndarray, times: np.ndarray, end: float | None
) -> Seen:
    """A stretch of a film as it is seen.

    Args:
        maps: from `place_maps`.
        frames, mask, times: of a clip, as `load_clip` gives them.
        end: of the stretch, s; None where the film ends, a frame after its last one.
    """
    places, whole = see(maps, frames, mask)
    real = times[mask]
    step = float(np.median(np.diff(real))) if len(real) > 1 else 1.0
    return Seen(float(real[0]), float(real[-1]) + step if end is None else end,
                times, mask, places, whole)  # fmt: skip
