"""What a training keeps of every epoch, and which epoch is the best."""

import math

from sora_tf._keras import keras
from sora_tf.train.frozen import share_weights
from sora_tf.train.run import Run, RunError


class KeepEpochs(keras.callbacks.Callback):
    """Writes checkpoint, history and the best model after every epoch.

    Args:
        run: where to.
        history: rows of the epochs so far; grows.
        whole: the model to keep the best of, where what is trained is only its head.
    """

    def __init__(self, run: Run, history: list[dict[str, float]], whole: keras.Model | None = None):
        super().__init__()
        self.run = run
        self.history = history
        self.whole = whole

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keeps the epoch, whole or not at all.

        Raises:
            RunError: the loss is no number any more, which no further epoch would mend.
        """
        row = {"epoch": epoch + 1, **{name: float(value) for name, value in (logs or {}).items()}}
        for name in ("loss", "val_loss"):
            if not math.isfinite(row.get(name, 0.0)):
                raise RunError(
                    f"{name} must be a number, got {row[name]} in epoch {epoch + 1}: the training "
                    "has run away. Lower the learning rate, in another run folder."
                )
        self.history.append(row)
        # Best first: a kill in between costs an epoch, not the best model.
        if self.quality(row) >= max(map(self.quality, self.history)):
            self._keep_model()
        self.run.write_checkpoint(self.model, self.history)
        self.run.write_history(self.history)

    def quality(self, row: dict[str, float]) -> tuple[float, ...]:
        """How good an epoch was; of equal ones the last is kept."""
        return quality(row)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Where somebody took the best model away, the last epoch's is what is left."""
        if not self.run.model_path.is_file():
            self._keep_model()

    def _keep_model(self):
        self.run.write_model(
            self.model if self.whole is None else share_weights(self.model, self.whole)
        )


def quality(row: dict[str, float]) -> tuple[float, float]:
    """Validation accuracy, then loss; the training figures where nothing is held out."""
    accuracy = row.get("val_accuracy", row.get("accuracy", 0.0))
    return accuracy, -row.get("val_loss", row.get("loss", 0.0))
