"""How much each piece of a film counts: by what it adds to the pieces that count more."""

import heapq

import numpy as np

WIDTH = 0.2  # 1 - cosine, at which two pictures are alike by 1/e


def likeness(vectors: np.ndarray, width: float = WIDTH) -> np.ndarray:
    """How alike vectors are: exp((cosine - 1) / width), 1 for the same, near 0 for another scene.

    Args:
        vectors: (P, F) float.
        width: above 0.
    Returns:
        (P, P) float32.
    """
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    unit = (vectors / lengths).astype(np.float32)
    found = unit @ unit.T
    found -= 1.0
    found /= width
    return np.exp(np.minimum(found, 0.0, out=found), out=found)


def added(alike: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """What each piece adds to a summary that holds all pieces of more importance.

    f(S) = Σ_p length_p·max_{s in S} alike[p,s] says how much of a film a summary S stands for. The
    pieces are taken one by one, always the one that raises f most for its own length; how much it
    raises f is what it adds. So the first of many that look alike counts for all of them
    (representative), and the others for little (diverse).

    Args:
        alike: (P, P) float from 0 to 1, as `likeness` gives.
        lengths: (P,) float, above 0.
    Returns:
        (P,) float, in the unit of `lengths`; together they are the length of the film.
    Reference: Minoux, "Accelerated greedy algorithms for maximizing submodular set functions",
        1978 (gains only fall, so those that led before are looked at first); Gygli, Grabner and
        Van Gool, "Video summarization by learning submodular mixtures of objectives", CVPR 2015.
    """
    lengths = np.asarray(lengths, float)
    covered = np.zeros(len(lengths), np.float32)
    gains = np.zeros(len(lengths))
    queue = [(-float(lengths @ alike[p]) / lengths[p], p) for p in range(len(lengths))]
    heapq.heapify(queue)
    while queue:
        _, piece = heapq.heappop(queue)
        gain = float(lengths @ np.maximum(alike[piece] - covered, 0.0))
        if queue and gain / lengths[piece] < -queue[0][0]:
            heapq.heappush(queue, (-gain / lengths[piece], piece))
            continue
        gains[piece] = gain
        covered = np.maximum(covered, alike[piece])
    return gains


def spread(alike: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values shared with what looks the same: y_p = max_s alike[p,s]·values_s, (P,).

    Of many pieces that look alike, one adds all and the others nothing, though any would do.
    """
    return np.asarray([float((row * values).max()) for row in alike])
