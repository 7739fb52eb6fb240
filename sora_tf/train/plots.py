"""Pictures of a training run, as PNG."""

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np

from sora_tf._files import replacing


def plot_curves(history: Sequence[dict[str, float]], path: str | PathLike[str]) -> None:
    """Draws loss, and accuracy where it is known, over the epochs.

    Args:
        history: a row an epoch: "epoch", "loss", where things are named "accuracy", and where
            there is a validation split "val_loss" and "val_accuracy".
        path: the PNG to write.
    """
    names = [name for name in ("loss", "accuracy") if any(name in row for row in history)]
    names = names or ["loss"]
    figure, axes = _figure(4.5 * len(names), 3.5, columns=len(names))
    epochs = [row["epoch"] for row in history]
    for axis, name in zip(axes, names, strict=True):
        for key, label in ((name, "training"), (f"val_{name}", "validation")):
            if history and key in history[0]:
                axis.plot(epochs, [row[key] for row in history], marker=".", label=label)
        axis.set_xlabel("epoch")
        axis.set_title(name)
        axis.grid(alpha=0.3)
        axis.xaxis.get_major_locator().set_params(integer=True)
        if axis.lines:
            axis.legend()
        if name == "accuracy":
            axis.set_ylim(0, 1.02)
    _save(figure, path)


def plot_confusion(
    confusion: Sequence[Sequence[int]], labels: Sequence[str], path: str | PathLike[str], title: str
) -> None:
    """Draws a confusion matrix: rows are the true class, cells show clips.

    Args:
        confusion: (C, C) counts.
        labels: the C names.
        path: the PNG to write.
        title: line above the matrix.
    """
    counts = np.asarray(confusion)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = min(3.0 + 0.45 * len(labels), 24.0)
    figure, (axis,) = _figure(side + 0.8, side)
    image = axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(labels) <= 30:
        for (row, column), count in np.ndenumerate(counts):
            colour = "white" if share[row, column] > 0.6 else "black"
            axis.text(column, row, str(count), ha="center", va="center", color=colour)
    axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axis.set_yticks(range(len(labels)), labels)
    axis.set_xlabel("predicted")
    axis.set_ylabel("true")
    axis.set_title(title)
    figure.colorbar(image, ax=axis, fraction=0.046, label="share of the true class")
    _save(figure, path)


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    # The object interface draws without a screen and leaves pyplot's global state alone.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(1, columns, squeeze=False)[0]


def _save(figure: Any, path: str | PathLike[str]) -> None:
    with replacing(path) as beside:
        figure.savefig(beside, dpi=110)
