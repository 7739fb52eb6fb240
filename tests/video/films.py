"""Small films whose every frame says its own number, and the plain way to pick frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sora_tf import video


def greys(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3): frame k is grey of level 10 + 3k, k up to 80; YUV moves levels by 1 or so."""
    levels = (10 + 3 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3))


def numbers(frames: np.ndarray) -> np.ndarray:
    """The numbers of frames made by `greys`."""
    return np.asarray([round((frame.mean() - 10) / 3) for frame in frames], int)


def noise(count: int, height: int = 48, width: int = 64, seed: int = 0) -> np.ndarray:
    """(T, H, W, 3): blobs that move, so that frames lean on each other and all differ."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    ground = ground.repeat(4, 0).repeat(4, 1)
    return np.stack([np.roll(ground, (k, 3 * k), (0, 1)) for k in range(count)])


def stamped(path: Path, frames: np.ndarray, ticks: list[int], codec: str = "libx264") -> Path:
    """Writes frames shown at `ticks` milliseconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 1000)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.options = {"crf": "2", "threads": "1"}
        for picture, tick in zip(frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def on_screen(times: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Places of the frames on screen: the last one whose time is not above the time asked."""
    asked = np.maximum(asked, 0.0) + 1e-5
    return np.searchsorted(times, asked, side="right") - 1


def check_sparse(path, count: int = 24, seed: int = 0, size=(40, 56)) -> video.VideoFrames:
    """Asserts that reading at random times gives what decoding everything gives."""
    full = video.read(path, size=size)
    asked = np.random.default_rng(seed).random(count) * (full.times[-1] + 0.2) - 0.05
    few = video.read(path, asked, size=size)
    places = on_screen(full.times, asked)
    np.testing.assert_array_equal(few.times, full.times[places])
    np.testing.assert_array_equal(few.frames, full.frames[places])
    return full
