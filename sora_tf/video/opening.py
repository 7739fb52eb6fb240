"""Opens any source by what it holds: DICOM, or what ffmpeg reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from sora_tf.video.dicom import DicomFilm, is_dicom
from sora_tf.video.film import Film, Reel
from sora_tf.video.source import Source, handle_of, name_of


@contextmanager
def open_film(source: Source, threads: int = 1, patience: float | None = None) -> Iterator[Reel]:
    """Gives an open film.

    Args:
        source: a local path, a URL (through fsspec) or a binary file object.
        threads: decoder threads.
        patience: seconds after which decoding ends; None means no end.
    Raises:
        VideoError: it cannot be opened, or has no picture.
    """
    name = name_of(source)
    with handle_of(source) as handle, film_on(handle, name, threads, patience) as film:
        yield film


@contextmanager
def film_on(
    handle: str | IO[bytes], name: str, threads: int = 1, patience: float | None = None
) -> Iterator[Reel]:
    """Gives an open film on a handle from `handle_of`; arguments and errors as `open_film`."""
    if is_dicom(handle, name):
        yield DicomFilm(handle, name)
    else:
        with Film(handle, name, threads, patience) as film:
            yield film
