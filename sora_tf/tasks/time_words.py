"""Times that a question names: "1:05", "12 s", "from 0:10 to 0:20", "at the end", "第12秒"."""

import re
from dataclasses import dataclass

DIGITS = {sign: value for value, sign in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
CHINESE = f"[{''.join(DIGITS)}十百]"
NUMBER = rf"(?:\d+(?:\.\d+)?|{CHINESE}+)"
HOURS = r"(?:hours?|hrs?|h|小时|小時)"
MINUTES = r"(?:minutes?|mins?|m(?=\s*\d)|分钟|分鐘|分)"
SECONDS = r"(?:seconds?|secs?|s|秒钟|秒鐘|秒)"
END = r"(?![a-zA-Z])"
CLOCK = re.compile(r"(?<![\d:.])(?:(\d{1,3})[:：])?(\d{1,3})[:：](\d{2}(?:\.\d+)?)(?![\d:])")
UNITS = re.compile(
    rf"(?:({NUMBER})\s*{HOURS}{END}\s*)?(?:({NUMBER})\s*{MINUTES}{END}\s*)?"
    rf"(?:({NUMBER})\s*{SECONDS}{END})?",
    re.IGNORECASE,
)
TO = r"(?:to|and|until|till|-|–|—|~|到|至|和)"
RANGE = re.compile(
    rf"(?<![\d:.])({NUMBER})\s*{TO}\s*第?{NUMBER}\s*(?:({MINUTES}{END})|{SECONDS}{END})",
    re.IGNORECASE,
)
NTH = re.compile(r"\bsecond\s+(\d+(?:\.\d+)?)\b", re.IGNORECASE)
BEFORE_FIRST = re.compile(r"(?:\bfirst|前|最初|开头|開頭)\s*$", re.IGNORECASE)
BEFORE_LAST = re.compile(r"(?:\blast|\bfinal|最后|最後|后|後)\s*$", re.IGNORECASE)
BETWEEN = re.compile(rf"^\s*{TO}\s*第?\s*$", re.IGNORECASE)
EDGES = (
    (re.compile(r"\bat the (?:very )?end\b|结尾|結尾|末尾|最后|最後", re.IGNORECASE), (0.85, 1.0)),
    (
        re.compile(
            r"\b(?:at|in) the (?:very )?(?:start|beginning)\b|开头|開頭|一开始", re.IGNORECASE
        ),
        (0.0, 0.15),
    ),
    (re.compile(r"\bin the middle\b|中间|中間|中途", re.IGNORECASE), (0.4, 0.6)),
)


@dataclass(frozen=True)
class Span:
    """A time that a question names.

    Args:
        start, end: s; the same where it is a moment.
        text: the words that name it.
    """

    start: float
    end: float
    text: str


def named_span(question: str, duration: float) -> Span | None:
    """The time that a question names; the first, where it names several.

    Clock times, numbers with units and parts of the film, in English and Chinese; "first 10 s" and
    "last 10 s"; and two times with "to", "and" or "到" between them.

    Args:
        question: in words.
        duration: of the film, s; for times counted from its end.
    Raises:
        ValueError: the time lies beyond the end of the film.
    """
    named = _times(question)
    if named:
        start, end, value = named[0]
        text = question[start:end]
        if len(named) > 1 and BETWEEN.match(question[end : named[1][0]]):
            text = question[start : named[1][1]]
            low, high = sorted((value, named[1][2]))
            return _inside(Span(low, high, text), duration)
        if BEFORE_FIRST.search(question[:start]):
            return _inside(Span(0.0, min(value, duration), text), duration)
        if BEFORE_LAST.search(question[:start]):
            return _inside(Span(max(0.0, duration - value), duration, text), duration)
        return _inside(Span(value, value, text), duration)
    for pattern, (low, high) in EDGES:
        if match := pattern.search(question):
            return Span(low * duration, high * duration, match[0])
    return None


def _times(question: str) -> list[tuple[int, int, float]]:
    """(start and end in the text, s) of all times, in the order of the text."""
    found = []
    for match in CLOCK.finditer(question):
        hours, minutes, seconds = (float(part or 0) for part in match.groups())
        found.append((*match.span(), 3600 * hours + 60 * minutes + seconds))
    for match in NTH.finditer(question):
        found.append((*match.span(), float(match[1])))
    for match in RANGE.finditer(question):  # its first number borrows the unit of its second
        found.append((*match.span(1), number(match[1]) * (60 if match[2] else 1)))
    for match in UNITS.finditer(question):
        if match[0].strip():
            parts = [number(part) if part else 0.0 for part in match.groups()]
            found.append((*match.span(), 3600 * parts[0] + 60 * parts[1] + parts[2]))
    found.sort()
    apart: list[tuple[int, int, float]] = []
    for one in found:
        if not apart or one[0] >= apart[-1][1]:
            apart.append(one)
    return apart


def number(text: str) -> float:
    """A number in digits or in Chinese up to 999: "12", "1.5", "十二", "一百零五"."""
    try:
        return float(text)
    except ValueError:
        pass
    total, digits = 0, ""
    for sign in text:
        if sign in DIGITS:
            digits += str(DIGITS[sign])
        else:
            total += int(digits or 1) * (100 if sign == "百" else 10)
            digits = ""
    return float(total + int(digits or 0))


def _inside(span: Span, duration: float) -> Span:
    if span.start > duration:
        raise ValueError(
            f"ask: the time must lie within the film's {duration:g} s, got {span.text!r}. "
            "Name an earlier one."
        )
    return Span(span.start, min(span.end, duration), span.text)
