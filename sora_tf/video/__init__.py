"""Reading and writing video: files to (T, H, W, 3) arrays with times, and back."""

from . import sampling
from .errors import VideoError
from .pictures import VideoFrames
from .reader import VideoInfo, frames_of, probe, read
from .sample import sample
from .writer import write

__all__ = [
    "VideoError",
    "VideoFrames",
    "VideoInfo",
    "frames_of",
    "probe",
    "read",
    "sample",
    "sampling",
    "write",
]
