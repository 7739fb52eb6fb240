"""The moments of a summary as a film of their own."""

import os
from collections.abc import Iterator, Sequence

import numpy as np

from sora_tf.tasks.summarize import Moment
from sora_tf.video import VideoInfo, frames_every, probe, write

LONGEST_SIDE = 960  # pixels
SLOWEST, FASTEST = 10.0, 30.0  # frames/s; the mean rate of a slide show says little
EASY = {"preset": "veryfast"}


def write_highlight(path: str | os.PathLike[str], source: str, moments: Sequence[Moment]) -> None:
    """Writes the moments one after another, without sound, at the film's own pace.

    Args:
        path: the file to write, an .mp4.
        source: the film.
        moments: in the order of the film.
    Raises:
        VideoError: the film cannot be read.
    """
    info = probe(source)
    rate = min(max(info.fps or 25.0, SLOWEST), FASTEST)
    frames = (
        picture
        for moment in moments
        for picture in _steady(source, moment.start, moment.end, rate, _size(info))
    )
    write(path, frames, rate, quality=23, options=EASY)


def _size(info: VideoInfo) -> tuple[int, int]:
    """Even sides, so that everything plays it."""
    scale = min(1.0, LONGEST_SIDE / max(info.height, info.width))
    return max(2, round(info.height * scale / 2) * 2), max(2, round(info.width * scale / 2) * 2)


def _steady(
    source: str, start: float, end: float, rate: float, size: tuple[int, int]
) -> Iterator[np.ndarray]:
    """The picture on screen at each 1/rate s of a stretch, one or more."""
    shown, given = None, 0
    wanted = max(1, round((end - start) * rate))
    for time, picture in frames_every(source, 1 / rate, size=size, start=start, end=end):
        due = round((time - start) * rate)
        while shown is not None and given < due:
            yield shown
            given += 1
        shown = picture
    while shown is not None and given < wanted:
        yield shown
        given += 1
