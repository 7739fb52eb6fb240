"""Tracks of videos: detect, link, count, draw, in memory that does not grow with the film.

A video gets a folder: tracks.txt (MOT), annotated.mp4, alerts.json and, last, tracks.json, which
says that all is there.
"""

import hashlib
import json
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._files import write_json
from sora_tf.data.boxes import Boxes, joined
from sora_tf.data.index import is_url
from sora_tf.tasks.detector import every_of
from sora_tf.tasks.tracking.counting import Counts
from sora_tf.tasks.tracking.drawing import Pen
from sora_tf.tasks.tracking.files import tracks_of, write_mot
from sora_tf.tasks.tracking.follow import Seen, Source, Tracking, follow
from sora_tf.video import VideoError, probe, write

TRACKS, MOT, ALERTS, FILM = "tracks.json", "tracks.txt", "alerts.json", "annotated.mp4"
Bar = Callable[[Any, str, int], Any]


def track_files(
    paths: Sequence[str],
    source: Source,
    out: str | os.PathLike[str],
    settings: Tracking | None = None,
    bar: Bar = lambda items, unit, total: items,
) -> Iterator[dict[str, Any]]:
    """Tracks videos into folders below `out`, named after them; what is finished is not redone.

    Args:
        paths: files or URLs.
        source: what finds the boxes.
        out: folder to write to.
        settings: which frames, how boxes are linked, lines and zones.
        bar: shows progress over the frames of a video, as `progress` does.

    Yields:
        {"path", "folder", "frames", "tracks": {class: number}, "lines", "zones", "alerts": number,
        "damage": None or what was wrong, "kept": whether it was there before}, or
        {"path", "error"}.

    Raises:
        ValueError: a line or zone counts a class that the source does not know.
    """
    settings = settings or Tracking()
    settings.marks.check_labels(tuple(source.labels))
    for path, folder in zip(paths, _folders(paths, Path(out)), strict=True):
        try:
            yield _track_file(path, source, folder, settings, bar)
        except (VideoError, ValueError, OSError) as error:
            yield {"path": path, "error": " ".join(str(error).split())}


def _track_file(
    path: str, source: Source, folder: Path, settings: Tracking, bar: Bar
) -> dict[str, Any]:
    info = probe(path)
    key = _key(path, source, settings)
    kept = _kept(folder, key)
    if kept is not None:
        return {**kept, "path": path, "folder": str(folder), "kept": True}
    counts = Counts(settings.marks.on(info.width, info.height), source.labels)
    (folder / TRACKS).unlink(missing_ok=True)
    damage: list[str] = []
    fps = info.rate
    every = settings.every
    if every is None:
        every = 1 if isinstance(source.boxes, Boxes) else every_of(source.boxes, fps)
    frames = -(-(info.declared_frames or 0) // every)
    seen = bar(follow(path, source, settings, every, damage.append), "frames", frames)
    found = _written(seen, folder, settings.drawn, fps / every, counts, source.labels)
    boxes = joined(found)
    tracks = tracks_of(boxes, source.labels)
    write_mot(boxes, folder / MOT)
    write_json(folder / ALERTS, counts.alerts())
    classes = [track["class"] for track in tracks]
    answer = {
        "path": path,
        "folder": str(folder),
        "frames": len(found),
        "tracks": {name: classes.count(name) for name in sorted(set(classes))},
        **counts.to_dict(),
        "alerts": len(counts.alerts()),
        "damage": damage[0] if damage else None,
        "kept": False,
    }
    size = {"width": info.width, "height": info.height, "fps": fps, "every": every}
    record = {"key": key, "answer": answer, **size, "labels": list(source.labels)}
    write_json(folder / TRACKS, {**record, "tracks": tracks})
    return answer


def _written(
    seen: Iterable[Seen],
    folder: Path,
    drawn: bool,
    fps: float,
    counts: Counts,
    labels: Sequence[str],
) -> list[Boxes]:
    """Counts and draws frame by frame; returns the boxes with an identity of each frame."""
    found: list[Boxes] = []

    def pictures() -> Iterator[np.ndarray]:
        pen: Pen | None = None
        for frame in seen:
            found.append(frame.boxes.of(frame.boxes.identities >= 0))
            counts.update(frame.time, found[-1])
            if drawn:
                pen = pen or Pen(labels, len(frame.picture))
                yield pen.draw(frame.picture, found[-1], counts)

    if drawn:
        write(folder / FILM, pictures(), fps)
    else:
        deque(pictures(), maxlen=0)
    return found


def _folders(paths: Sequence[str], out: Path) -> list[Path]:
    """A folder for each video; those of one name are numbered."""
    used: dict[str, int] = {}
    folders = []
    for path in paths:
        name = Path(path).stem or "video"
        used[name] = used.get(name, 0) + 1
        folders.append(out / (name if used[name] == 1 else f"{name}-{used[name]}"))
    return folders


def _key(path: str, source: Source, settings: Tracking) -> str:
    """Names all that the answer depends on."""
    version: list[Any] = [path]
    if not is_url(path):
        facts = os.stat(path)
        version = [os.path.abspath(path), facts.st_size, facts.st_mtime_ns]
    text = json.dumps([version, source.key, list(source.labels), repr(settings)])
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _kept(folder: Path, key: str) -> dict[str, Any] | None:
    """The answer of a folder that is finished, if it is to this question."""
    try:
        record = json.loads((folder / TRACKS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record["answer"] if isinstance(record, dict) and record.get("key") == key else None
