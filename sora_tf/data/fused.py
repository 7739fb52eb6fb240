"""Clips with what is heard and said in them: a folder of films, or a table of more files."""

import os
from dataclasses import dataclass
from pathlib import Path

from sora_tf.data.index import (
    READERS,
    SOUND_SUFFIXES,
    SUFFIXES,
    Clip,
    is_url,
    read_index,
)
from sora_tf.video.subtitles import EMBEDDED

MORE = ("sound", "subtitles", "caption")  # columns of a table


@dataclass(frozen=True)
class FusedClip:
    """A clip, and where its sound and its words are.

    Args:
        clip: the film, or a stretch of it.
        sound: a file of its sound on the film's clock; None is the film's own track, if any.
        subtitles: a file of them; None are those beside the film and else inside it, if any.
        caption: text about the whole clip; None is that of the .txt beside the film, if any.
    """

    clip: Clip
    sound: str | None = None
    subtitles: str | None = None
    caption: str | None = None


def read_fused(source: str | os.PathLike[str], seen: bool = True) -> list[FusedClip]:
    """Lists the clips of a folder of class folders, or of a table.

    Args:
        source: as in `read_index`; a table may have the columns `sound`, `subtitles` (files,
            relative ones from the table's folder; "embedded" where the film must hold them) and
            `caption` as well, empty where there is none.
        seen: whether clips must have pictures; else files of sound in a folder are clips as well.
    Raises:
        FileNotFoundError, ValueError: as `read_index`.
    """
    clips = read_index(source, SUFFIXES if seen else SUFFIXES | SOUND_SUFFIXES)
    place = Path(source)
    if place.is_dir():
        return [FusedClip(clip) for clip in clips]
    _, rows = READERS[place.suffix.lower()](place, MORE)
    base = os.path.abspath(place.parent)
    return [
        FusedClip(
            clip,
            _file(row.get("sound"), base),
            _file(row.get("subtitles"), base),
            _text(row.get("caption")),
        )
        for clip, row in zip(clips, rows, strict=True)
    ]


def _text(value) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _file(value, base: str) -> str | None:
    name = _text(value)
    if name is None or name == EMBEDDED or is_url(name):
        return name
    return os.path.normpath(os.path.join(base, name))
