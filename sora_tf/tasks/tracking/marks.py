"""Lines and zones on the picture, as a user names them in a JSON file.

{"units": "fraction", "point": "foot",
 "lines": [{"name": "gate", "from": [0.1, 0.5], "to": [0.9, 0.5], "labels": ["person"]}],
 "zones": [{"name": "yard", "corners": [[0, 0.5], [1, 0.5], [0.5, 1]], "alert_seconds": 10}]}
"""

import json
import math
import os
from dataclasses import dataclass, replace
from typing import Any

UNITS = ("pixels", "fraction")
POINTS = ("centre", "foot")
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """A line that things cross: in from its left to its right, seen from its start, or out.

    Args:
        name: how it is called.
        start, end: (x, y).
        labels: classes that count; none means all.
    """

    name: str
    start: Point
    end: Point
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Zone:
    """A part of the picture where things stay.

    Args:
        name: how it is called.
        corners: three or more (x, y), in their order around it.
        labels: classes that count; none means all.
        alert_seconds: a thing that stays longer raises an alert, s; None means none does.
    """

    name: str
    corners: tuple[Point, ...]
    labels: tuple[str, ...] = ()
    alert_seconds: float | None = None


@dataclass(frozen=True)
class Marks:
    """All lines and zones of a picture.

    Args:
        lines, zones: what there is.
        units: "pixels", or "fraction" of the picture's width and height.
        point: the "centre" of a box says where a thing is, or its "foot", the middle of its
            lower side.
    """

    lines: tuple[Line, ...] = ()
    zones: tuple[Zone, ...] = ()
    units: str = "pixels"
    point: str = "centre"

    def all(self) -> tuple[Line | Zone, ...]:
        """Lines, then zones."""
        return (*self.lines, *self.zones)

    def on(self, width: int, height: int) -> "Marks":
        """The same in pixels of a picture.

        Raises:
            ValueError: a point lies outside it.
        """
        sides = (width, height) if self.units == "fraction" else (1, 1)

        def placed(name: str, point: Point) -> Point:
            x, y = point[0] * sides[0], point[1] * sides[1]
            if not (0 <= x <= width and 0 <= y <= height):
                raise ValueError(
                    f"{name!r} must lie on the picture of {width} by {height} pixels, got "
                    f"({x:g}, {y:g}). Correct it, or give fractions of the picture."
                )
            return x, y

        return replace(
            self,
            units="pixels",
            lines=tuple(
                replace(a, start=placed(a.name, a.start), end=placed(a.name, a.end))
                for a in self.lines
            ),
            zones=tuple(
                replace(a, corners=tuple(placed(a.name, corner) for corner in a.corners))
                for a in self.zones
            ),
        )

    def check_labels(self, labels: tuple[str, ...]) -> None:
        """Raises ValueError where a line or zone counts a class that is none of `labels`."""
        for mark in self.all():
            for label in mark.labels:
                if label not in labels:
                    raise ValueError(
                        f"{mark.name!r} must count classes of the detector, got {label!r}. It "
                        f"knows {', '.join(labels[:10])}{' …' * (len(labels) > 10)}."
                    )


def read_marks(path: str | os.PathLike[str]) -> Marks:
    """Reads a file of lines and zones.

    Raises:
        OSError: the file does not open.
        ValueError: it says something else than lines and zones.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return _marks(json.load(file))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{path} must be a JSON file of lines and zones, but: {error}. Correct it."
        ) from None


def _marks(value: Any) -> Marks:
    given = _fields("the file", value, {"lines", "zones", "units", "point"}, set())
    marks = Marks(
        tuple(_line(item) for item in _list("lines", given.get("lines", []))),
        tuple(_zone(item) for item in _list("zones", given.get("zones", []))),
        _choice("units", given.get("units", UNITS[0]), UNITS),
        _choice("point", given.get("point", POINTS[0]), POINTS),
    )
    names = [mark.name for mark in marks.all()]
    if not names:
        raise ValueError("it holds neither")
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"two are called {name!r}")
    return marks


def _line(value: Any) -> Line:
    given = _fields("a line", value, {"name", "from", "to", "labels"}, {"name", "from", "to"})
    name = _name(given["name"])
    start, end = _point(name, given["from"]), _point(name, given["to"])
    if start == end:
        raise ValueError(f"the line {name!r} ends where it starts")
    return Line(name, start, end, _labels(name, given.get("labels", [])))


def _zone(value: Any) -> Zone:
    known = {"name", "corners", "labels", "alert_seconds"}
    given = _fields("a zone", value, known, {"name", "corners"})
    name, seconds = _name(given["name"]), given.get("alert_seconds")
    corners = tuple(
        _point(name, corner) for corner in _list(f"{name!r}'s corners", given["corners"])
    )
    if len(corners) < 3:
        raise ValueError(f"the zone {name!r} has {len(corners)} corners, not 3 or more")
    if seconds is not None and not (_number(seconds) and seconds > 0):
        raise ValueError(f"the zone {name!r} has alert_seconds {seconds!r}, not above 0 s")
    return Zone(name, corners, _labels(name, given.get("labels", [])), seconds)


def _fields(what: str, value: Any, known: set[str], needed: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {value!r:.40}, not an object")
    for name in sorted(set(value) - known):
        raise ValueError(f"{what} has {name!r}, which is none of {', '.join(sorted(known))}")
    for name in sorted(needed - set(value)):
        raise ValueError(f"{what} has no {name!r}")
    return value


def _list(what: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{what} is {value!r:.40}, not a list")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a name is {value!r:.40}, not text")
    return value


def _labels(name: str, value: Any) -> tuple[str, ...]:
    return tuple(_name(label) for label in _list(f"{name!r}'s labels", value))


def _point(name: str, value: Any) -> Point:
    if not (isinstance(value, list) and len(value) == 2 and all(map(_number, value))):
        raise ValueError(f"{name!r} has the point {value!r:.40}, not [x, y]")
    return float(value[0]), float(value[1])


def _number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _choice(name: str, value: Any, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{name} is {value!r:.40}, which is none of {', '.join(choices)}")
    return value
