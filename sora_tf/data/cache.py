"""Decoded clips kept on disk, so that each is decoded once and not once an epoch."""

import hashlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sora_tf._files import replacing
from sora_tf.data.index import is_url
from sora_tf.video import VideoFrames

LOG = logging.getLogger(__name__)
STALE = 3600.0  # s; no writer takes as long over one entry


class ClipCache:
    """A folder of decoded clips, an uncompressed .npz each: frames, times, damage.

    An entry appears whole or not at all, and carries checksums: one that does not read is made
    again. Any number of threads and processes may read and write the same folder. What a killed
    writer left is removed when the folder is next opened, once it is an hour old.

    Args:
        folder: made where it is missing.
    Attributes:
        hits: entries found, by this object.
        misses: entries made, by this object.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        """Opens the folder and clears away what killed writers left."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.hits = 0
        self.misses = 0
        self._lock = threading.Lock()
        for partial in self.folder.glob("??/.*"):
            try:
                if time.time() - partial.stat().st_mtime > STALE:
                    shutil.rmtree(partial, ignore_errors=True)
            except OSError:
                continue  # its writer, or another opener, was quicker

    def get(self, key: str, make: Callable[[], VideoFrames]) -> VideoFrames:
        """The entry of that key, made with `make` and kept where there is none that reads.

        What `make` raises is passed on. An entry that cannot be written is given all the same.
        """
        path = self._path(key)
        found = _read(path)
        with self._lock:
            self.hits += found is not None
            self.misses += found is None
        if found is not None:
            return found
        video = make()
        try:
            with replacing(path) as beside, open(beside, "wb") as file:
                damage = np.array(video.damage or "")
                np.savez(file, frames=video.frames, times=video.times, damage=damage)
        except OSError as error:  # a full disk costs time, not the run
            LOG.warning("not kept in the cache: %s: %s", path, error)
        return video

    def has(self, key: str) -> bool:
        """Whether there is an entry of that key; it may still turn out not to read."""
        return self._path(key).is_file()

    def size_bytes(self) -> int:
        """What all entries take on disk, in bytes."""
        return sum(path.stat().st_size for path in self.folder.glob("??/*.npz"))

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.npz"


def clip_key(
    path: str,
    count: int,
    size: tuple[int, int],
    start: float | None = None,
    end: float | None = None,
    fit: str = "stretch",
) -> str:
    """Names a decoded clip by all that decides its pixels, the file's size and date among them.

    Raises:
        OSError: there is no such file, or its host does not answer.
    """
    if is_url(path):
        version = _remote_version(path)
    else:
        path, facts = os.path.abspath(path), os.stat(path)
        version = [str(facts.st_size), str(facts.st_mtime_ns)]
    fields = [path, version, count, list(size), start, end, fit]
    return hashlib.sha256(json.dumps(fields).encode()).hexdigest()[:40]


def _remote_version(url: str) -> list[str]:
    import fsspec

    try:
        system, path = fsspec.core.url_to_fs(url)
        facts = system.info(path)
    except Exception as error:  # each file system of fsspec has exceptions of its own
        raise OSError(f"{url}: {error}") from error
    return [str(facts.get(name)) for name in ("size", "mtime", "LastModified", "ETag", "created")]


def _read(path: Path) -> VideoFrames | None:
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as entry:
            frames, times, damage = entry["frames"], entry["times"], str(entry["damage"])
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged file makes zipfile and numpy raise nearly anything
        LOG.warning("decoded again, for the cache's copy does not read: %s: %s", path, error)
        return None
    if frames.ndim != 4 or frames.dtype != np.uint8 or len(frames) != len(times):
        return None
    return VideoFrames(frames, times, damage or None)
