"""From a folder or a table to a list of labelled clips, and back."""

import csv
import math
import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sora_tf import _checks
from sora_tf._files import replacing

SUFFIXES = {
    *(".3gp", ".avi", ".flv", ".gif", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogv", ".ts", ".vob", ".webm", ".wmv", ".y4m"),
}
SOUND_SUFFIXES = {
    *(".aac", ".ac3", ".aif", ".aiff", ".flac", ".m4a", ".mka", ".mp3", ".oga", ".ogg", ".opus"),
    *(".wav", ".wma"),
}
SPLITS = ("train", "val", "test")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")
COLUMNS = ("path", "label", "start", "end", "split", "group")


@dataclass(frozen=True)
class Clip:
    """One labelled stretch of one video.

    Args:
        path: file, absolute or relative to the working folder, or a URL.
        label: name of the class.
        start: where the clip begins in the video, s; None is the video's beginning.
        end: where it ends, s; None is the video's end.
        group: clips of one group share a source (camera, person, film) and must fall on one side
            of any split; the path when not given.
        split: "train", "val", "test" or a name of your own; None when not yet decided.
    Raises:
        ValueError: no path, a path or label that is not UTF-8 (no table could hold it), a negative
            or non-finite time, or `start` not before `end`.
    """

    path: str
    label: str
    start: float | None = None
    end: float | None = None
    group: str = ""
    split: str | None = None

    def __post_init__(self) -> None:
        """Checks the times and fills in the group."""
        if not self.path:
            raise ValueError("Clip: path must not be empty. Give a file or a URL.")
        for name, text in (("path", self.path), ("label", self.label)):
            try:
                str(text).encode()
            except UnicodeEncodeError:
                raise ValueError(
                    f"Clip: {name} must be text in UTF-8, got {text!r}. Rename the file or folder."
                ) from None
        for name, value in (("start", self.start), ("end", self.end)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"Clip: {name} must be 0 s or more, got {value!r} for {self.path}. "
                    "Leave it out to use the whole video."
                )
        if self.end is not None and not (self.start or 0.0) < self.end:
            raise ValueError(
                f"Clip: start must be before end, got {self.start} s and {self.end} s for "
                f"{self.path}. Correct the two times."
            )
        if not self.group:
            object.__setattr__(self, "group", self.path)

    @property
    def name(self) -> str:
        """The path, with the times in s where the clip is a part: `a.mp4 [1.5-3]`."""
        if self.start is None and self.end is None:
            return self.path
        end = "" if self.end is None else f"{self.end:g}"
        return f"{self.path} [{self.start or 0:g}-{end}]"


def is_url(path: str) -> bool:
    """Whether `path` names a remote file (`s3://…`, `https://…`) and not one on this machine."""
    return URL.match(path) is not None


def labels_of(clips: Iterable[Clip]) -> tuple[str, ...]:
    """The labels in use, sorted: the order of a classifier's outputs."""
    return tuple(sorted({clip.label for clip in clips}))


def read_index(source: str | os.PathLike[str], suffixes: Collection[str] = SUFFIXES) -> list[Clip]:
    """Lists the clips of a folder of class folders, or of a CSV or Parquet table.

    Folder: `source/CLASS/**/video.mp4`, at any depth inside a class, sorted, hidden files and
    files that are not videos left out, every real folder read once however it is linked. Where
    all the top folders are called train, val or test, they are splits and hold the class folders.

    Table: columns `path` and `label`; `start`, `end` (s), `split` and `group` where wanted, and
    any others, which are not read. A relative path starts at the table's folder.

    Args:
        source: the folder or the table.
        suffixes: endings, in small letters, of the files of a folder that are clips:
            `SUFFIXES | SOUND_SUFFIXES` takes those of sound as well.
    Raises:
        FileNotFoundError: there is no such folder or file.
        ValueError: no clips in it, an unknown extension, a missing column, or a row that is wrong
            (the message gives its number, the first row below the header being 1).
    """
    place = Path(source)
    if not place.exists():
        raise FileNotFoundError(
            f"read_index: there is no folder or table {place}. Give a folder of class folders, "
            "a .csv or a .parquet."
        )
    clips = _read_folder(place, suffixes) if place.is_dir() else _read_table(place)
    if not clips:
        raise ValueError(
            f"read_index: found no clips in {place}. Give a folder of class folders with videos "
            f"({' '.join(sorted(suffixes))}), or a table with rows."
        )
    return clips


def write_index(clips: Sequence[Clip], path: str | os.PathLike[str]) -> None:
    """Writes the clips as a CSV or Parquet table that `read_index` reads back.

    Files inside the table's folder are written relative to it, so that the folder can be moved.
    The table appears whole or not at all.

    Raises:
        ValueError: `path` ends in neither .csv nor .parquet.
    """
    target = Path(path)
    write = _choose(target, WRITERS)
    base = os.path.abspath(target.parent)
    rows = [
        {
            "path": _relative(clip.path, base),
            "label": clip.label,
            "start": clip.start,
            "end": clip.end,
            "split": clip.split,
            "group": None if clip.group == clip.path else clip.group,
        }
        for clip in clips
    ]
    with replacing(target) as beside:
        write(beside, rows)


def _read_folder(root: Path, suffixes: Collection[str]) -> list[Clip]:
    tops = _folders(root)
    if tops and all(top.name in SPLITS for top in tops):
        return [
            replace(clip, split=top.name)
            for top in tops
            for folder in _folders(top)
            for clip in _read_class(folder, suffixes)
        ]
    return [clip for folder in tops for clip in _read_class(folder, suffixes)]


def _read_class(folder: Path, suffixes: Collection[str]) -> list[Clip]:
    paths = sorted(os.path.abspath(path) for path in _videos(folder, set(), suffixes))
    return [Clip(path, folder.name) for path in paths]


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))


def _videos(folder: Path, seen: set[str], suffixes: Collection[str] = SUFFIXES) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in seen:
        return
    seen.add(real)
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _videos(entry, seen, suffixes)
        elif entry.suffix.lower() in suffixes and entry.is_file():
            yield entry


def _read_table(path: Path) -> list[Clip]:
    columns, rows = _choose(path, READERS)(path)
    for column in ("path", "label"):
        if column not in columns:
            raise ValueError(
                f"read_index: {path} must have the column {column!r}, got "
                f"{', '.join(map(str, columns)) or 'none'}. Add it, or rename another."
            )
    base = os.path.abspath(path.parent)
    clips = []
    for number, row in enumerate(rows, 1):
        try:
            clips.append(_clip(row, base))
        except ValueError as error:
            raise ValueError(f"read_index: {path}, row {number}: {error}") from None
    return clips


def _clip(row: dict[str, Any], base: str) -> Clip:
    path, label = _text(row, "path"), _text(row, "label")
    if path is None or label is None:
        raise ValueError("path and label must not be empty. Fill them in, or delete the row.")
    if not is_url(path):
        path = os.path.normpath(os.path.join(base, path))
    return Clip(
        path,
        label,
        _seconds(row, "start"),
        _seconds(row, "end"),
        _text(row, "group") or "",
        _text(row, "split"),
    )


def _text(row: dict[str, Any], column: str) -> str | None:
    value = row.get(column)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return str(value).strip() or None


def _seconds(row: dict[str, Any], column: str) -> float | None:
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{column} must be a number of seconds, got {value!r}. Correct it, or leave it empty."
        ) from None


def _relative(path: str, base: str) -> str:
    if is_url(path):
        return path
    absolute = os.path.abspath(path)
    inside = os.path.commonpath([absolute, base]) == base
    return os.path.relpath(absolute, base) if inside else absolute


def _choose(path: Path, choices: dict[str, Any]) -> Any:
    return choices[_checks.one_of("index", "extension", path.suffix.lower(), choices)]


def _read_csv(
    path: Path, wanted: Sequence[str] = COLUMNS
) -> tuple[list[str], list[dict[str, Any]]]:
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            return list(reader.fieldnames or ()), rows
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"read_index: {path} must be a CSV table in UTF-8, but: {error}. Save it again as such."
        ) from None


def _read_parquet(
    path: Path, wanted: Sequence[str] = COLUMNS
) -> tuple[list[str], list[dict[str, Any]]]:
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        table = parquet.read_table(path)
    except pyarrow.ArrowInvalid as error:
        raise ValueError(
            f"read_index: {path} must be a Parquet table, but: {error}. Write it again."
        ) from None
    kept = table.select([name for name in wanted if name in table.column_names])
    return table.column_names, kept.to_pylist()


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    kinds = {"start": pyarrow.float64(), "end": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds.get(name, pyarrow.string())) for name in COLUMNS])
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), path)


READERS = {".csv": _read_csv, ".parquet": _read_parquet}
WRITERS = {".csv": _write_csv, ".parquet": _write_parquet}
