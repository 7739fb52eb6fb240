"""Vectors for videos: a global vector a window and a vector a frame, in a Parquet table.

Finished files are kept in parts beside the table until all is done, so that a killed run goes on
where it stopped.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR, embedder
from sora_tf.tasks.parts import work_folder
from sora_tf.tasks.windows import Reading, batch_of, read_windows
from sora_tf.video import VideoError

SCHEMA = pyarrow.schema(
    [
        ("path", pyarrow.string()),
        ("start", pyarrow.float64()),
        ("end", pyarrow.float64()),
        (GLOBAL_VECTOR, pyarrow.list_(pyarrow.float32())),
        ("frame_times", pyarrow.list_(pyarrow.float64())),
        (FRAME_VECTORS, pyarrow.list_(pyarrow.list_(pyarrow.float32()))),
        ("damage", pyarrow.string()),
    ]
)
EACH = 64  # files in a part


def embed_files(
    model: keras.Model, paths: Sequence[str], reading: Reading
) -> Iterator[dict[str, Any]]:
    """Embeds files, as they are done.

    Args:
        model: from `build_sora`.
        paths: files or URLs.
        reading: how to read them.

    Yields:
        {"path", "rows": a row a window as in `SCHEMA`, "error": None or what was wrong}.
    """
    vectors = embedder(model)
    rows: list[dict[str, Any]] = []
    error = None
    for path, item, last in read_windows(paths, reading):
        if isinstance(item, VideoError):
            error = error or str(item)
        else:
            output = vectors.predict_on_batch(batch_of(item))
            real = item.mask
            rows.append(
                {
                    "path": text_of(path),
                    "start": item.start,
                    "end": item.until,
                    GLOBAL_VECTOR: output[GLOBAL_VECTOR][0],
                    "frame_times": item.times[real],
                    FRAME_VECTORS: list(output[FRAME_VECTORS][0][real]),
                    "damage": item.damage,
                }
            )
        if last:
            yield {"path": path, "rows": rows, "error": error}
            rows, error = [], None


def embed_to_table(
    model: keras.Model,
    paths: Sequence[str],
    reading: Reading,
    out: str | os.PathLike[str],
    key: str,
) -> Iterator[dict[str, Any]]:
    """Embeds files into a Parquet table of `SCHEMA`, and goes on where a killed run stopped.

    Where not one file gives a row, no table is written and one that was there stays.

    Args:
        model: from `build_sora`.
        paths: files or URLs.
        reading: how to read them.
        out: the table; written when all files are done.
        key: what the vectors depend on (the model's file, say); parts of another key are redone.

    Yields:
        {"path", "windows": rows written, "error"} for every file, the ones done before included.

    Raises:
        ValueError: `out` is a folder.
    """
    target = Path(out)
    if target.is_dir():
        raise ValueError(f"embed: the table must be a file, got the folder {target}. Name one.")
    parts = work_folder(target, f"{key} {reading}")
    kept = [item for part in sorted(parts.glob("*.json")) for item in json.loads(part.read_text())]
    wanted = set(paths)  # the killed run's may have been others
    done = [item for item in kept if item["path"] in wanted]
    yield from done
    finished = {item["path"] for item in done}
    rows: list[dict[str, Any]] = []
    items: list[dict[str, Any]] = []
    for result in embed_files(model, [path for path in paths if path not in finished], reading):
        rows += result["rows"]
        item = {"path": result["path"], "windows": len(result["rows"]), "error": result["error"]}
        items.append(item)
        done.append(item)
        if len(items) == EACH:
            _write_part(parts, rows, items)
            rows, items = [], []
        yield item
    if items:
        _write_part(parts, rows, items)
    if not any(item["windows"] for item in done):
        shutil.rmtree(parts)
        return
    asked = [("path", "in", {text_of(path) for path in wanted})]
    with replacing(target) as beside, pyarrow.parquet.ParquetWriter(beside, SCHEMA) as writer:
        for part in sorted(parts.glob("*.json")):
            table = pyarrow.parquet.read_table(part.with_suffix(".parquet"), filters=asked)
            writer.write_table(table)
    shutil.rmtree(parts)


def text_of(path: str) -> str:
    """A path as a table can hold it: bytes that are no UTF-8 are spelt out."""
    return path.encode("utf-8", "backslashreplace").decode()


def _write_part(parts: Path, rows: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    """The rows first: the list of files is what says that the part is whole."""
    name = f"{len(list(parts.glob('*.json'))):06d}"
    with replacing(parts / f"{name}.parquet") as beside:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, SCHEMA), beside)
    with replacing(parts / f"{name}.json") as beside:
        beside.write_text(json.dumps(items))
