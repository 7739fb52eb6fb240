"""Parallel coordinates as SVG: an axis for every setting, a line for every trial."""

import json
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, NamedTuple

from sora_tf.train.tune.outcome import Outcome, ranked
from sora_tf.train.tune.space import Choice, Range, Space

HEIGHT, TOP, BOTTOM, GAP, LEFT, RIGHT = 320, 62, 18, 122, 70, 90
SPREAD = 0.03  # of an axis: lines through the same choice lie so far apart, at most
# Dark blue over green to yellow, as in matplotlib's viridis, which stays in order without colour.
COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))
LIGHTEST = 0.92  # of them, as the lightest does not show on white
GREY = "#999"


class Axis(NamedTuple):
    """One axis.

    Args:
        name: above it.
        at: a trial's height on it, from 0 to 1; None where it has none.
        ticks: heights with their words.
        spread: whether many lines meet in the same place.
    """

    name: str
    at: Callable[[Outcome], float | None]
    ticks: list[tuple[float, str]]
    spread: bool = False


def parallel_coordinates(outcomes: Sequence[Outcome], space: Space) -> str:
    """The picture: settings, what was measured, and on the right the accuracy.

    Args:
        outcomes: trials, at least one.
        space: what was chosen from.
    """
    axes = [_setting(name, kind) for name, kind in space.items()]
    axes += [
        _measured(name, read, outcomes, form)
        for name, read, form in (
            ("ms a frame", lambda outcome: outcome.cost and outcome.cost.ms, "{:.1f}"),
            ("MB", lambda outcome: outcome.cost and outcome.cost.mb, "{:.1f}"),
            ("accuracy", lambda outcome: outcome.accuracy, "{:.0%}"),
        )
        if any(read(outcome) is not None for outcome in outcomes)
    ]
    width = LEFT + GAP * (len(axes) - 1) + RIGHT
    parts = [_axis(axis, LEFT + GAP * number, number) for number, axis in enumerate(axes)]
    best = ranked(outcomes)[:1]
    shades = _shades(outcomes)
    # The best last, on top of all others.
    order = sorted(outcomes, key=lambda o: (o in best, o.counts, o.score))
    parts += [_line(outcome, axes, shades, outcome in best) for outcome in order]
    height = TOP + HEIGHT + BOTTOM
    return (
        f'<svg class="parallel" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="parallel coordinates of all trials">{"".join(parts)}</svg>'
    )


def colour(share: float) -> str:
    """The colour of a value from 0 (dark) to 1 (light)."""
    place = min(max(share, 0.0), 1.0) * (len(COLOURS) - 1)
    low = min(int(place), len(COLOURS) - 2)
    mixed = (
        round(a + (b - a) * (place - low))
        for a, b in zip(COLOURS[low], COLOURS[low + 1], strict=True)
    )
    return "#" + "".join(f"{value:02x}" for value in mixed)


def short(value: Any) -> str:
    """A value in a few characters."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def _setting(name: str, kind: Choice | Range) -> Axis:
    ends = kind.ends()
    return Axis(
        name,
        lambda outcome: kind.place(outcome.values[name]),
        [(kind.place(value), short(value)) for value in ends],
        spread=isinstance(kind, Choice),
    )


def _measured(name, read, outcomes, form):
    found = [read(outcome) for outcome in outcomes if read(outcome) is not None]
    low, high = min(found), max(found)
    if low == high:
        low, high = low - abs(low) / 2 - 1e-9, high + abs(high) / 2 + 1e-9

    def at(outcome):
        value = read(outcome)
        return None if value is None else (value - low) / (high - low)

    ticks = [(share, form.format(low + share * (high - low))) for share in (0, 0.25, 0.5, 0.75, 1)]
    return Axis(name, at, ticks)


def _axis(axis, x, number):
    # Names are long: every other one stands higher.
    y = TOP - (38 if number % 2 else 18)
    parts = [
        f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{TOP + HEIGHT}" stroke="#bbb"/>'
        f'<text x="{x}" y="{y}" text-anchor="middle" font-weight="600">{escape(axis.name)}</text>'
    ]
    for height, words in axis.ticks:
        cut = words if len(words) <= 18 else words[:17] + "…"
        parts.append(
            f'<text class="tick" x="{x + 5}" y="{_y(height) + 4:.1f}">{escape(cut)}'
            f"<title>{escape(words)}</title></text>"
        )
    return "".join(parts)


def _line(outcome, axes, shades, best):
    points = []
    for number, axis in enumerate(axes):
        height = axis.at(outcome)
        if height is not None:
            if axis.spread:
                height += SPREAD * (int(outcome.name) * 7 % 11 / 5 - 1)
            points.append(f"{LEFT + GAP * number},{_y(height):.1f}")
    kind = "trial best" if best else "trial" if outcome.counts else "trial out"
    words = f"trial {outcome.name}: " + (
        outcome.reason or f"{outcome.accuracy:.1%}, loss {outcome.loss:.3f}"
    )
    return (
        f'<path class="{kind}" data-trial="{escape(outcome.name)}" d="M{" L".join(points)}" '
        f'stroke="{shades.get(outcome.name, GREY)}"><title>{escape(words)}</title></path>'
    )


def _shades(outcomes):
    """Colours of the trials that count, spread over their accuracies."""
    counting = {outcome.name: outcome.accuracy for outcome in outcomes if outcome.counts}
    if not counting:
        return {}
    low, high = min(counting.values()), max(counting.values())
    return {
        name: colour(LIGHTEST * (accuracy - low) / (high - low) if high > low else 0.5)
        for name, accuracy in counting.items()
    }


def _y(height):
    return TOP + HEIGHT * (1 - height)
