"""The search space as data: names of settings and the values each may take."""

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from sora_tf.config import RelationConfig, SoraConfig
from sora_tf.train.settings import TrainConfig

TRAINING = "training"
TRIES = 64  # random combinations in which a value is looked for a place


@dataclass(frozen=True)
class Choice:
    """One of some values.

    Args:
        values: what JSON can hold: numbers, texts, true and false, null, lists, objects.
    """

    values: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        """Whether the values are numbers, of which one lies between others."""
        return all(isinstance(v, int | float) and not isinstance(v, bool) for v in self.values)

    def ends(self) -> tuple[Any, ...]:
        """The values to check."""
        return self.values

    def place(self, value: Any) -> float:
        """Where a value stands among the others, from 0 to 1."""
        return self.values.index(value) / max(1, len(self.values) - 1)

    def nearest(self, value: Any) -> Any:
        """A value, or of those there are the nearest, or else the first.

        A part of a config is what a choice says of it, where that says nothing else.
        """
        if value in self.values:
            return value
        if isinstance(value, dict):
            parts = [one for one in self.values if isinstance(one, dict)]
            alike = [one for one in parts if {**value, **one} == value]
            return (alike or self.values)[0]
        if not self.ordered or not isinstance(value, int | float):
            return self.values[0]
        return min(self.values, key=lambda one: abs(one - value))


@dataclass(frozen=True)
class Range:
    """A number between two others.

    Args:
        low, high: the ends, both included; whole numbers give whole numbers.
        step: distance of the values from each other; None is 1 for whole numbers, else any value.
        log: as many values between 0.001 and 0.01 as between 0.01 and 0.1.
    """

    low: float
    high: float
    step: float | None = None
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether the values are whole numbers."""
        given = (self.low, self.high, 1 if self.step is None else self.step)
        return all(isinstance(number, int) for number in given)

    def ends(self) -> tuple[Any, ...]:
        """The values to check."""
        return (self.low, self.high)

    def place(self, value: Any) -> float:
        """Where a value stands between the ends, from 0 to 1."""
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return (at - low) / (high - low)

    def nearest(self, value: Any) -> float:
        """A number, or of those there are the nearest; the low end for what is none."""
        if not isinstance(value, int | float):
            return self.low
        if self.step is not None or self.whole:
            step = self.step or 1
            value = self.low + round((value - self.low) / step) * step
            value -= step * (value > self.high)
        return min(max(value, self.low), self.high)


Space = dict[str, Choice | Range]


def read_space(data: Mapping[str, Any]) -> Space:
    """A space from parsed JSON.

    Args:
        data: dotted names of settings in `SoraConfig`, or in `TrainConfig` after "training.", each
            with a list of choices, or with a range {"from": a, "to": b} and, where wanted,
            "step" or "log": true. A name may be that of a whole part ("relation": [null, {}]);
            what a choice leaves out of it stays as it is.

    Raises:
        ValueError: there is no such setting, or something that is neither choices nor a range.

    Example:
        {"relation.window": [4, 8, 16], "training.learning_rate": {"from": 1e-4, "to": 1e-2,
        "log": true}}
    """
    if not isinstance(data, Mapping) or not data:
        raise ValueError(
            "tune: the space must be an object with a name at least, got "
            f'{type(data).__name__}. Write it like {{"relation.window": [4, 8, 16]}}.'
        )
    return {_known(name): _values(name, given) for name, given in data.items()}


def _known(name):
    parts = {
        **asdict(SoraConfig()),
        "relation": asdict(RelationConfig()),
        TRAINING: asdict(TrainConfig()),
    }
    names = list(parts)
    for part, inside in parts.items():
        if isinstance(inside, dict):
            names += [f"{part}.{setting}" for setting in inside]
    names.remove(f"{TRAINING}.seed")  # who searches for a seed finds luck
    names.remove(TRAINING)
    if name not in names:
        near = difflib.get_close_matches(name, names, 1)
        raise ValueError(
            f"tune: a name of the space must be a setting of SoraConfig or, after 'training.', of "
            f"TrainConfig, got {name!r}. "
            + (f"Did you mean {near[0]!r}?" if near else "Try 'relation.window'.")
        )
    return name


def _values(name, given):
    if isinstance(given, list | tuple) and given:
        return Choice(tuple(given))
    if isinstance(given, dict) and {"from", "to"} <= set(given) <= {"from", "to", "step", "log"}:
        found = Range(given["from"], given["to"], given.get("step"), given.get("log", False))
        numbers = [found.low, found.high, 1 if found.step is None else found.step]
        if all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers) and (
            found.low < found.high
            and numbers[2] > 0
            and (not found.log or (found.low > 0 and found.step is None))
        ):
            return found
    raise ValueError(
        f"tune: {name} must have a list of choices or a range from low to high, got {given!r}. "
        'Write [4, 8, 16] or {"from": 0.0001, "to": 0.01, "log": true} (log: above 0, no step).'
    )


def applied(
    values: Mapping[str, Any], model: SoraConfig, training: TrainConfig
) -> tuple[SoraConfig, TrainConfig]:
    """The configs with some settings changed.

    Settings of a relation model that is left out are left out too.

    Raises:
        ValueError: they do not hold together.
    """
    tree = {**asdict(model), TRAINING: asdict(training)}
    for name in sorted(values, key=lambda name: name.count(".")):  # whole parts first
        part, _, setting = name.rpartition(".")
        place = tree[part] if part else tree
        if place is None:
            continue
        before, value = place[setting if part else name], values[name]
        if isinstance(value, dict):
            value = {**(asdict(RelationConfig()) if before is None else before), **value}
        place[setting if part else name] = value
    asked = tree.pop(TRAINING)
    return SoraConfig.from_dict(tree), TrainConfig(**asked)


def usual_values(space: Space, model: SoraConfig, training: TrainConfig) -> dict[str, Any]:
    """What the configs say, or the nearest to it that there is in the space."""
    tree = json.loads(json.dumps({**asdict(model), TRAINING: asdict(training)}))  # lists, as there
    found = {}
    for name, kind in space.items():
        part, _, setting = name.rpartition(".")
        place = tree[part] if part else tree
        found[name] = kind.nearest(None if place is None else place[setting if part else name])
    return found


def check_space(space: Space, model: SoraConfig, training: TrainConfig) -> None:
    """Looks for a place for every value: with the configs as they are, or with other values.

    Raises:
        ValueError: a value fits with nothing, or a name that is for a relation model has none.
    """
    if model.relation is None and "relation" not in space:
        for name in space:
            if name.startswith("relation."):
                raise ValueError(
                    f"tune: {name} must be a part of the model, which has no relation model. "
                    'Add "relation": [null, {}] to the space, or leave the name out.'
                )
    random = np.random.default_rng(0)
    for name, kind in space.items():
        for value in kind.ends():
            reason = _misfit({name: value}, model, training)
            for _ in range(TRIES if reason else 0):
                others = {n: _any_of(k, random) for n, k in space.items()}
                if not _misfit({**others, name: value}, model, training):
                    break
            else:
                if reason:
                    raise ValueError(f"tune: {name} fits nowhere with {value!r}: {reason}")


def _any_of(kind, random):
    ends: Sequence[Any] = kind.ends()
    return ends[random.integers(len(ends))]


def _misfit(values, model, training):
    """Why the configs do not hold together; "" where they do."""
    try:
        applied(values, model, training)
    except (ValueError, TypeError) as error:
        return str(error)
    return ""


def default_space(model: SoraConfig, training: TrainConfig) -> dict[str, Any]:
    """What is searched where nothing else is asked for, as data for `read_space`.

    On a frozen CNN only what stands behind it, so that its features are made once.
    """
    rates = {
        "dropout": sorted({0.0, 0.25, 0.5, model.dropout}),
        "training.learning_rate": {"from": 3e-4, "to": 1e-2, "log": True},
        "training.weight_decay": {"from": 1e-4, "to": 1e-1, "log": True},
    }
    part = _head(model) if training.frozen else _extractor(model)
    return {**part, **_relation(model, training.frozen), **rates}


def _head(model):
    return {
        "extractor.features": sorted({0, 64, 256, model.extractor.features}),
        "standardise": [False, True],
    }


def _extractor(model):
    """Of CNNs that are trained: what they remember, and, unless they are given, their widths."""
    extractor = model.extractor
    found: dict[str, Any] = {"extractor.memory": [0.0, 0.125, 0.25, 0.5]}
    if extractor.block in ("conv", "separable"):
        found["extractor.channels"] = [
            [max(8, round(c * scale / 8) * 8) for c in extractor.channels]
            for scale in (0.5, 0.75, 1.0, 1.5)
        ]
    if extractor.block == "separable":
        found["extractor.block"] = ["separable", "lite0"]
        found["extractor.peak"] = [False, True]
        found["extractor.change"] = [False, True]
    return found


def _relation(model, frozen):
    relation = model.relation
    if relation is None:
        return {}
    units = {"relation.units": sorted({max(16, relation.units // 2), relation.units})}
    if relation.recurrent:
        return units
    return {
        "relation.contrast": [2, 4, 8, 16] if frozen else [0, 4, 16],
        "relation.blocks": [0, 1, 2] if frozen else [1, 2],
        "relation.alpha": ["uniform", "gcn", "learned", "attention", "similarity"],
        "relation.edges": ["causal", "window", "full"],
        "relation.window": [2, 4, 8, 16],
        **units,
    }
