"""Argument checks. One sentence form for all: who, what was wanted, what was given, what to do."""

from collections.abc import Collection
from typing import TypeVar

Number = TypeVar("Number", int, float)


def above(owner: str, name: str, value: Number, bound: Number, unit: str, remedy: str) -> Number:
    """Returns `value` if it is above `bound`, else raises ValueError."""
    if not value > bound:
        wanted = f"above {bound} {unit}".rstrip()
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value!r}. {remedy}")
    return value


def at_least(owner: str, name: str, value: Number, bound: Number, unit: str, remedy: str) -> Number:
    """Returns `value` if it is `bound` or more, else raises ValueError."""
    if not value >= bound:
        wanted = f"at least {bound} {unit}".rstrip()
        raise ValueError(f"{owner}: {name} must be {wanted}, got {value!r}. {remedy}")
    return value


def between(owner: str, name: str, value: float, low: float, high: float, remedy: str) -> float:
    """Returns `value` if low <= value <= high, else raises ValueError."""
    if not low <= value <= high:
        raise ValueError(f"{owner}: {name} must be from {low} to {high}, got {value!r}. {remedy}")
    return value


def one_of(owner: str, name: str, value: str, choices: Collection[str]) -> str:
    """Returns `value` if it is one of `choices`, else raises ValueError naming them all."""
    if value not in choices:
        raise ValueError(
            f"{owner}: {name} must be one of {', '.join(choices)}, got {value!r}. Choose one."
        )
    return value
