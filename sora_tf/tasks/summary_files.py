"""Summaries of many films, a folder each: page, storyboard, highlights and numbers."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sora_tf._files import replacing, write_json
from sora_tf._progress import counting
from sora_tf.data.beside import cues_of, subtitles_beside
from sora_tf.tasks.attention import Attend
from sora_tf.tasks.choice import Length
from sora_tf.tasks.highlight import write_highlight
from sora_tf.tasks.parts import Pace, film_folder, stamp, work_folder
from sora_tf.tasks.running import Running
from sora_tf.tasks.scorer import Scorer
from sora_tf.tasks.segments import APART
from sora_tf.tasks.storyboard import attended, pictures_of, shown_moments, storyboard
from sora_tf.tasks.summarize import Summary, longer_than, summarize
from sora_tf.tasks.summary_page import summary_page
from sora_tf.tasks.talk import SENTENCES, summarize_talk
from sora_tf.video import VideoError, probe

NUMBERS, PAGE, SHEET, FILM = "summary.json", "index.html", "storyboard.png", "highlight.mp4"


@dataclass(frozen=True)
class Wish:
    """What summaries are wanted.

    Args:
        length: of each.
        segments: "features" or "pyscenedetect".
        apart: as in `summarize`.
        subtitles: as in `cues_of`, for all films.
        sentences: most sentences of what is said.
    """

    length: Length = field(default_factory=Length)
    segments: str = "features"
    apart: float | None = APART
    subtitles: str | None = None
    sentences: int = SENTENCES


def summarize_files(
    model: Running,
    paths: Sequence[str],
    pace: Pace,
    out: str | os.PathLike[str],
    key: str,
    wish: Wish | None = None,
    scorer: Scorer | None = None,
    attend: Attend | None = None,
) -> Iterator[dict[str, Any]]:
    """Summarises films, each into a folder of its own, as they are done.

    What is finished is not made again; a film on which a run was killed goes on where it was.

    Args:
        model: from `running`.
        paths: files or URLs.
        pace: how to read them.
        out: the folder of folders.
        key: what the vectors depend on (the model's file, say).
        wish: what is wanted; None is 15 % of each film.
        scorer: users' taste, if theirs is to count.
        attend: says what of each moment counted, to be drawn in the page; None leaves it out.

    Yields:
        {"path", "folder", "duration", "summary_seconds", "moments", "damage"} or {"path",
        "error"}.
    """
    wish = wish or Wish()
    taste = None if scorer is None else (scorer.bias, scorer.weights.tobytes())
    for path, folder in zip(paths, folders_of(paths, Path(out)), strict=True):
        stamps = stamp(path), _subtitle_stamp(path, wish)
        given = (key, pace, wish, *stamps, path, taste, attend is None)
        own = " ".join(map(str, given))
        mark = hashlib.sha256(own.encode("utf-8", "surrogateescape")).hexdigest()[:16]
        try:
            if not _is_done(folder, mark):
                _make(model, path, pace, folder, key, mark, wish, scorer, attend)
            yield _answer(path, folder)
        except VideoError as error:
            yield {"path": path, "error": str(error)}


def folders_of(paths: Sequence[str], out: Path) -> list[Path]:
    """A folder for each film, by its name; a name that comes again gets a number."""
    found: list[Path] = []
    for path in paths:
        stem = os.path.splitext(os.path.basename(path.rstrip("/")))[0] or "film"
        name, number = stem, 1
        while out / name in found:
            number += 1
            name = f"{stem}-{number}"
        found.append(out / name)
    return found


def _make(model, path, pace, folder, key, mark, wish, scorer, attend) -> None:
    cues = cues_of(path, wish.subtitles)
    total, wanted = probe(path).duration or 0.0, wish.length.seconds
    if wanted is not None and 0 < total < wanted:
        raise longer_than(path, total, wanted)
    work = work_folder(folder, f"{key} {pace}")
    try:
        with counting(os.path.basename(path)) as update:
            summary = summarize(
                model,
                path,
                pace,
                film_folder(work, path),
                wish.length,
                scorer,
                wish.segments,
                wish.apart,
                lambda time: update(int(time), int(total)),
            )
    except VideoError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    summary.talk.extend(summarize_talk(cues, wish.sentences, summary.importance_at))
    with replacing(folder) as beside:
        beside.mkdir()
        _write(summary, beside, mark, pace, attend)
        if _mark_of(folder) is not None:  # an earlier summary, which this one takes the place of
            shutil.rmtree(folder)
    shutil.rmtree(work, ignore_errors=True)


def _write(summary: Summary, folder: Path, mark: str, pace: Pace, attend: Attend | None) -> None:
    moments = shown_moments(summary)
    pictures = pictures_of(summary, moments)
    storyboard(summary, moments, pictures).save(folder / SHEET)
    write_highlight(folder / FILM, summary.path, summary.moments)
    counted = None
    if attend is not None:
        counted = attended(attend, summary.path, moments, pictures, pace)
    page = summary_page(summary, moments, pictures, folder / FILM, counted)
    (folder / PAGE).write_text(page, encoding="utf-8")
    write_json(folder / NUMBERS, {**summary.to_dict(), "made_from": mark})


def _subtitle_stamp(path: str, wish: Wish) -> Any:
    file = wish.subtitles or subtitles_beside(path)
    return file and stamp(file)


def _mark_of(folder: Path) -> str | None:
    """What the summary in a folder was made from; None where there is none."""
    try:
        return json.loads((folder / NUMBERS).read_text(encoding="utf-8"))["made_from"]
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_done(folder: Path, mark: str) -> bool:
    there = all((folder / name).is_file() for name in (NUMBERS, PAGE, SHEET, FILM))
    return there and _mark_of(folder) == mark


def _answer(path: str, folder: Path) -> dict[str, Any]:
    numbers = json.loads((folder / NUMBERS).read_text(encoding="utf-8"))
    wanted = ("duration", "summary_seconds", "moments", "talk", "damage")
    return {"path": path, "folder": str(folder), **{name: numbers[name] for name in wanted}}
