"""Five parts of the clips: one tests; the next chooses the epoch or trains, as the others do."""

import statistics
from dataclasses import replace

from sora_tf.data import Clip, folds

PARTS = 5


def dealt(clips: list[Clip], seed: int) -> list[list[Clip]]:
    """The clips of every fold, each with its split: "train", "val" or "test"."""
    return marked(folds(clips, PARTS, seed))


def tested(parts: list[list[Clip]]) -> list[list[Clip]]:
    """The clips of every fold where one part tests and all others train."""
    return [
        [
            replace(clip, split="test" if number == test else "train")
            for number, part in enumerate(parts)
            for clip in part
        ]
        for test in range(len(parts))
    ]


def marked(parts: list[list[Clip]]) -> list[list[Clip]]:
    """The clips of every fold, of five parts dealt before."""
    made = []
    for test in range(PARTS):
        names = ["train"] * PARTS
        names[test], names[(test + 1) % PARTS] = "test", "val"
        made.append(
            [replace(clip, split=name) for name, part in zip(names, parts, strict=True)
             for clip in part]
        )  # fmt: skip
    return made


def deviation(values: list[float]) -> float:
    """The standard deviation; 0 of a single value."""
    return statistics.stdev(values) if len(values) > 1 else 0.0
