"""Reading and writing video: files to (T, H, W, 3) arrays with times, and back."""

from sora_tf.video import sampling
from sora_tf.video.audio import Sound, read_sound
from sora_tf.video.errors import VideoError
from sora_tf.video.pictures import VideoFrames
from sora_tf.video.reader import VideoInfo, frames_of, probe, read
from sora_tf.video.regular import frames_every
from sora_tf.video.sample import sample
from sora_tf.video.writer import write

__all__ = [
    "Sound",
    "VideoError",
    "VideoFrames",
    "VideoInfo",
    "frames_every",
    "frames_of",
    "probe",
    "read",
    "read_sound",
    "sample",
    "sampling",
    "write",
]
