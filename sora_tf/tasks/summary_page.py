"""A summary as one HTML page that needs nothing beside it."""

import base64
import os
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path

import numpy as np

from sora_tf.tasks.embed import text_of
from sora_tf.tasks.storyboard import amount, clock, jpeg, shown_edges
from sora_tf.tasks.summarize import Moment, Summary

MOST_BYTES = 24 * 2**20  # of film inside the page; a longer one lies beside it
CURVE = (1000, 120)  # width and height of the importance curve
POINTS = 500  # of the curve

STYLE = """
:root { --paper:#fbfaf8; --card:#fff; --ink:#22262b; --soft:#767a80; --line:#e4e0d9;
  --mark:#c8553d }
@media (prefers-color-scheme: dark) { :root { --paper:#17191c; --card:#202327; --ink:#e8e6e1;
  --soft:#9a9da2; --line:#33373c; --mark:#e5795f } }
* { box-sizing:border-box }
body { margin:0; background:var(--paper); color:var(--ink); line-height:1.5;
  font-family:system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", sans-serif }
main { max-width:1080px; margin:0 auto; padding:40px 24px 64px }
h1 { font-size:1.6rem; margin:0 0 4px; overflow-wrap:anywhere }
h2 { font-size:1.05rem; margin:36px 0 12px }
p.facts, figcaption, small { color:var(--soft) }
p.facts { margin:0 0 24px }
p.damage { border-left:4px solid var(--mark); padding:4px 12px; background:var(--card) }
video { width:100%; max-height:52vh; background:#000; border-radius:10px }
svg { width:100%; height:auto; display:block }
.grid { display:grid; grid-template-columns:repeat(auto-fill, minmax(210px, 1fr)); gap:16px }
figure { margin:0; background:var(--card); border:1px solid var(--line); border-radius:10px;
  overflow:hidden; cursor:pointer }
figure:focus-visible, figure:hover { border-color:var(--mark); outline:none }
figure div { position:relative }
figure img { width:100%; display:block }
figure img.counted { position:absolute; inset:0; opacity:0; transition:opacity .2s }
figure:hover img.counted, figure:focus-visible img.counted { opacity:1 }
figcaption { display:flex; justify-content:space-between; padding:8px 12px; font-size:.9rem }
figcaption b { color:var(--ink); font-variant-numeric:tabular-nums }
.talk { list-style:none; margin:0; padding:0 }
.talk li { display:grid; grid-template-columns:5.5rem 1fr; gap:8px; padding:10px 0;
  border-top:1px solid var(--line) }
.talk small { font-variant-numeric:tabular-nums; padding-top:2px }
"""

SCRIPT = """
const film = document.querySelector("video");
for (const card of document.querySelectorAll("figure[data-at]")) {
  const go = () => { film.currentTime = Number(card.dataset.at); film.play();
    film.scrollIntoView({behavior: "smooth", block: "center"}); };
  card.addEventListener("click", go);
  card.addEventListener("keydown", (event) => { if (event.key === "Enter") go(); });
}
"""


def summary_page(
    summary: Summary,
    moments: Sequence[Moment],
    pictures: np.ndarray,
    highlight: Path,
    counted: Sequence[np.ndarray] | None = None,
) -> str:
    """The page as HTML.

    Args:
        summary: of the film.
        moments: those shown as pictures.
        pictures: (N, H, W, 3) uint8, one for each.
        highlight: the film of all moments.
        counted: the pictures with what counted in them, shown under the pointer; None has none.
    """
    name = escape(os.path.basename(text_of(summary.path)))
    facts = (
        f"{clock(summary.duration)} long, in {amount(len(summary.segments), 'segment')}; shown: "
        f"{clock(summary.seconds)} in {amount(len(summary.moments), 'moment')}"
    )
    damage = f'<p class="damage">{escape(summary.damage)}</p>' if summary.damage else ""
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{name}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{STYLE}</style>\n<main>\n<h1>{name}</h1>\n"
        f'<p class="facts">{facts}</p>\n{damage}\n{_film(highlight)}\n'
        f"<h2>Importance over time</h2>\n{_curve(summary)}\n"
        '<h2>Moments</h2>\n<div class="grid">\n'
        f"{_cards(summary, moments, pictures, counted)}\n</div>\n"
        f"{_talk(summary)}</main>\n<script>{SCRIPT}</script>\n</html>\n"
    )


def _film(highlight: Path) -> str:
    source = highlight.name
    if highlight.stat().st_size <= MOST_BYTES:
        source = f"data:video/mp4;base64,{_base64(highlight.read_bytes())}"
    return f'<video controls preload="metadata" src="{source}"></video>'


def _cards(
    summary: Summary,
    moments: Sequence[Moment],
    pictures: np.ndarray,
    counted: Sequence[np.ndarray] | None,
) -> str:
    """A picture a moment; a click shows the moment in the film above."""
    begins, begin = {}, 0.0
    for moment in summary.moments:
        begins[moment.start] = begin
        begin += moment.end - moment.start
    over = [""] * len(moments)
    if counted is not None:
        over = [_image("what counted in it", picture, "counted") for picture in counted]
    return "\n".join(
        f'<figure tabindex="0" data-at="{begins[moment.start]:.2f}">'
        f"<div>{_image(f'at {clock(moment.key)}', picture, 'plain')}{above}</div>"
        f"<figcaption><b>{clock(moment.start)}</b>"
        f"<span>{moment.end - moment.start:.1f} s · {moment.importance:.0%}</span></figcaption>"
        "</figure>"
        for moment, picture, above in zip(moments, pictures, over, strict=True)
    )


def _image(text: str, picture: np.ndarray, kind: str) -> str:
    source = f"data:image/jpeg;base64,{_base64(jpeg(picture))}"
    return f'<img class="{kind}" alt="{text}" src="{source}">'


def _curve(summary: Summary) -> str:
    """The importance of every stretch, what is shown in colour, segments as lines."""
    width, height = CURVE
    scale = width / summary.duration
    edges = np.linspace(0, summary.duration, min(POINTS, 4 * len(summary.times)) + 1)
    values = [summary.importance_at(a, b) for a, b in pairwise(edges)]
    top = max(max(values), 1e-9)
    steps = "".join(
        f"L{a * scale:.1f} {height - v / top * (height - 8):.1f}"
        f"L{b * scale:.1f} {height - v / top * (height - 8):.1f}"
        for a, b, v in zip(edges[:-1], edges[1:], values, strict=True)
    )
    shown = "".join(
        f'<rect x="{m.start * scale:.1f}" width="{max(1.5, (m.end - m.start) * scale):.1f}" '
        f'y="0" height="{height}" fill="var(--mark)" opacity=".22"/>'
        for m in summary.moments
    )
    lines = "".join(
        f'<line x1="{s * scale:.1f}" x2="{s * scale:.1f}" y1="{height}" y2="{height + 8}" '
        'stroke="var(--soft)"/>'
        for s in shown_edges(summary)
    )
    return (
        f'<svg viewBox="0 0 {width} {height + 26}" role="img" '
        f'aria-label="importance over time, shown moments in colour">{shown}'
        f'<path d="M0 {height}{steps}L{width} {height}Z" fill="var(--soft)" opacity=".5"/>{lines}'
        f'<line x1="0" x2="{width}" y1="{height}" y2="{height}" stroke="var(--line)"/>'
        f'<text x="0" y="{height + 23}" font-size="14" fill="var(--soft)">{clock(0.0)}</text>'
        f'<text x="{width}" y="{height + 23}" font-size="14" text-anchor="end" '
        f'fill="var(--soft)">{clock(summary.duration)}</text></svg>'
    )


def _talk(summary: Summary) -> str:
    if not summary.talk:
        return ""
    items = "\n".join(
        f"<li><small>{clock(sentence['start'])}</small><span>{escape(sentence['text'])}</span></li>"
        for sentence in summary.talk
    )
    return f'<h2>What is said</h2>\n<ul class="talk">\n{items}\n</ul>\n'


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
