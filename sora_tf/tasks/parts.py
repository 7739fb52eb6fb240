"""A film as parts of a minute, each on disk when it is done: memory stays flat, a kill costs one.

A part holds the vectors of its frames and what the model remembers at its end, so that a killed
run goes on behind the last part that is whole.
"""

import glob
import hashlib
import os
import shutil
from collections.abc import Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sora_tf import _checks
from sora_tf._files import replacing
from sora_tf.models.sora import GLOBAL_VECTOR
from sora_tf.tasks.running import Running
from sora_tf.video import frames_every
from sora_tf.video.regular import next_cut

PART_S = 60.0
STATE = "state."


@dataclass(frozen=True)
class Pace:
    """How films are read from end to end.

    Args:
        size: height and width, pixels.
        rate: frames a second, at most; those that a film has, where it has fewer.
        fit: "stretch", "cover" or "contain".
    Raises:
        ValueError: `rate` is not above 0.
    """

    size: tuple[int, int]
    rate: float = 5.0
    fit: str = "stretch"

    def __post_init__(self) -> None:
        """Checks the rate."""
        _checks.above("Pace", "rate", self.rate, 0.0, "frames/s", "5 is usual.")


@dataclass(frozen=True)
class Part:
    """A stretch of a film.

    Args:
        times: (n,) s since the start of the film.
        vectors: {name: (n, D)}, those that were to be kept.
        global_vector: (D,), of the film from its start to the end of this part.
        last: whether the film ends here.
        damage: what is wrong with the film, known at its end; None if nothing is.
    """

    times: np.ndarray
    vectors: dict[str, np.ndarray]
    global_vector: np.ndarray
    last: bool
    damage: str | None


def film_parts(
    model: Running, path: str, pace: Pace, folder: Path, keep: Collection[str]
) -> Iterator[Part]:
    """The parts of a film: those of a killed run first, then new ones as they are made.

    Args:
        model: from `running`.
        path: file or URL.
        pace: how to read it.
        folder: of this film's parts alone, named by `film_folder`.
        keep: the vectors to keep, names of what `model.feed` gives.
    Raises:
        VideoError: the file cannot be read.
    """
    model.restart()
    begin = None
    for file in kept_parts(folder):
        part, state = _load(file)
        yield part
        if part.last:
            return
        begin, model.state = next_cut(float(part.times[-1]), 1 / pace.rate), state
    yield from _made(model, path, pace, folder, keep, begin)


def kept_parts(folder: Path) -> list[Path]:
    """The files of a film's parts, in order."""
    return sorted(folder.glob("*.npz"))


def load_part(file: Path) -> Part:
    """A part from its file."""
    return _load(file)[0]


def work_folder(target: Path, key: str) -> Path:
    """The folder for what is done so far, beside what will be made; those of other keys go.

    Args:
        target: what will be made.
        key: what all of it depends on.
    """
    mark = hashlib.sha256(key.encode()).hexdigest()[:16]
    target.parent.mkdir(parents=True, exist_ok=True)
    for other in target.parent.glob(f".{glob.escape(target.name)}.parts-*"):
        if not other.name.endswith(mark):
            shutil.rmtree(other, ignore_errors=True)
    folder = target.parent / f".{target.name}.parts-{mark}"
    folder.mkdir(exist_ok=True)
    return folder


def film_folder(work: Path, path: str) -> Path:
    """The folder for a film's parts; a file that has changed is another film."""
    return work / hashlib.sha256(f"{os.fsencode(path)!r} {stamp(path)}".encode()).hexdigest()[:16]


def stamp(path: str) -> tuple[int, int] | None:
    """Size and time of change of a local file."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return found.st_size, found.st_mtime_ns


def _made(
    model: Running, path: str, pace: Pace, folder: Path, keep: Collection[str], begin: float | None
) -> Iterator[Part]:
    """The parts from `begin` s on. One frame is read ahead, to know which part is the last."""
    chunks = max(1, round(PART_S * pace.rate / model.chunk))
    most = chunks * model.chunk
    damages: list[str] = []
    reading = frames_every(
        path, 1 / pace.rate, size=pace.size, fit=pace.fit, start=begin, damaged=damages.append
    )
    with closing(reading) as frames:
        following = next(frames, None)
        while True:
            times: list[float] = []
            found: dict[str, list[np.ndarray]] = {name: [] for name in keep}
            result = None
            while following is not None and len(times) < most:
                pictures: list[np.ndarray] = []
                while following is not None and len(pictures) < model.chunk:
                    times.append(following[0])
                    pictures.append(following[1])
                    following = next(frames, None)
                result = model.feed(np.stack(pictures))
                for name, rows in found.items():
                    rows.append(result[name])
            yield _keep(model, folder, times, found, result, following is None, damages)
            if following is None:
                return


def _keep(model, folder, times, found, result, last, damages) -> Part:
    vectors = {
        name: np.concatenate(rows) if rows else np.zeros((0, 0)) for name, rows in found.items()
    }
    total = np.zeros(0) if result is None else result[GLOBAL_VECTOR]
    part = Part(np.asarray(times), vectors, total, last, damages[0] if damages else None)
    with replacing(folder / f"{len(kept_parts(folder)):06d}.npz") as beside:
        np.savez(
            beside,
            times=part.times,
            global_vector=part.global_vector,
            last=last,
            damage=part.damage or "",
            **vectors,
            **{STATE + name: value for name, value in model.state.items()},
        )
    return part


def _load(file: Path) -> tuple[Part, dict[str, np.ndarray]]:
    with np.load(file, allow_pickle=False) as arrays:
        values = dict(arrays)
    state = {
        name.removeprefix(STATE): values.pop(name)
        for name in list(values)
        if name.startswith(STATE)
    }
    times, total = values.pop("times"), values.pop("global_vector")
    last, damage = bool(values.pop("last")), str(values.pop("damage")) or None
    return Part(times, values, total, last, damage), state
