"""What a teacher says of clips: a run's model is asked once and its answers are kept; a table of
vectors that `sora-tf embed` wrote is read.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.data import Augment, Clip, Problems, clip_dataset, clip_key, is_url
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR, SCORES, embedder
from sora_tf.models.video_model import MASK, VideoModel
from sora_tf.train.answers import TINY, Answers, spread_over
from sora_tf.train.run import Run, RunError

RELATIONS = "relations"
FEATURES = "features"
COLUMNS = ("path", "start", "end", GLOBAL_VECTOR, FRAME_VECTORS)
SAME = 1e-3  # s; times that differ by less are the same
MOST_FRAMES = 64  # whose relations are kept; there is one for every two
MOST_BYTES = 2 << 30  # of frame vectors that are kept


@dataclass(frozen=True)
class View:
    """A variation of every clip, the same one whatever a model's size.

    Args:
        augment: how strongly clips are varied.
        seed: of the first epoch of a `clip_dataset` that varies the same clips alike.
    """

    augment: Augment
    seed: int


def ask_run(
    run: Run,
    clips: Sequence[Clip],
    cache: str | os.PathLike[str],
    problems: Problems | None = None,
    progress: Callable[[int, int], None] | None = None,
    view: View | None = None,
    features: bool = False,
) -> Answers:
    """Asks a run's model about clips, once: the answers are kept in the cache.

    Args:
        run: the teacher. It sees each clip at its own size and number of frames.
        clips: N clips; their labels are not looked at.
        cache: folder of decoded clips; the answers go to teacher/ in it.
        problems: collects the clips that cannot be read.
        progress: called with (batches done, batches in all).
        view: how the clips are varied; None asks about them as they are.
        features: keep its frame vectors as well, which take most of the room.

    Raises:
        RunError: there is no run or no model, or not one clip can be read.
    """
    config = run.read_config()
    shape: dict[str, Any] = {
        "frames": config.model.frames,
        "size": config.model.size,
        "fit": config.fit,
    }
    path = Path(cache) / "teacher" / f"{_key(run, clips, view, features, **shape)}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            return Answers(**{name: kept.get(name) for name in Answers.__dataclass_fields__})
    model = outspoken(run.load_model())
    problems = Problems() if problems is None else problems
    apart, numbers = numbered(clips)
    if view is not None:
        # What is blended with what depends on the batch; answers can be blended afterwards.
        augment = replace(view.augment, mixup=0.0)
        shape |= {"training": True, "augment": augment, "seed": view.seed}
    dataset = clip_dataset(apart, numbers, cache=cache, problems=problems, **shape)
    rows: dict[int, dict[str, np.ndarray]] = {}
    for done, (batch, number) in enumerate(dataset, 1):
        given = model.predict_on_batch(batch)
        for place, row in enumerate(number.numpy().argmax(axis=1)):
            rows[row] = {name: values[place] for name, values in given.items()}
            rows[row][FRAME_VECTORS] = rows[row][FRAME_VECTORS][batch[MASK][place].numpy()]
        if progress:
            progress(done, int(dataset.cardinality()))
    if not rows:
        raise RunError(f"not one clip could be read; the first: {problems.lines()[0]}")
    answers = _collect(rows, len(clips), features)
    with replacing(path) as beside, open(beside, "wb") as file:
        np.savez(file, **answers.given())
    return answers


def numbered(clips: Sequence[Clip]) -> tuple[list[Clip], list[str]]:
    """Clips with a label of their own each, and these labels.

    It tells which clips a batch holds, and in what blend.
    """
    numbers = [str(number) for number in range(len(clips))]
    return [replace(clip, label=name) for clip, name in zip(clips, numbers, strict=True)], numbers


def outspoken(model: keras.Model) -> VideoModel:
    """A model that gives all it knows: both vectors, and its logits where it has a classifier.

    Args:
        model: from `build_sora`.
    """
    vectors = embedder(model)
    outputs = {name: model.get_layer(name).output for name in (FRAME_VECTORS, GLOBAL_VECTOR)}
    if SCORES in {layer.name for layer in model.layers}:
        outputs[SCORES] = model.get_layer(SCORES).input
    clip = dict(zip(vectors.input_names, vectors.inputs, strict=True))
    return VideoModel(clip, outputs, name="outspoken")


def ask_table(
    table: str | os.PathLike[str], clips: Sequence[Clip], features: bool = False
) -> Answers:
    """Looks clips up in a table of vectors.

    Where a file has several windows, its vectors are averaged and its frames put in a row. For a
    clip that is a part of a file there must be a window with its times.

    Args:
        table: Parquet, from `sora-tf embed`; relative paths in it start at the working folder.
        clips: N clips.
        features: keep the frame vectors as well.

    Raises:
        ValueError: it is no such table, or it lacks clips.
    """
    columns = _read_table(table)
    places: dict[str, list[int]] = {}
    for row, path in enumerate(columns["path"]):
        places.setdefault(_absolute(path), []).append(row)
    rows: dict[int, dict[str, np.ndarray]] = {}
    lacking = []
    for number, clip in enumerate(clips):
        found = [row for row in places.get(_absolute(clip.path), ()) if _fits(clip, columns, row)]
        if not found:
            lacking.append(clip.name)
            continue
        vectors = [columns[GLOBAL_VECTOR][row].values.to_numpy() for row in found]
        frames = [np.stack(columns[FRAME_VECTORS][row].as_py()) for row in found]
        rows[number] = {
            GLOBAL_VECTOR: np.mean(vectors, axis=0),
            FRAME_VECTORS: np.concatenate(frames),
        }
    if lacking:
        raise ValueError(
            f"distill: the table {table} must have a row for every clip, but lacks {len(lacking)} "
            f"of {len(clips)}, {lacking[0]} first. Run `sora-tf embed` on all of them."
        )
    return _collect(rows, len(clips), features)


def _fits(clip, columns, row):
    if clip.start is None and clip.end is None:
        return True
    start, end = columns["start"][row], columns["end"][row]
    wanted = (clip.start or 0.0, end if clip.end is None else clip.end)
    return abs(start - wanted[0]) < SAME and abs(end - wanted[1]) < SAME


def _read_table(table):
    import pyarrow
    import pyarrow.parquet as parquet

    try:
        found = parquet.read_table(table)
    except FileNotFoundError:
        raise ValueError(
            f"distill: there is no teacher {table}. Give a run folder, or a Parquet table that "
            "`sora-tf embed` wrote."
        ) from None
    except pyarrow.ArrowInvalid as error:
        raise ValueError(
            f"distill: the teacher must be a run folder or a Parquet table, but {table}: {error}. "
            "Make one with `sora-tf embed`."
        ) from None
    missing = [name for name in COLUMNS if name not in found.column_names]
    if missing:
        raise ValueError(
            f"distill: the table {table} must have the columns {', '.join(COLUMNS)}, but lacks "
            f"{', '.join(missing)}. Make it with `sora-tf embed`."
        )
    plain = {name: found[name].to_pylist() for name in ("path", "start", "end")}
    return plain | {name: found[name] for name in (GLOBAL_VECTOR, FRAME_VECTORS)}


def _collect(rows, count, features):
    """Stacks {clip: {"scores", "global_vector", "frame_vectors" (n, D)}} into answers."""

    def stack(name):
        if any(name not in row for row in rows.values()):
            return None
        blank = np.zeros_like(next(iter(rows.values()))[name], np.float32)
        return np.stack([np.float32(rows[i][name]) if i in rows else blank for i in range(count)])

    frames = np.zeros(count, int)
    for number, row in rows.items():
        x = np.asarray(row.pop(FRAME_VECTORS), np.float32)
        x = x[spread_over(len(x), min(len(x), MOST_FRAMES))]
        if features:
            row[FEATURES] = x.astype(np.float16)
        x = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), TINY)
        frames[number] = len(x)
        row[RELATIONS] = x @ x.T
    longest = frames.max()
    for row in rows.values():
        padding = longest - len(row[RELATIONS])
        row[RELATIONS] = np.pad(row[RELATIONS], ((0, padding), (0, padding)))
    known = np.array([number in rows for number in range(count)])
    seen = _padded(rows, count, longest) if features else None
    return Answers(known, stack(SCORES), stack(GLOBAL_VECTOR), stack(RELATIONS), frames, seen)


def _padded(rows, count, longest):
    """Frame vectors (N, n, F) of all clips; None where they take too much room."""
    length = next(iter(rows.values()))[FEATURES].shape[1]
    if 2 * count * longest * length > MOST_BYTES:
        return None
    found = np.zeros((count, longest, length), np.float16)
    for number, row in rows.items():
        found[number, : len(row[FEATURES])] = row[FEATURES]
    return found


def _absolute(path):
    return path if is_url(path) else os.path.abspath(path)


def _key(run, clips, view, features, frames, size, fit):
    """Names answers by what decides them: the teacher's file, and the clips as it reads them."""
    digest = hashlib.sha256(run.model_path.read_bytes())
    if features:
        digest.update(FEATURES.encode())
    for clip in clips:
        try:
            key = clip_key(clip.path, frames, size, clip.start, clip.end, fit)
        except OSError:
            key = clip.name  # reading it says what is wrong
        digest.update(key.encode())
    if view is not None:
        digest.update(repr(view).encode())
    return digest.hexdigest()[:40]
