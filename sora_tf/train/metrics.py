"""How well scores name the labels, as plain numbers for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


def classification_metrics(
    truth: np.ndarray, scores: np.ndarray, labels: Sequence[str]
) -> dict[str, Any]:
    """Accuracy, top-5 accuracy, the confusion matrix, and precision, recall and F1 per class.

    Args:
        truth: (N,) integer class of each clip.
        scores: (N, C), the higher the likelier.
        labels: the C names.

    Returns:
        {"clips", "accuracy", "top5_accuracy", "macro_f1", "per_class": {label: {"precision",
        "recall", "f1", "clips"}}, "confusion": rows are true, columns predicted}. A class that
        is never predicted has precision 0.

    Raises:
        ValueError: there is nothing to measure, or the shapes do not fit.
    """
    if scores.ndim != 2 or scores.shape != (len(truth), len(labels)) or not len(truth):
        raise ValueError(
            f"classification_metrics: scores must be (clips, classes) with at least one clip, got "
            f"{scores.shape} for {len(truth)} clips and {len(labels)} labels. Check the split."
        )
    known = np.arange(len(labels))
    predicted = scores.argmax(axis=1)
    top5 = np.argsort(-scores, axis=1, kind="stable")[:, :5]
    precision, recall, f1, clips = precision_recall_fscore_support(
        truth, predicted, labels=known, zero_division=0
    )
    return {
        "clips": len(truth),
        "accuracy": float((predicted == truth).mean()),
        "top5_accuracy": float((top5 == truth[:, None]).any(axis=1).mean()),
        "macro_f1": float(f1[clips > 0].mean()),
        "per_class": {
            label: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "clips": int(clips[i]),
            }
            for i, label in enumerate(labels)
        },
        "confusion": confusion_matrix(truth, predicted, labels=known).tolist(),
    }
