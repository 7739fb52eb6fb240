"""The 0/1 knapsack: what to take, under a length."""

import numpy as np


def knapsack(values: np.ndarray, lengths: np.ndarray, most: int) -> np.ndarray:
    """The items of the greatest sum of values whose lengths sum to `most` or less.

    Exact, by dynamic programming over lengths; a bit is kept for each item and length.

    Args:
        values: (N,) float, 0 or more.
        lengths: (N,) int, 1 or more.
        most: int.
    Returns:
        (N,) bool, True where taken.
    """
    best = np.zeros(most + 1)
    taken = []
    for value, length in zip(values, lengths, strict=True):
        better = np.zeros(most + 1, bool)
        if length <= most:
            with_it = best[: most + 1 - length] + value
            better[length:] = with_it > best[length:]
            best[length:] = np.maximum(best[length:], with_it)
        taken.append(np.packbits(better))
    chosen, left = np.zeros(len(taken), bool), most
    for item in reversed(range(len(taken))):
        if taken[item][left // 8] >> (7 - left % 8) & 1:
            chosen[item] = True
            left -= int(lengths[item])
    return chosen
