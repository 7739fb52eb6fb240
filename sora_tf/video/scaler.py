"""Decoded pictures to RGB arrays, scaled inside libswscale straight to the size wanted."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.reformatter import Interpolation, VideoReformatter

from sora_tf.video.errors import VideoError
from sora_tf.video.geometry import (
    Orientation,
    Placement,
    orientation_of,
    pixel_aspect,
    place,
    shown_size,
)

MAX_PIXELS = 2**28


def _one_thread() -> dict[str, Any]:
    """libswscale starts threads of its own from PyAV 17 on, unless told how many."""
    try:
        VideoReformatter().reformat(av.VideoFrame(2, 2, "gray"), 4, 4, "rgb24", threads=1)
    except TypeError:
        return {}
    return {"threads": 1}


# Without full chroma libswscale takes a short cut through tables that darkens by up to 2 levels.
FULL_CHROMA = 1 << 13  # SWS_FULL_CHR_H_INT, which PyAV names from version 18 on
OPAQUE = "gbrp"  # libswscale writes planes in half the time of interleaved bytes
FLAGS = int(Interpolation.AREA) | FULL_CHROMA  # the fast bilinear drifts towards one side
SWS: dict[str, Any] = {"interpolation": FLAGS, **_one_thread()}


class Scaler:
    """Converts frames of one film to one size.

    Args:
        name: the film's name, for messages.
        first: its first frame, which says how the film is turned and what size it has.
        aspect: the pixel aspect that the container declares.
        size: (H, W) of the output; None keeps the size at which `first` is shown.
        fit: how a picture fills the size, one of `geometry.FITS`.
    Raises:
        VideoError: a picture has more than 2^28 pixels ("over the limit").
    """

    def __init__(
        self,
        name: str,
        first: av.VideoFrame,
        aspect: Fraction | None,
        size: tuple[int, int] | None,
        fit: str,
    ):
        self.name = name
        self.aspect = pixel_aspect(aspect)
        self.orientation = film_orientation(first)
        self.fit = fit
        self.shown = self._shown(first)
        self.size = size or self.shown
        self._check(self.size)
        self._sws = VideoReformatter()
        self._plans: dict[tuple, tuple[Placement, str]] = {}

    def into(self, frame: av.VideoFrame, out: np.ndarray) -> None:
        """Writes `frame` into `out` (H, W, 3), uint8.

        Raises:
            VideoError: libswscale cannot convert the picture ("damaged").
        """
        key = (frame.width, frame.height, frame.format.name)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = self._plan(frame)
        placement, target = plan
        height, width = placement.scaled
        try:
            scaled = self._sws.reformat(frame, width, height, target, **SWS)
        except (av.error.FFmpegError, ValueError, MemoryError) as error:
            raise VideoError(self.name, "damaged", f"a frame cannot be scaled: {error}") from error
        for channel, plane in enumerate(_channels(scaled)):
            part = self.orientation.turn(plane)[placement.taken]
            if part.shape != out.shape[:2]:
                out[..., channel] = 0
            out[..., channel][placement.filled] = part

    def _shown(self, frame: av.VideoFrame) -> tuple[int, int]:
        return shown_size(frame.width, frame.height, self.aspect, self.orientation.transpose)

    def _plan(self, frame: av.VideoFrame) -> tuple[Placement, str]:
        self._check((frame.height, frame.width))
        placement = place(self._shown(frame), self.size, self.fit, self.orientation.transpose)
        self._check(placement.scaled)
        has_alpha = any(part.is_alpha for part in frame.format.components)
        return placement, "rgba" if has_alpha or frame.format.has_palette else OPAQUE

    def _check(self, size: tuple[int, int]) -> None:
        if size[0] * size[1] > MAX_PIXELS:
            raise VideoError(
                self.name,
                "over the limit",
                f"a picture of {size[1]} by {size[0]} pixels, the most is {MAX_PIXELS} in all",
                "Pass a smaller size, or fit='stretch'.",
            )


def film_orientation(frame: av.VideoFrame) -> Orientation:
    """How the film that `frame` begins is laid when shown."""
    # `frame.side_data` would keep itself in the frame, and so a decoder's memory till the next
    # garbage collection: 120 MB a film of 4K AV1.
    matrix: Any = SideDataContainer(frame).get("DISPLAYMATRIX")  # type: ignore[call-arg]
    return orientation_of(None if matrix is None else bytes(memoryview(matrix)))


def _channels(scaled: av.VideoFrame) -> list[np.ndarray]:
    """Red, green and blue (h, w) of a converted picture."""
    if scaled.format.name == OPAQUE:
        green, blue, red = (_plane(scaled, number, 1)[..., 0] for number in range(3))
        return [red, green, blue]
    return list(np.moveaxis(_on_black(_plane(scaled, 0, 4)), -1, 0))


def _plane(scaled: av.VideoFrame, number: int, depth: int) -> np.ndarray:
    """A plane (h, w, depth) where ffmpeg has put it; rows may be padded there."""
    plane = scaled.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: scaled.height, : scaled.width * depth].reshape(scaled.height, -1, depth)


def _on_black(picture: np.ndarray) -> np.ndarray:
    """(h, w, 4) -> (h, w, 3): colours weighted by alpha, over black."""
    alpha = picture[..., 3:]
    if alpha.min() == 255:
        return picture[..., :3]
    return ((picture[..., :3].astype(np.uint16) * alpha + 127) // 255).astype(np.uint8)
