import json

import numpy as np
import pytest

from sora_tf.train import classification_metrics
from sora_tf.train.plots import plot_confusion, plot_curves


def test_by_hand():
    # True classes a a a b b; predicted a a b b a; class c never occurs.
    truth = np.array([0, 0, 0, 1, 1])
    scores = np.eye(3)[[0, 0, 1, 1, 0]]
    metrics = classification_metrics(truth, scores, ["a", "b", "c"])
    assert metrics["accuracy"] == 3 / 5
    assert metrics["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 0]]
    a, b, c = (metrics["per_class"][label] for label in "abc")
    assert a["precision"] == pytest.approx(2 / 3)
    assert a["recall"] == pytest.approx(2 / 3)
    assert b == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "clips": 2}
    assert c == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "clips": 0}
    # The mean over the classes that occur.
    assert metrics["macro_f1"] == pytest.approx((2 / 3 + 0.5) / 2)
    json.dumps(metrics)


def test_top_five_by_hand():
    scores = np.array([[6, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1]]) / 21
    # Class 4 is fifth and class 5 sixth, so one of the two clips counts.
    metrics = classification_metrics(np.array([4, 5]), scores, list("abcdef"))
    assert metrics["top5_accuracy"] == 0.5
    assert metrics["accuracy"] == 0.0


@pytest.mark.parametrize("shape", [(0, 2), (3, 3), (2, 2)])
def test_shapes_must_fit(shape):
    truth = np.zeros(3 if shape[0] else 0, int)
    with pytest.raises(ValueError, match="scores must be"):
        classification_metrics(truth, np.zeros(shape), ["a", "b"])


def test_pictures_are_png(tmp_path):
    history = [{"epoch": i, "loss": 1 / i, "accuracy": 0.5, "val_loss": 1, "val_accuracy": 0.4}
               for i in (1, 2)]  # fmt: skip
    plot_curves(history, tmp_path / "curves.png")
    plot_confusion([[3, 1], [0, 2]], ["a", "b"], tmp_path / "confusion.png", "title")
    for name in ("curves.png", "confusion.png"):
        assert (tmp_path / name).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert len(list(tmp_path.iterdir())) == 2  # nothing left beside
