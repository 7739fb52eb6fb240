"""What frozen vectors are good for: probes that train little or nothing."""

import numpy as np

from sora_tf import _checks


def standardised(train: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Every vector scaled by the mean and deviation of the training vectors, each (N, D)."""
    mean, deviation = train.mean(0), train.std(0) + 1e-6
    return [(vectors - mean) / deviation for vectors in (train, *others)]


def linear_probe(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    truth: np.ndarray,
    strength: float = 1e-2,
) -> float:
    """Accuracy of logistic regression on standardised vectors.

    Args:
        train, test: (N, D) and (M, D).
        labels, truth: (N,) and (M,) class numbers.
        strength: inverse of the L2 penalty, as scikit-learn's C.
    """
    from sklearn.linear_model import LogisticRegression

    train, test = standardised(train, test)
    machine = LogisticRegression(C=strength, max_iter=500).fit(train, labels)
    return float(machine.score(test, truth))


def nearest_neighbours(
    train: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray, neighbours: int = 5
) -> float:
    """Accuracy of a vote of the nearest training vectors by cosine; arguments as `linear_probe`."""
    from sklearn.neighbors import KNeighborsClassifier

    train, test = standardised(train, test)
    machine = KNeighborsClassifier(min(neighbours, len(train)), metric="cosine").fit(train, labels)
    return float(machine.score(test, truth))


def few_shot(
    train: np.ndarray,
    labels: np.ndarray,
    test: np.ndarray,
    truth: np.ndarray,
    shots: int,
    draws: int = 20,
    seed: int = 0,
) -> tuple[float, float]:
    """Accuracy of the nearest class mean, from a few clips of each class.

    Args:
        train, labels, test, truth: as in `linear_probe`.
        shots: training vectors of each class.
        draws: times they are drawn.
        seed: of the draws.

    Returns:
        Mean and standard deviation over the draws.

    Raises:
        ValueError: a class has fewer vectors.
    Reference: Snell, Swersky and Zemel, "Prototypical Networks for Few-shot Learning", NIPS 2017.
    """
    classes, counts = np.unique(labels, return_counts=True)
    remedy = "Give more training clips."
    _checks.between("few_shot", "shots", shots, 1, int(counts.min()), remedy)
    train, test = standardised(train, test)
    rng = np.random.default_rng(seed)
    hits = []
    for _ in range(draws):
        means = [
            train[rng.choice(np.flatnonzero(labels == c), shots, replace=False)].mean(0)
            for c in classes
        ]
        named = classes[(_unit(test) @ _unit(np.stack(means)).T).argmax(1)]
        hits.append(np.mean(named == truth))
    return float(np.mean(hits)), float(np.std(hits))


def retrieval_map(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Mean average precision: every vector asks for those of its class among all others.

    Args:
        vectors: (N, D), ranked by cosine.
        labels: (N,) class numbers; a class of one asks for nothing and is left out.
    """
    from sklearn.metrics import average_precision_score

    units = _unit(vectors)
    likeness = units @ units.T
    found = []
    for query, row in enumerate(likeness):
        others = np.arange(len(row)) != query
        same = labels[others] == labels[query]
        if same.any():
            found.append(average_precision_score(same, row[others]))
    return float(np.mean(found))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
