"""A search as one HTML page: parallel coordinates, importance and a table; no network needed."""

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from sora_tf._files import replacing
from sora_tf.train.tune.importance import METHOD, importance
from sora_tf.train.tune.outcome import Outcome, ranked
from sora_tf.train.tune.parallel import colour, parallel_coordinates, short
from sora_tf.train.tune.space import Space

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1560px; color: #222;
       padding: 0 1rem; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.note { color: #555; } .scroll { overflow-x: auto; }
svg { max-width: 100%; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: #222; } svg .tick { fill: #555; }
svg path.trial { fill: none; stroke-width: 1.6; opacity: .75; }
svg path.out { stroke-dasharray: 4 4; opacity: .6; } svg path.best { stroke-width: 4; opacity: 1; }
svg.chosen path.trial { opacity: .1; } svg.chosen path.on { opacity: 1; stroke-width: 4; }
table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #ddd; text-align: right; }
th { cursor: pointer; position: sticky; top: 0; background: #fff; }
td.text, th.text { text-align: left; white-space: normal; }
tr.out td { color: #888; } tr.best td { font-weight: 700; } tbody tr:hover { background: #f2f2f2; }
"""

# Hovering over a row or a line shows the other; a click on a heading sorts by its column.
SCRIPT = """
const svg = document.querySelector("svg.parallel");
const of = name => document.querySelectorAll(`[data-trial="${name}"]`);
for (const part of document.querySelectorAll("[data-trial]")) {
  const name = part.dataset.trial;
  part.onmouseenter = () => { svg.classList.add("chosen");
    of(name).forEach(e => e.classList.add("on")); };
  part.onmouseleave = () => { svg.classList.remove("chosen");
    of(name).forEach(e => e.classList.remove("on")); };
}
document.querySelectorAll("th").forEach((head, column) => head.onclick = () => {
  const down = head.dataset.down = head.dataset.down === "1" ? "0" : "1";
  const body = document.querySelector("tbody");
  const key = row => row.cells[column].dataset.key;
  const order = (a, b) => isNaN(key(a) - key(b)) ? key(a).localeCompare(key(b)) : key(a) - key(b);
  [...body.rows].sort((a, b) => down === "1" ? order(b, a) : order(a, b))
    .forEach(row => body.append(row));
});
"""


def write_report(
    path: Path, outcomes: Sequence[Outcome], space: Space, asked: dict[str, Any]
) -> None:
    """Writes the page.

    Args:
        path: the HTML file.
        outcomes: at least one trial.
        space: what was chosen from.
        asked: "source", "method", "trials", "budget" and "measure" of the search.
    """
    title = f"Search on {Path(asked['source']).name}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        _summary(outcomes, asked),
        "<h2>Trials</h2>",
        '<p class="note">A line is a trial, its colour its accuracy on clips held out; '
        "thick is the best, dashed does not count. Hover over a line or a row to pick it out."
        "</p>",
        f'<div class="scroll">{parallel_coordinates(outcomes, space)}</div>',
        "<h2>Importance</h2>",
        _importance(outcomes, space),
        "<h2>Table</h2>",
        f'<div class="scroll">{_table(outcomes, space)}</div>',
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>"
        + "\n".join(parts)
        + f"\n<script>{SCRIPT}</script></body></html>\n"
    )
    with replacing(path) as beside:
        beside.write_text(page, encoding="utf-8")


def _summary(outcomes, asked):
    trained = sum(outcome.epochs > 0 for outcome in outcomes)
    counting = ranked(outcomes)
    budget = asked["budget"]
    limits = [
        f"{budget[key]:g} {words}"
        for key, words in (("ms", "ms a frame"), ("mb", "MB"))
        if budget[key] is not None
    ]
    lines = [
        f"{len(outcomes)} of {asked['trials']} trials ({asked['method']}): {trained} trained, "
        f"{len(outcomes) - len(counting)} do not count.",
        f"Budget: at most {' and '.join(limits)} ({asked['measure']})." if limits else "No budget.",
    ]
    if counting:
        best = counting[0]
        lines.append(f"Best: trial {best.name}, {best.accuracy:.1%} of clips held out right.")
        if best.cost:
            lines.append(f"It takes {best.cost.ms:.2f} ms a frame and {best.cost.mb:.2f} MB.")
        chosen = ", ".join(f"{name} = {short(value)}" for name, value in best.values.items())
        lines.append(f"Its settings: {chosen}.")
    return f"<p>{'<br>'.join(escape(line) for line in lines)}</p>"


def _importance(outcomes, space):
    found = importance(outcomes, space)
    if found is None:
        return '<p class="note">Too few trials were trained, or all score the same.</p>'
    row, left, width = 22, 210, 520
    bars = []
    for number, (name, share) in enumerate(found.shares.items()):
        y = number * row
        bars.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>'
            f'<rect x="{left}" y="{y + 3}" width="{max(1.0, width * share):.1f}" height="{row - 6}"'
            f' fill="{colour(0.35)}"/><text class="tick" '
            f'x="{left + width * share + 6:.1f}" y="{y + 15}">{share:.1%}</text>'
        )
    height = row * len(found.shares)
    return (
        f'<svg class="importance" width="{left + width + 60}" height="{height}" '
        f'viewBox="0 0 {left + width + 60} {height}" role="img" '
        f'aria-label="importance of each setting">{"".join(bars)}</svg>'
        f'<p class="note">{escape(METHOD)} Here it is {found.r2:.2f}.</p>'
    )


def _table(outcomes, space):
    names = list(space)
    head = ["trial", "accuracy", "loss", "epochs", "ms a frame", "MB", *names, "does not count"]
    best = ranked(outcomes)[:1]
    rows = []
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.score):
        cost = outcome.cost
        cells = [
            (outcome.name, outcome.name),
            _number(outcome.accuracy, "{:.1%}"),
            _number(outcome.loss, "{:.3f}"),
            _number(outcome.epochs, "{}"),
            _number(cost and cost.ms, "{:.2f}"),
            _number(cost and cost.mb, "{:.2f}"),
            *((short(outcome.values[n]), json.dumps(outcome.values[n])) for n in names),
            (outcome.reason, outcome.reason),
        ]
        kind = "best" if outcome in best else "" if outcome.counts else "out"
        rows.append(
            f'<tr class="{kind}" data-trial="{escape(outcome.name)}">'
            + "".join(_cell("td", text, key, key == outcome.reason) for text, key in cells)
            + "</tr>"
        )
    heads = "".join(_cell("th", name, name, name == head[-1]) for name in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _number(value, form):
    return ("–", "-1") if value is None else (form.format(value), str(value))


def _cell(tag, text, key, last):
    kind = ' class="text"' if last else ""
    return f'<{tag}{kind} data-key="{escape(key, quote=True)}">{escape(text)}</{tag}>'
