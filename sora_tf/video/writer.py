"""Frames to an MP4 file."""

import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sora_tf._checks import above, at_least
from sora_tf._files import replacing

INDEX_FIRST = {".mp4", ".mov", ".m4v"}


def write(
    path: str | os.PathLike,
    frames: np.ndarray | Iterable[np.ndarray],
    fps: float,
    *,
    codec: str = "libx264",
    quality: int = 18,
    keyframes_every: int = 250,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Writes frames as video: beside `path` first, then renamed, so nothing half-written stays.

    Even sizes become yuv420p, which everything plays. A size with an odd side becomes yuv444p,
    which keeps every pixel but which some players on phones refuse.

    Args:
        path: the file to write; its ending names the container (.mp4, .mkv, .avi ...).
        frames: (T, H, W, 3) uint8, or an iterator over (H, W, 3).
        fps: frames per second, above 0.
        codec: an encoder that ffmpeg knows.
        quality: constant rate factor, 0 (lossless) to 51; for encoders that have one.
        keyframes_every: most frames from one keyframe to the next.
        options: further options of the encoder.
        container_options: options of the container; None puts the index of an MP4 first, so that
            it can be played while it is fetched and read where it was cut short.
    Returns: the path.
    Raises:
        ValueError: a frame is not (H, W, 3) uint8, sizes differ, or there are none.
    """
    above("write", "fps", fps, 0, "frames/s", "Give the frame rate.")
    at_least("write", "keyframes_every", keyframes_every, 1, "frames", "Use 1 for keyframes only.")
    path = Path(path)
    # The same frames give the same file. Frames coded from later ones (bf) would not: there x264
    # goes by pixels outside small pictures that nobody set.
    settings = {"crf": str(quality), "threads": "1", "bf": "0", **(options or {})}
    if container_options is None and path.suffix in INDEX_FIRST:
        container_options = {"movflags": "+faststart"}
    with (
        replacing(path) as beside,
        av.open(beside, "w", options=container_options or {}) as container,
    ):
        stream = container.add_stream(codec, Fraction(fps).limit_denominator(100_000))
        stream.options = settings
        stream.gop_size = keyframes_every
        _encode(container, stream, frames)
    return path


def _encode(container, stream, frames: Iterable[np.ndarray]) -> None:
    size = None
    for index, picture in enumerate(frames):
        picture = np.ascontiguousarray(picture)
        if size is None and picture.ndim == 3:
            size = (*picture.shape[:2], 3)
            stream.height, stream.width = size[:2]
            odd = any(side % 2 for side in size[:2])
            stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        if picture.shape != size or picture.dtype != np.uint8:
            raise ValueError(
                f"write: every frame must be {size or '(H, W, 3)'} uint8, got {picture.shape} "
                f"{picture.dtype} at frame {index}. Convert the frames first."
            )
        frame = av.VideoFrame.from_ndarray(picture, "rgb24")
        frame.pts = index
        frame.time_base = 1 / stream.codec_context.framerate
        container.mux(stream.encode(frame))
    if size is None:
        raise ValueError("write: there must be one frame or more, got 0. Give some frames.")
    container.mux(stream.encode(None))
