"""How a coded picture is turned, stretched and fitted to be shown."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

WIDEST_PIXEL = 16  # beyond this a header's pixel aspect is junk, not a lens


class Orientation(NamedTuple):
    """Eight ways to lay a picture: swap its axes, then flip rows and columns."""

    transpose: bool = False
    flip_rows: bool = False
    flip_columns: bool = False

    @property
    def mirrored(self) -> bool:
        """Whether no rotation alone would do."""
        return (self.transpose + self.flip_rows + self.flip_columns) % 2 == 1

    @property
    def rotation(self) -> int:
        """Clockwise turn in degrees (0, 90, 180 or 270), after a left-right flip if `mirrored`."""
        if self.transpose:
            return 90 if self.flip_columns else 270
        return 180 if self.flip_rows else 0

    def turn(self, picture: np.ndarray) -> np.ndarray:
        """(h, w, ...) as coded -> a view (h', w', ...) as shown."""
        if self.transpose:
            picture = picture.swapaxes(0, 1)
        if self.flip_rows:
            picture = picture[::-1]
        if self.flip_columns:
            picture = picture[:, ::-1]
        return picture


def orientation_of(matrix: bytes | None) -> Orientation:
    """Reads ffmpeg's display matrix: nine int32, x' = a·x + c·y, y' = b·x + d·y.

    A turn that is no multiple of 90 degrees goes to the nearest; a matrix of junk turns nothing.
    """
    if matrix is None or len(matrix) < 36:
        return Orientation()
    a, b, _, c, d = (float(x) for x in np.frombuffer(matrix, "<i4", 5))
    straight, crossed = abs(a) + abs(d), abs(b) + abs(c)
    if straight >= crossed:
        return Orientation(False, d < 0, a < 0)
    return Orientation(True, b < 0, c < 0)


def pixel_aspect(ratio) -> float:
    """A pixel's width over its height; 1.0 where the header says nothing or nonsense."""
    if not ratio or ratio.denominator == 0:
        return 1.0
    value = float(ratio)
    return value if 1 / WIDEST_PIXEL <= value <= WIDEST_PIXEL else 1.0


def shown_size(width: int, height: int, aspect: float, turned: bool) -> tuple[int, int]:
    """(H, W) of the picture as shown: pixels made square, then turned. The height stays."""
    width = max(1, math.floor(width * aspect + 0.5))
    return (width, height) if turned else (height, width)


def _stretch(shown: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    return size


def _cover(shown: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    scale = max(size[0] / shown[0], size[1] / shown[1])
    return max(size[0], round(shown[0] * scale)), max(size[1], round(shown[1] * scale))


def _contain(shown: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    scale = min(size[0] / shown[0], size[1] / shown[1])
    height, width = round(shown[0] * scale), round(shown[1] * scale)
    return min(size[0], max(1, height)), min(size[1], max(1, width))


# "stretch" bends the picture to the size, "cover" fills the size and cuts what hangs over,
# "contain" shows all of the picture between black bars.
FITS: dict[str, Callable[[tuple[int, int], tuple[int, int]], tuple[int, int]]] = {
    "stretch": _stretch,
    "cover": _cover,
    "contain": _contain,
}


@dataclass(frozen=True)
class Placement:
    """Where a scaled picture and the output meet.

    Attributes:
        scaled: (h, w) to scale the coded picture to, before it is turned.
        taken: the part of the turned picture that is used (rows, columns).
        filled: the part of the output that it fills (rows, columns).
    """

    scaled: tuple[int, int]
    taken: tuple[slice, slice]
    filled: tuple[slice, slice]


def place(shown: tuple[int, int], size: tuple[int, int], fit: str, turned: bool) -> Placement:
    """Fits a picture shown at (H, W) `shown` into (H, W) `size` by a rule of `FITS`."""
    height, width = FITS[fit](shown, size)
    scaled = (width, height) if turned else (height, width)
    rows, columns = (_centre(n, m) for n, m in zip((height, width), size, strict=True))
    return Placement(scaled, (rows[0], columns[0]), (rows[1], columns[1]))


def _centre(length: int, room: int) -> tuple[slice, slice]:
    used = min(length, room)
    taken, filled = (length - used) // 2, (room - used) // 2
    return slice(taken, taken + used), slice(filled, filled + used)
