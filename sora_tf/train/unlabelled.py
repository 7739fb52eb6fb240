"""Clips without labels: any folder of videos, or a table of their paths."""

import os
from collections.abc import Sequence
from pathlib import Path

from sora_tf import _checks
from sora_tf.data import Clip, is_url
from sora_tf.data.index import READERS, SUFFIXES, _clip, _videos

NO_LABEL = "-"


def read_unlabelled(source: str | os.PathLike[str]) -> list[Clip]:
    """Lists the videos of a folder, at any depth, or of a table, whatever their labels.

    Args:
        source: a folder, or a CSV or Parquet table with a column `path` and, where wanted,
            `start` and `end` (s), `group` and `split`.

    Returns:
        Clips, all with the label "-".

    Raises:
        FileNotFoundError: there is no such folder or table.
        ValueError: there are no videos in it, or the table or a row of it is wrong.
    """
    place = Path(source)
    if not place.exists():
        raise FileNotFoundError(
            f"read_unlabelled: there is no folder or table {place}. Give a folder of videos, a "
            ".csv or a .parquet."
        )
    if place.is_dir():
        clips = [Clip(os.path.abspath(path), NO_LABEL) for path in _videos(place, set())]
    else:
        clips = _from_table(place)
    if not clips:
        raise ValueError(
            f"read_unlabelled: found no clips in {place}. Give a folder with videos "
            f"({' '.join(sorted(SUFFIXES))}), or a table with rows."
        )
    return clips


def apart_from(clips: Sequence[Clip], others: Sequence[Clip]) -> list[Clip]:
    """The clips whose file is not that of any other: what is tested on must not be learnt from."""
    taken = {real(clip.path) for clip in others}
    return [clip for clip in clips if real(clip.path) not in taken]


def real(path: str) -> str:
    """A path by which a file is known whatever links lead to it; a URL as it is."""
    return path if is_url(path) else os.path.realpath(path)


def _from_table(path):
    _checks.one_of("read_unlabelled", "extension", path.suffix.lower(), READERS)
    columns, rows = READERS[path.suffix.lower()](path)
    if "path" not in columns:
        raise ValueError(
            f"read_unlabelled: {path} must have the column 'path', got "
            f"{', '.join(map(str, columns)) or 'none'}. Add it, or rename another."
        )
    base = os.path.abspath(path.parent)
    clips = []
    for number, row in enumerate(rows, 1):
        try:
            clips.append(_clip({**row, "label": NO_LABEL}, base))
        except ValueError as error:
            raise ValueError(f"read_unlabelled: {path}, row {number}: {error}") from None
    return clips
