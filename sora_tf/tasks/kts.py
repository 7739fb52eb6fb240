"""Kernel temporal segmentation: where a line of vectors changes, and how often."""

import numpy as np

from sora_tf import _checks


def scatters(vectors: np.ndarray) -> np.ndarray:
    """How far the vectors of every stretch lie from its mean, by dot products alone.

    J[i,j] = Σ_{i≤t<j} |x_t|² - Σ_{i≤s,t<j} x_s·x_t / (j - i)

    Args:
        vectors: (T, D) float.
    Returns:
        (T+1, T+1) float64; infinite where j <= i.
    Reference: Potapov, Douze, Harchaoui and Schmid, "Category-specific video summarization",
        ECCV 2014, section 3.
    """
    vectors = np.asarray(vectors, np.float64)
    kernel = vectors @ vectors.T
    sums = np.zeros((len(kernel) + 1, len(kernel) + 1))
    sums[1:, 1:] = kernel.cumsum(0).cumsum(1)  # of all s < i, t < j
    own = np.diagonal(sums)
    squares = np.concatenate([[0.0], np.diagonal(kernel).cumsum()])
    inside = own[None] - sums - sums.T + own[:, None]
    length = np.arange(len(sums))[None] - np.arange(len(sums))[:, None]
    found = squares[None] - squares[:, None] - inside / np.maximum(length, 1)
    return np.where(length > 0, np.maximum(found, 0.0), np.inf)


def best_cuts(costs: np.ndarray, most: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """The cheapest ways to cut a line into 1, 2, ... parts, by dynamic programming.

    Args:
        costs: (T+1, T+1), of the part from i to j, as `scatters` gives.
        most: cuts at most; no more than T - 1 are tried.
    Returns:
        the cost with m cuts, (M+1,); and the places of these cuts, (m,) int each.
    """
    frames = len(costs) - 1
    most = min(most, frames - 1)
    cost = costs[0].copy()  # of the first j frames in m + 1 parts
    totals, came_from = [cost[frames]], []
    for _ in range(most):
        ways = cost[:, None] + costs
        came_from.append(ways.argmin(axis=0))
        cost = ways[came_from[-1], np.arange(frames + 1)]
        totals.append(cost[frames])
    cuts = []
    for count in range(most + 1):
        place, found = frames, []
        for step in reversed(range(count)):
            place = came_from[step][place]
            found.append(place)
        cuts.append(np.asarray(found[::-1], int))
    return np.asarray(totals), cuts


def segment(vectors: np.ndarray, penalty: float, most: int) -> np.ndarray:
    """The frames at which a new segment begins, as many as pay.

    m = argmin L_m / T + C·g(m, T) / T,  g(m, T) = m·(log(T / m) + 1)

    where L_m is the least scatter with m cuts and C the penalty.

    Args:
        vectors: (T, D) float, T >= 1.
        penalty: C, above 0: scatter that a cut must save, in the measure of the vectors; those
            of length 1 scatter by 1 a frame at most.
        most: cuts at most.
    Returns:
        (m,) int, increasing, without 0.
    Raises:
        ValueError: `penalty` is not above 0.
    Reference: Potapov et al., ECCV 2014, equations 2 to 4.
    """
    _checks.above("segment", "penalty", penalty, 0, "", "0.5 suits vectors of length 1.")
    totals, cuts = best_cuts(scatters(vectors), most)
    count = np.arange(1, len(totals))
    paid = np.concatenate([[0.0], penalty * count * (np.log(len(vectors) / count) + 1.0)])
    return cuts[int(np.argmin(totals + paid))]
