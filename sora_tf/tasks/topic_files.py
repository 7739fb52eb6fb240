"""Topics of films on disk: numbers, a table and a page in one folder."""

import os
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from sora_tf._files import replacing, write_json
from sora_tf.data import is_url
from sora_tf.data.beside import ENDINGS, cues_of
from sora_tf.data.index import SUFFIXES
from sora_tf.data.sentences import sentences
from sora_tf.models.sora import GLOBAL_VECTOR
from sora_tf.tasks.embed import text_of
from sora_tf.tasks.storyboard import amount, clock
from sora_tf.tasks.summary_page import STYLE
from sora_tf.tasks.topics import Look, Topics
from sora_tf.video import VideoError
from sora_tf.video.subtitles import Cue, read_cues

NUMBERS, TABLE, PAGE = "topics.json", "topics.parquet", "index.html"
MOST_FILMS = 500  # on a page

TABLE_STYLE = """
table { border-collapse:collapse; width:100%; font-size:.9rem }
th, td { text-align:right; padding:6px 8px; border-top:1px solid var(--line);
  font-variant-numeric:tabular-nums }
th:first-child, td:first-child { text-align:left; overflow-wrap:anywhere }
td[style] { background:color-mix(in srgb, var(--mark) calc(var(--w) * 100%), transparent) }
.terms { font-size:1.05rem } .terms span { margin-right:.8em }
"""


def list_films(sources: Sequence[str]) -> list[str]:
    """Films, and files of subtitles without a film beside them, in folders at any depth or named.

    Raises:
        ValueError: there are none, or a name is nothing.
    """
    found = []
    for source in sources:
        if not is_url(source) and not os.path.exists(source):
            raise ValueError(f"{source}: there is no such file or folder. Correct the name.")
        if is_url(source) or not os.path.isdir(source):
            found.append(source)
            continue
        files = sorted(
            path
            for path in Path(source).rglob("*")
            if path.suffix.lower() in (*SUFFIXES, *ENDINGS) and not path.name.startswith(".")
        )
        stems = {path.with_suffix("") for path in files if path.suffix.lower() in SUFFIXES}
        found += [
            str(path)
            for path in files
            if path.suffix.lower() in SUFFIXES
            or not {path.with_suffix(""), path.with_suffix("").with_suffix("")} & stems
        ]
    if not found:
        raise ValueError(f"topics: found no films or subtitles in {', '.join(sources)}. Name some.")
    return list(dict.fromkeys(found))


def said_in(paths: Sequence[str]) -> tuple[dict[str, list[Cue]], list[str]]:
    """The sentences of films, and what was wrong with those that have none, a line each."""
    found, skipped = {}, []
    for path in paths:
        try:
            own = Path(path).suffix.lower() in ENDINGS
            said = sentences(read_cues(path) if own else cues_of(path))
        except VideoError as error:
            skipped.append(str(error))
            continue
        if said:
            found[path] = said
        else:
            skipped.append(f"{path}: nothing is said in it: no subtitles beside it or inside it")
    return found, skipped


def looks_in(table: str, films: Sequence[str]) -> dict[str, list[Look]]:
    """What films look like, out of a table of `sora-tf embed`.

    Raises:
        ValueError: it does not read, or has none of the films.
    """
    columns = ["path", "start", "end", GLOBAL_VECTOR]
    try:
        rows = pyarrow.parquet.read_table(table, columns=columns).to_pylist()
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{table}: the vectors do not read: {reason}. Give a table of `sora-tf embed`."
        ) from None
    known = {text_of(film): film for film in films}
    found: dict[str, list[Look]] = {}
    for row in rows:
        if (film := known.get(row["path"])) and row[GLOBAL_VECTOR]:
            vector = np.asarray(row[GLOBAL_VECTOR], np.float32)
            found.setdefault(film, []).append(Look(row["start"], row["end"], vector))
    if not found:
        raise ValueError(
            f"{table}: it has vectors of none of the films. Make it by `sora-tf embed` of the same "
            "names."
        )
    return found


def as_values(topics: Topics, skipped: Sequence[str]) -> dict[str, Any]:
    """Topics as plain values."""
    return {
        "topics": [
            {
                "terms": [{"term": term, "weight": round(w, 6)} for term, w in topic.terms],
                "coherence": round(topic.coherence, 6),
                "share": round(topic.share, 6),
            }
            for topic in topics.topics
        ],
        "films": {
            text_of(film): [round(float(w), 6) for w in weights]
            for film, weights in topics.films.items()
        },
        "looks": {
            name: {"path": text_of(film), "start": start, "end": end}
            for name, (film, start, end) in topics.looks.items()
        },
        "coherence": round(topics.coherence, 6),
        "stability": round(topics.stability, 6),
        "skipped": list(skipped),
    }


def write_topics(topics: Topics, skipped: Sequence[str], out: str | os.PathLike[str]) -> None:
    """Writes topics.json, topics.parquet (a row a film and topic) and index.html into a folder."""
    folder = Path(out)
    write_json(folder / NUMBERS, as_values(topics, skipped))
    pairs = [
        (film, number, float(weight))
        for film, weights in topics.films.items()
        for number, weight in enumerate(weights, 1)
    ]
    table = pyarrow.table(
        {
            "path": pyarrow.array([text_of(film) for film, _, _ in pairs], pyarrow.string()),
            "topic": pyarrow.array([number for _, number, _ in pairs], pyarrow.int64()),
            "weight": pyarrow.array([weight for _, _, weight in pairs], pyarrow.float64()),
        }
    )
    with replacing(folder / TABLE) as beside:
        pyarrow.parquet.write_table(table, beside)
    with replacing(folder / PAGE) as beside:
        beside.write_text(topics_page(topics, skipped), encoding="utf-8")


def topics_page(topics: Topics, skipped: Sequence[str]) -> str:
    """Topics as one HTML page that needs nothing beside it."""
    cards = "\n".join(
        f"<h2>{number} · {topic.share:.0%} of what is said · coherence {topic.coherence:.2f}</h2>\n"
        f'<p class="terms">{"".join(_term(t, w, topics) for t, w in topic.terms)}</p>'
        for number, topic in enumerate(topics.topics, 1)
    )
    heads = "".join(f"<th>{number}</th>" for number in range(1, len(topics.topics) + 1))
    rows = "\n".join(
        f"<tr><td>{escape(text_of(film))}</td>"
        + "".join(f'<td style="--w:{w:.2f}">{w:.0%}</td>' for w in weights)
        + "</tr>"
        for film, weights in list(topics.films.items())[:MOST_FILMS]
    )
    left_out = "".join(f'<p class="damage">{escape(text_of(line))}</p>\n' for line in skipped)
    return (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Topics</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}{TABLE_STYLE}</style>\n<main>\n<h1>Topics</h1>\n"
        f'<p class="facts">{amount(len(topics.topics), "topic")} of '
        f"{amount(len(topics.films), 'film')}; coherence {topics.coherence:.2f}, stability "
        f"{topics.stability:.2f}</p>\n{left_out}{cards}\n<h2>Films</h2>\n"
        f"<table><tr><th>film</th>{heads}</tr>\n{rows}\n</table>\n</main>\n</html>\n"
    )


def _term(term: str, weight: float, topics: Topics) -> str:
    where = ""
    if term in topics.looks:
        film, start, _ = topics.looks[term]
        where = f' title="{escape(os.path.basename(text_of(film)))} at {clock(start)}"'
    return f'<span style="opacity:{min(1.0, 0.45 + 3 * weight):.2f}"{where}>{escape(term)}</span>'
