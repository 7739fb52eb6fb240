"""Files that appear whole or not at all: written beside their place, then renamed."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a path to write to, in the same folder with the same suffix, and renames it at the end.

    The folder is made where it is missing. If the body raises, what was written is removed and
    whatever stood at `path` stays. An OSError of the place names `path`, not what is beside it.

    Example:
        with replacing("out.json") as beside:
            beside.write_text(text)
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _naming(target):
        folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        beside = folder / target.name
        yield beside
        with _naming(target):
            os.replace(beside, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _naming(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(target)) from error


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes a value as indented JSON."""
    with replacing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
