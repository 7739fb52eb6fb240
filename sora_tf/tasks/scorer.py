"""Users' taste as a linear score on features: a file people can open, and what reads it."""

import json
import os
from dataclasses import dataclass

import numpy as np

from sora_tf._files import write_json


@dataclass(frozen=True)
class Scorer:
    """Scores frames as users would: score_t = weights·x_t + bias.

    Args:
        weights: (F,), F the length of a feature vector.
        bias: score of a vector of zeros.
        key: what the features came from; they mean nothing to another model's.
    """

    weights: np.ndarray
    bias: float
    key: str

    def score(self, features: np.ndarray) -> np.ndarray:
        """Features (n, F) to scores (n,).

        Raises:
            ValueError: the features are of another length.
        """
        if features.shape[1] != len(self.weights):
            raise ValueError(
                f"Scorer: features must have {len(self.weights)} values, got {features.shape[1]}. "
                "Use the model that it was trained with."
            )
        return features.astype(np.float64) @ self.weights + self.bias

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes it as JSON."""
        value = {"bias": self.bias, "key": self.key, "weights": self.weights.tolist()}
        write_json(path, value)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "Scorer":
        """Reads what `write` wrote.

        Raises:
            ValueError: it is something else.
        """
        try:
            with open(path, encoding="utf-8") as file:
                value = json.load(file)
            return cls(np.asarray(value["weights"], float), float(value["bias"]), value["key"])
        except (KeyError, TypeError, ValueError):
            raise ValueError(
                f"{os.fspath(path)}: a scorer must be JSON with weights, bias and key, as "
                "train_importance writes it. Train one from users' scores (.csv)."
            ) from None
