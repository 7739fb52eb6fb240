"""Vectors for films of any length: read from end to end, a row a minute, in bounded memory."""

import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from sora_tf._files import replacing
from sora_tf._progress import counting
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR
from sora_tf.tasks.embed import SCHEMA, text_of
from sora_tf.tasks.parts import (
    Pace,
    Part,
    film_folder,
    film_parts,
    kept_parts,
    load_part,
    work_folder,
)
from sora_tf.tasks.running import Running
from sora_tf.video import VideoError, probe


def embed_long_to_table(
    model: Running,
    paths: Sequence[str],
    pace: Pace,
    out: str | os.PathLike[str],
    key: str,
) -> Iterator[dict[str, Any]]:
    """Embeds films into a Parquet table of `SCHEMA`, and goes on where a killed run stopped.

    A row is a minute of a film: its frames' vectors, and the global vector of the film from its
    start to the end of the row, so that the last row's is the whole film's.

    Args:
        model: from `running`.
        paths: files or URLs.
        pace: how to read them.
        out: the table; written when all films are done. Where none gives a row, there is none.
        key: what the vectors depend on (the model's file, say).

    Yields:
        {"path", "windows": rows, "error": None or what was wrong} for every film.

    Raises:
        ValueError: `out` is a folder.
    """
    target = Path(out)
    if target.is_dir():
        raise ValueError(f"embed: the table must be a file, got the folder {target}. Name one.")
    work = work_folder(target, f"{key} {pace}")
    for path in paths:
        error, rows = None, 0
        try:
            total = int(probe(path).duration or 0)
            with counting(os.path.basename(path)) as update:
                for part in film_parts(model, path, pace, film_folder(work, path), [FRAME_VECTORS]):
                    rows += 1
                    error = part.damage
                    update(int(part.times[-1]), total)
        except VideoError as wrong:
            error = str(wrong)
        yield {"path": path, "windows": rows, "error": error}
    files = [(path, file) for path in paths for file in kept_parts(film_folder(work, path))]
    if files:
        with replacing(target) as beside, pyarrow.parquet.ParquetWriter(beside, SCHEMA) as writer:
            for path, file in files:
                row = _row(path, load_part(file))
                writer.write_table(pyarrow.Table.from_pylist([row], SCHEMA))
    shutil.rmtree(work)


def _row(path: str, part: Part) -> dict[str, Any]:
    return {
        "path": text_of(path),
        "start": float(part.times[0]),
        "end": float(part.times[-1]),
        GLOBAL_VECTOR: part.global_vector,
        "frame_times": part.times,
        FRAME_VECTORS: list(part.vectors[FRAME_VECTORS]),
        "damage": part.damage,
    }
