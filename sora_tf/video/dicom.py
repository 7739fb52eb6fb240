"""Multi-frame DICOM (ultrasound, endoscopy) as film, through tensorflow-io."""

import math
from collections.abc import Generator
from itertools import accumulate
from typing import IO

import av
import numpy as np

from sora_tf.video.errors import VideoError
from sora_tf.video.film import FilmFacts
from sora_tf.video.scaler import MAX_PIXELS

DEFAULT_FRAME_MS = 40.0
MOST_BYTES = 2 * 2**30
MAGIC_AT = 128
MAGIC = b"DICM"
TAGS = {
    "rows": 0x00280010,
    "columns": 0x00280011,
    "frames": 0x00280008,
    "samples": 0x00280002,
    "bits": 0x00280100,
    "frame_ms": 0x00181063,
    "frame_steps_ms": 0x00181065,
    "cine_rate": 0x00180040,
    "shown_rate": 0x00082144,
}
SYNTAX = b"\x02\x00\x10\x00UI"
UNCOMPRESSED = {b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2"}
PIXEL_DATA = b"\xe0\x7f\x10\x00"


def is_dicom(handle: str | IO[bytes], name: str) -> bool:
    """Whether a file, given by a handle from `handle_of`, has DICOM's mark.

    Raises:
        VideoError: it cannot be read ("cannot open").
    """
    return _read(handle, name, MAGIC_AT + len(MAGIC))[MAGIC_AT:] == MAGIC


class DicomFilm:
    """A DICOM file with the face of a `Film`; all of it is decoded at once.

    Grey pictures become RGB with three equal channels; MONOCHROME1 is turned so that larger is
    brighter. Of pixels with more than 8 bits stored the upper 8 are kept. Times come from the
    frame time, else the frame time vector, else the cine rate, else 25 frames a second.

    Args:
        handle: an absolute path or a seekable binary file object.
        name: the file's name, for messages.
    Raises:
        VideoError: the file cannot be read or decoded, or its pictures take above 2 GiB.
    """

    expired = False
    aspect = None
    jumps = False

    def __init__(self, handle: str | IO[bytes], name: str):
        self.name = name
        self.damage: str | None = None
        self.shown = 0
        data = _read(handle, name, MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise VideoError(self.name, "over the limit", f"the file is above {MOST_BYTES} bytes")
        self._decode(data)

    def restart(self) -> None:
        """Goes back to the first frame."""
        self.shown = 0

    def frames(self) -> Generator[tuple[float, av.VideoFrame], None, None]:
        """(time in s, frame) in order."""
        for time, picture in zip(self._times, self._pictures, strict=True):
            self.shown += 1
            yield time, av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")

    def none_came(self) -> VideoError:
        """The error of a film of which nothing can be shown."""
        return VideoError(self.name, "no frames", self.damage or "it holds no pictures")

    @property
    def step(self) -> float:
        """Seconds from one frame to the next, in the mean."""
        count = len(self._times)
        return self._times[-1] / (count - 1) if count > 1 else DEFAULT_FRAME_MS / 1e3

    @property
    def duration(self) -> float | None:
        """Seconds."""
        return self._times[-1] + self.step

    @property
    def last(self) -> float | None:
        """Time in s of the last frame."""
        return self._times[-1]

    def measure(self) -> float:
        """Seconds."""
        return self._times[-1] + self.step

    def facts(self) -> FilmFacts:
        """What the header says."""
        height, width = self._pictures.shape[1:3]
        count = len(self._times)
        return FilmFacts("dicom", "dicom", width, height, "rgb24", 1 / self.step, count, False)

    def _decode(self, data: bytes) -> None:
        import tensorflow as tf
        import tensorflow_io as tfio

        from sora_tf._keras import keras as _  # noqa: F401, must come before TensorFlow

        try:
            keys = tf.constant(list(TAGS.values()), tf.uint32)
            values = tfio.image.decode_dicom_data(data, tags=keys).numpy()
            tags = {name: _numbers(value) for name, value in zip(TAGS, values, strict=True)}
            count = self._check(tags, data)
            raw = tfio.image.decode_dicom_image(
                data, color_dim=True, on_error="strict", scale="auto", dtype=tf.uint16
            ).numpy()
        except (tf.errors.OpError, ValueError) as error:
            reason = getattr(error, "message", "") or str(error)
            raise VideoError(self.name, "damaged", reason.rpartition("}}")[2]) from error
        if raw.ndim == 3:
            raw = raw[None]
        pictures = (raw[:count] >> 8).astype(np.uint8)  # "auto" spreads the stored bits over 16
        self._pictures = np.broadcast_to(pictures, (*pictures.shape[:3], 3))
        self._times = _times(tags, len(pictures))

    def _check(self, tags: dict[str, list[float]], data: bytes) -> int:
        """How many whole frames the file holds; their size is bounded before any is decoded."""
        rows, columns, frames, samples, bits = (
            int(tags[name][0]) if tags[name] else missing
            for name, missing in (
                ("rows", 0), ("columns", 0), ("frames", 1), ("samples", 1), ("bits", 8)
            )
        )  # fmt: skip
        if rows * columns < 1 or frames < 1:
            raise VideoError(self.name, "no frames", "it holds no pictures")
        size = rows * columns * samples * math.ceil(bits / 8)
        decoded = frames * rows * columns * samples * 2  # tensorflow-io is asked for 16 bits
        if rows * columns > MAX_PIXELS or decoded > MOST_BYTES:
            asked = f"{frames} frames of {columns} by {rows}"
            raise VideoError(self.name, "over the limit", asked, "Cut the file into parts.")
        if _syntax(data) not in UNCOMPRESSED:
            return frames
        place = data.find(PIXEL_DATA)
        header = 12 if data[place + 4 : place + 6] in (b"OW", b"OB") else 8
        there = (len(data) - place - header) // size
        if there < frames:
            self.damage = f"it ends after {there} of the {frames} frames that it declares"
        if there < 1:
            raise self.none_came()
        return min(there, frames)


def _read(handle: str | IO[bytes], name: str, size: int) -> bytes:
    try:
        if isinstance(handle, str):
            with open(handle, "rb") as file:
                return file.read(size)
        handle.seek(0)
        return handle.read(size)
    except Exception as error:  # a file object may raise anything
        raise VideoError(name, "cannot open", f"{type(error).__name__}: {error}") from error


def _numbers(value: bytes) -> list[float]:
    try:
        return [float(part) for part in value.decode("ascii", "replace").split("\\") if part]
    except ValueError:
        return []


def _times(tags: dict[str, list[float]], count: int) -> list[float]:
    steps = tags["frame_steps_ms"]
    rate = [value for value in tags["cine_rate"] + tags["shown_rate"] if value > 0]
    if tags["frame_ms"] and tags["frame_ms"][0] > 0:
        step = tags["frame_ms"][0]
    elif len(steps) >= count and min(steps) >= 0:
        return [total / 1e3 for total in accumulate([0.0, *steps[1:count]])]
    else:
        step = 1e3 / rate[0] if rate else DEFAULT_FRAME_MS
    return [place * step / 1e3 for place in range(count)]


def _syntax(data: bytes) -> bytes:
    place = data.find(SYNTAX, MAGIC_AT, 4096)
    if place < 0:
        return b""
    length = int.from_bytes(data[place + 6 : place + 8], "little")
    return data[place + 8 : place + 8 + length].rstrip(b"\0 ")
