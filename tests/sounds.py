"""Small sound files, and films with a track of sound, made for tests."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def tone(hertz: float, seconds: float, rate: int = 16_000, level: float = 0.5) -> np.ndarray:
    """(N,) float32: a sine."""
    return (level * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(
        "f4"
    )


def write_wav(path: Path, samples: np.ndarray, rate: int = 16_000) -> Path:
    """16-bit PCM of (N,) or (N, channels) samples from -1 to 1, by the standard library."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


def write_film(
    path: Path,
    samples: np.ndarray | None,
    rate: int = 48_000,
    *,
    codec: str = "pcm_s16le",
    form: str = "s16",
    layout: str = "mono",
    late: float = 0.0,
    seconds: float | None = None,
    fps: int = 10,
    picture_late: float = 0.0,
) -> Path:
    """A file with a track of sound, and with pictures where `seconds` says how many.

    Args:
        path: the ending says which container.
        samples: (N,) or (N, channels); None for no track.
        rate, codec, form, layout: of the track; the form is ffmpeg's name of how samples lie.
        late: when the track begins, s.
        seconds: length of the picture; None for none.
        fps: pictures per s.
        picture_late: when the pictures begin, s.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        if seconds is not None:
            video = container.add_stream("libx264", fps)
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            video.codec_context.time_base = Fraction(1, 1000)
            video.options = {"threads": "1", "bf": "0"}
        if samples is not None:
            sound = container.add_stream(codec, rate)
            sound.layout, sound.format = layout, form
        if seconds is not None:
            for number in range(round(seconds * fps)):
                picture = np.full((48, 64, 3), 10 + 2 * (number % 100), np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = round(1000 * (picture_late + number / fps))
                frame.time_base = Fraction(1, 1000)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
        if samples is not None:
            side_by_side = np.ascontiguousarray(samples.astype("f4").reshape(1, -1))
            frame = av.AudioFrame.from_ndarray(side_by_side, format="flt", layout=layout)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = 0
            cut = sound.codec_context.frame_size or 1024
            maker = av.AudioResampler(form, layout, rate, frame_size=cut)
            for piece in maker.resample(frame) + maker.resample(None):
                piece.pts = (piece.pts or 0) + round(late * rate)
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path
