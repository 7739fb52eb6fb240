"""Where the bytes come from: a local path, a binary file object, or a URL through fsspec."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import av
from av.container import InputContainer

from sora_tf.video.errors import VideoError

Source = str | os.PathLike | IO[bytes]

# A local file may hold a playlist: it must not make ffmpeg reach for anything but files.
OPEN_OPTIONS = {"protocol_whitelist": "file"}
PLAYLISTS = {"hls", "concat", "dash", "sdp", "imf", "rtsp"}
SPOOL_BYTES = 64 * 2**20
URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.\-]*://|^[A-Za-z0-9]+::")


def name_of(source: Source) -> str:
    """The name of a source, for messages."""
    if isinstance(source, (str, os.PathLike)):
        return os.fspath(source)
    return str(getattr(source, "name", None) or f"<{type(source).__name__}>")


@contextmanager
def handle_of(source: Source) -> Iterator[str | IO[bytes]]:
    """Gives an absolute local path or a seekable binary file object for `source`.

    Args:
        source: a local path, a binary file object (read from its beginning, left open), or a
            URL with a scheme that fsspec knows ("s3://bucket/film.mp4").
    Raises:
        VideoError: there is no such file, or fsspec could not open it ("cannot open").
    """
    name = name_of(source)
    if not isinstance(source, (str, os.PathLike)):
        if not hasattr(source, "read"):
            raise TypeError(
                f"read: a source must be a path, a URL or a binary file object, got {source!r}. "
                "Open the file first, or give its path."
            )
        yield from _seekable(source, name)
    elif URL.match(name):
        with _remote(name) as file:
            yield from _seekable(file, name)
    else:
        path = Path(name).absolute()
        try:
            if not path.exists():
                raise VideoError(name, "cannot open", "no such file")
            if not path.is_file():
                raise VideoError(name, "cannot open", "it is not a file")
        except (OSError, ValueError) as error:  # too long a name, or a zero byte in it
            raise VideoError(name, "cannot open", str(error)) from error
        yield str(path)


def _seekable(file: IO[bytes], name: str) -> Iterator[IO[bytes]]:
    try:
        if file.seekable():
            yield file
            return
    except AttributeError as error:
        raise VideoError(name, "cannot open", "the file object has no seekable()") from error
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        shutil.copyfileobj(file, spool)
        yield spool


@contextmanager
def _remote(url: str) -> Iterator[IO[bytes]]:
    import fsspec

    # Each file system of fsspec has exceptions of its own; to the caller all are one.
    try:
        opened: Any = fsspec.open(url, "rb").open()
    except ImportError as error:
        raise VideoError(url, "cannot open", str(error), "Use pip for that.") from error
    except Exception as error:
        raise VideoError(url, "cannot open", f"{type(error).__name__}: {error}") from error
    with opened:
        yield opened


def open_container(handle: str | IO[bytes], name: str) -> InputContainer:
    """Opens a container on a handle from `handle_of`.

    Raises:
        VideoError: ffmpeg cannot open it, or it is a playlist ("cannot open").
    """
    # Bad bytes surface as FFmpegError, ValueError, UnicodeDecodeError, EOFError, MemoryError
    # or whatever the file object raises: all say the same thing about this file.
    try:
        if not isinstance(handle, str):
            handle.seek(0)
        container = av.open(handle, "r", options=dict(OPEN_OPTIONS), metadata_errors="ignore")
    except Exception as error:
        raise VideoError(name, "cannot open", _reason(error)) from error
    if PLAYLISTS & set(container.format.name.split(",")):
        container.close()
        raise VideoError(
            name, "cannot open", "it is a playlist", "Give the films that it lists instead."
        )
    return container


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error) or type(error).__name__
