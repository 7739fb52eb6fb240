"""Files as model input: each file cut into windows of time, read ahead while the model works."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sora_tf import _checks
from sora_tf.data import collate, decode, pad
from sora_tf.video import VideoError, probe, sampling

AHEAD = 4  # windows read ahead of the model
MOST_WINDOWS = 100_000  # of a file; headers lie about its length
PATIENCE = 8.0  # s of decoding after which a window makes do with the frames it has

Stretch = tuple[float, float | None]  # start and end in s; None is the file's end


@dataclass(frozen=True)
class Window:
    """A stretch of a file, ready for the model.

    Args:
        path: the file.
        start: where it begins, s.
        end: where it ends, s; None is the file's end.
        frames: (T, H, W, 3) uint8, padded to the model's T.
        mask: (T,) bool, True where a frame is real.
        times: (T,) s since the start of the file.
        damage: what was wrong with the file, or None.
    """

    path: str
    start: float
    end: float | None
    frames: np.ndarray
    mask: np.ndarray
    times: np.ndarray
    damage: str | None

    @property
    def until(self) -> float:
        """Where it ends, s: with its last frame where that is the file's end."""
        return float(self.times[self.mask][-1]) if self.end is None else self.end


@dataclass(frozen=True)
class Reading:
    """How files are read for a model.

    Args:
        frames: frames T of a window.
        size: height and width, pixels.
        fit: "stretch", "cover" or "contain".
        seconds: length of a window, s; None makes one window of every file.
        step: from one window to the next, s, at most `seconds`; None is `seconds`.
    Raises:
        ValueError: a time is not above 0, or `step` leaves gaps or stands alone.
    """

    frames: int
    size: tuple[int, int]
    fit: str = "stretch"
    seconds: float | None = None
    step: float | None = None

    def __post_init__(self) -> None:
        """Checks the times."""
        check_stretches("Reading", self.seconds, self.step)


def check_stretches(owner: str, seconds: float | None, step: float | None) -> None:
    """Raises ValueError where a time is not above 0, or `step` leaves gaps or stands alone."""
    for name, value in (("seconds", seconds), ("step", step)):
        if value is not None:
            _checks.above(owner, name, value, 0.0, "s", "Leave it out for whole files.")
    if step is not None and (seconds is None or step > seconds):
        length = "whole files" if seconds is None else f"windows of {seconds:g} s"
        raise ValueError(
            f"{owner}: step must be at most the length of a window, got {step:g} s for "
            f"{length}. Give a longer window."
        )


def stretches(path: str, reading: Reading) -> list[Stretch]:
    """The windows of a file, (start, end) in s; the whole file where its length is not known.

    Raises:
        VideoError: the file does not open, or makes more than 100,000 windows.
    """
    if reading.seconds is None:
        return [(0.0, None)]
    return cut(path, probe(path).duration, reading.seconds, reading.step)


def cut(
    path: str, duration: float | None, seconds: float, step: float | None = None
) -> list[Stretch]:
    """The windows of a file that lasts so long; the whole file where that is not known.

    Args:
        path: the file, for the error.
        duration: of the file, s.
        seconds, step: as in `Reading`.

    Raises:
        VideoError: that makes more than 100,000 windows.
    """
    if not duration or is_one_window(duration, seconds):
        return [(0.0, None)]
    step = step or seconds
    if duration / step > MOST_WINDOWS:
        detail = f"{duration:g} s, so its header says, in steps of {step:g} s"
        raise VideoError(path, "over the limit", detail, "Ask for longer windows.")
    return list(sampling.windows(duration, seconds, step))


def is_one_window(length: float, seconds: float) -> bool:
    """Whether that many s are hardly longer than a window: half of another would say little."""
    return length <= 1.5 * seconds


def read_windows(
    paths: Sequence[str], reading: Reading
) -> Iterator[tuple[str, Window | VideoError, bool]]:
    """Reads the windows of files in order, a few ahead of the caller.

    Yields:
        (path, window or what was wrong, whether it is the file's last), so that a bad file is one
        item and the rest go on.
    """

    def planned() -> Iterator[tuple[str, Stretch | VideoError, bool]]:
        for path in paths:
            try:
                parts = stretches(path, reading)
            except VideoError as error:
                yield path, error, True
                continue
            for number, part in enumerate(parts, 1):
                yield path, part, number == len(parts)

    return _ahead(planned(), reading)


def read_stretches(
    path: str, parts: Sequence[Stretch], reading: Reading
) -> Iterator[Window | VideoError]:
    """Reads windows (start, end) of a file, in s, wherever they are, a few ahead of the caller."""
    planned = ((path, part, False) for part in parts)
    return (window for _, window, _ in _ahead(planned, reading))


def _ahead(
    planned: Iterable[tuple[str, Stretch | VideoError, bool]], reading: Reading
) -> Iterator[tuple[str, Window | VideoError, bool]]:
    with ThreadPoolExecutor(max_workers=2) as pool:
        waiting: deque[tuple[str, Future[Window] | VideoError, bool]] = deque()
        for path, part, last in planned:
            item = (
                part if isinstance(part, VideoError) else pool.submit(_read, path, *part, reading)
            )
            waiting.append((path, item, last))
            while len(waiting) > AHEAD:
                yield _take(waiting)
        while waiting:
            yield _take(waiting)


def batch_of(window: Window) -> dict[str, np.ndarray]:
    """A batch of one window."""
    return collate([(window.frames, window.mask)])


def _take(waiting):
    path, item, last = waiting.popleft()
    if isinstance(item, VideoError):
        return path, item, last
    try:
        return path, item.result(), last
    except VideoError as error:
        return path, error, last


def _read(path: str, start: float, end: float | None, reading: Reading) -> Window:
    video = decode(
        path,
        reading.frames,
        reading.size,
        start=start or None,
        end=end,
        fit=reading.fit,
        patience=PATIENCE,
    )
    frames, mask = pad(video.frames, reading.frames)
    times, _ = pad(video.times, reading.frames)
    return Window(path, start, end, frames, mask, times, video.damage)
