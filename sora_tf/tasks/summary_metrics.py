"""How well summaries agree with users', as the field counts it.

Films with users' scores (TVSum): what a summary has in common with each user's, F; and whether
scores rank moments as the users do, Kendall's τ and Spearman's ρ. What users have in common with
each other says how far one can come, what chance has says how little it means.
"""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.stats import kendalltau, rankdata, spearmanr

from sora_tf.tasks.knapsack import knapsack

SHARE = 0.15


class Agreement(NamedTuple):
    """Agreement with users, the mean over them.

    Attributes:
        tau: Kendall's τ-b, -1 to 1.
        rho: Spearman's ρ, -1 to 1.
    """

    tau: float
    rho: float


def f_score(chosen: np.ndarray, reference: np.ndarray) -> float:
    """F = 2·P·R / (P + R), P the share of what is chosen that the reference has, R the reverse.

    Args:
        chosen, reference: (T,) bool, True where a frame is shown.
    """
    both = int((chosen & reference).sum())
    total = int(chosen.sum()) + int(reference.sum())
    return 2.0 * both / total if total else 0.0


def mean_f_score(chosen: np.ndarray, references: np.ndarray) -> float:
    """The mean of F over users' summaries (U, T), as TVSum is counted."""
    return float(np.mean([f_score(chosen, reference) for reference in references]))


def rank_agreement(scores: np.ndarray, users: np.ndarray) -> Agreement:
    """Whether scores rank moments as users do.

    Args:
        scores: (N,).
        users: (U, N), each user's scores of the same moments; a user who gave all moments the
            same says nothing and is left out.
    Reference: Otani, Nakashima, Rahtu and Heikkilä, "Rethinking the evaluation of video
        summaries", CVPR 2019, section 5.
    """
    told = [user for user in users if np.ptp(user) > 0]
    if not told or np.ptp(scores) == 0:
        return Agreement(0.0, 0.0)
    tau = np.mean([kendalltau(scores, user).statistic for user in told])
    rho = np.mean([spearmanr(scores, user).statistic for user in told])
    return Agreement(float(tau), float(rho))


def summary_of(scores: np.ndarray, starts: np.ndarray, share: float = SHARE) -> np.ndarray:
    """The shots that fit under a share of the film: a knapsack of their mean scores.

    Args:
        scores: (T,), 0 or more.
        starts: (S,) int, first frames of the shots, from 0.
        share: of the frames.
    Returns:
        (T,) bool.
    Reference: Song et al., CVPR 2015, equation 12; Zhang, Chao, Sha and Grauman, "Video
        summarization with long short-term memory", ECCV 2016, whose shots are of all lengths.
    """
    lengths = np.diff(np.append(starts, len(scores)))
    means = np.add.reduceat(np.asarray(scores, float), starts) / lengths
    chosen = knapsack(means, lengths, int(share * len(scores)))
    return np.repeat(chosen, lengths)


def human_f_score(references: np.ndarray) -> float:
    """What users' summaries (U, T) have in common: each against the others, the mean of F."""
    others = [np.delete(references, user, axis=0) for user in range(len(references))]
    return float(np.mean([mean_f_score(*pair) for pair in zip(references, others, strict=True)]))


def human_agreement(users: np.ndarray) -> Agreement:
    """How far users (U, N) rank moments alike: each against each other, the mean of all pairs."""
    told = [user for user in users if np.ptp(user) > 0]
    if len(told) < 2:
        return Agreement(0.0, 0.0)
    tau = np.mean([kendalltau(one, other).statistic for one, other in combinations(told, 2)])
    ranks = np.corrcoef([rankdata(user) for user in told])
    return Agreement(float(tau), float(ranks[np.triu_indices(len(told), 1)].mean()))
