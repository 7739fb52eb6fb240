"""Dividing clips into parts without a source video ever standing on two sides."""

import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from sora_tf import _checks
from sora_tf.data.index import Clip

LOG = logging.getLogger(__name__)
FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}


def split(
    clips: Sequence[Clip], fractions: Mapping[str, float] = FRACTIONS, seed: int = 0
) -> list[Clip]:
    """Gives every clip a split: whole groups, each label shared out as `fractions` say.

    Groups go, largest first, where their labels are most wanted; every part gets at least one
    group, and at least one of each label that has as many groups as there are parts. A split
    that a clip already has is kept and carries over to the rest of its group.

    Args:
        clips: in any order; the answer keeps it.
        fractions: part → its share of the clips; above 0, adding up to 1.
        seed: decides between groups alike; the same seed gives the same split.
    Raises:
        ValueError: shares that do not add up to 1, a group whose clips were given different
            splits, or fewer groups than parts to fill.
    """
    for name, share in fractions.items():
        _checks.above("split", f"the share of {name}", share, 0.0, "", "Leave the part out.")
    if abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(
            f"split: fractions must add up to 1, got {dict(fractions)}. Correct one of them."
        )
    fixed = _given(clips)
    sizes: dict[str, Counter[str]] = defaultdict(Counter)  # group → label → clips
    for clip in clips:
        sizes[clip.group][clip.label] += 1
    placed = {group: part for group, part in fixed.items() if part in fractions}
    free = [group for group in sorted(sizes) if group not in fixed]
    empty = set(fractions) - set(placed.values())
    if free and len(free) < len(empty):
        raise ValueError(
            f"split: {len(empty)} parts must be filled ({', '.join(sorted(empty))}), got "
            f"{len(free)} groups of clips. Add videos from other sources, or ask for fewer parts."
        )
    order = [free[i] for i in np.random.default_rng(seed).permutation(len(free))]
    order.sort(key=lambda group: -sizes[group].total())
    placed = _share_out(order, placed, sizes, fractions) | fixed
    _warn_of_gaps(placed, sizes, fractions)
    return [replace(clip, split=placed[clip.group]) for clip in clips]


def folds(clips: Sequence[Clip], count: int = 5, seed: int = 0) -> list[list[Clip]]:
    """Deals the clips into `count` parts for cross-validation, whole groups, alike in labels.

    Part i is tested on while the others train. Splits the clips already have are not looked at.

    Raises:
        ValueError: `count` is below 2, or there are too few groups to fill that many parts.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _checks.at_least("folds", "count", count, 2, "parts", "Use 5 when in doubt.")
    labels, groups = [clip.label for clip in clips], [clip.group for clip in clips]
    parts: list[list[Clip]] = []
    if len(set(groups)) >= count and max(Counter(labels).values()) >= count:
        dealer = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        parts = [[clips[i] for i in part] for _, part in dealer.split(clips, labels, groups)]
    if not parts or not all(parts):
        raise ValueError(
            f"folds: each of {count} parts must get a group of clips, got {len(set(groups))} "
            f"groups of {len(clips)} clips. Ask for fewer parts, or add videos from other sources."
        )
    return parts


def _given(clips: Sequence[Clip]) -> dict[str, str]:
    given: dict[str, str] = {}
    for clip in clips:
        if clip.split is None:
            continue
        if given.setdefault(clip.group, clip.split) != clip.split:
            raise ValueError(
                f"split: the clips of one group must share a split, got {given[clip.group]!r} and "
                f"{clip.split!r} for group {clip.group}. Correct the table's split column."
            )
    return given


def _share_out(
    order: Sequence[str],
    placed: Mapping[str, str],
    sizes: Mapping[str, Counter[str]],
    fractions: Mapping[str, float],
) -> dict[str, str]:
    placed = dict(placed)
    total: Counter[str] = Counter()  # label → clips to share out
    waiting: Counter[str] = Counter()  # label → groups not yet placed
    for group in [*placed, *order]:
        total.update(sizes[group])
    for group in order:
        waiting.update(sizes[group].keys())
    have: dict[str, Counter[str]] = {part: Counter() for part in fractions}
    for group, part in placed.items():
        have[part].update(sizes[group])

    for number, group in enumerate(order):
        size = sizes[group]
        lacking = [part for part in fractions if not have[part]]
        parts = lacking if len(order) - number <= len(lacking) else list(fractions)
        for label in sorted(size, key=lambda label: (waiting[label], label)):
            lacking = [part for part in parts if not have[part][label]]
            if lacking and waiting[label] <= len(lacking):
                parts = lacking

        def want(part: str, size: Counter[str] = size) -> float:
            """How far the part is short of this group's labels, as a share of each label."""
            return sum(
                n * (fractions[part] - have[part][label] / total[label])
                for label, n in size.items()
            )

        best = max(parts, key=want)
        placed[group] = best
        have[best].update(size)
        waiting.subtract(size.keys())
    return placed


def _warn_of_gaps(
    placed: Mapping[str, str],
    sizes: Mapping[str, Counter[str]],
    fractions: Mapping[str, float],
) -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for group, part in placed.items():
        for label in sizes[group]:
            found[label].add(part)
    for label, parts in sorted(found.items()):
        gaps = [part for part in fractions if part not in parts]
        if gaps:
            LOG.warning("split: no clip of label %r in %s", label, ", ".join(gaps))
