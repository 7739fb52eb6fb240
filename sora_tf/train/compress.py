"""Fine-tuning a finished run for int8, for fewer weights, or for both.

In plain Keras: tensorflow-model-optimization 0.8.1 raises on the models' mask, refuses to prune
them whole, and what it can annotate does not load again from `.keras`, so that a killed run would
be lost. Its one extra, kernels folded with their batch norms, changes nothing where each channel
has a scale of its own (see `round_kernel`).
"""

import math
import os
from collections.abc import Sequence

from sora_tf import _checks
from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.data import read_index
from sora_tf.train.derive import begin_from, check_same, steps_an_epoch, usual_rate
from sora_tf.train.fake_quant import copy_weights, fake_quantised
from sora_tf.train.fit import compile_model, complete, precision
from sora_tf.train.keep import quality
from sora_tf.train.prune import Pruning, zero_shares
from sora_tf.train.run import Run
from sora_tf.train.settings import TrainConfig

ASKED = "compress.json"


def compress_run(
    run: Run,
    out: str | os.PathLike[str] | None = None,
    *,
    qat: bool = False,
    prune: float | None = None,
    epochs: int = 10,
    learning_rate: float | None = None,
    cache: str | os.PathLike[str] | None = None,
    verbose: int | str = "auto",
) -> Run:
    """Fine-tunes a run's best model to lose less in int8 (`qat`), or to need less (`prune`).

    The new run folder holds the same model with other weights, and all that `sora-tf train`
    writes; its metrics.json has "compressed" as well, its compress.json what was asked for. Kept
    is the epoch that does best on the validation clips with int8's rounding and all zeros in
    place. Started again on a folder whose run was interrupted, it goes on after the last whole
    epoch.

    Zeros take the room of any weight until a file is compressed, by zip or in an app's package.

    Args:
        run: a run with a model, whose clips are still there.
        out: the new run folder; None puts it beside the run, "-qat" or "-pruned" added.
        qat: train with kernels and activations rounded as in int8.
        prune: share of weights that become zeros, above 0, at most 0.95, in each kernel but those
            that are depthwise or in the first or the last layer; they go in the first half of the
            epochs. None prunes nothing.
        epochs: passes over the training clips.
        learning_rate: at its peak; None is a tenth of the run's own.
        cache: folder for decoded clips, to share between runs; None keeps them in the new run
            until it is finished.
        verbose: as in `model.fit`.

    Returns:
        The new run, evaluated, without rounding, on its test split (on "val" where there is no
        "test").

    Raises:
        ValueError: nothing is asked for, or a number is out of its range.
        RunError: there is no run or no model, or `out` holds something else.
    """
    if prune is not None:
        _checks.above("compress", "prune", prune, 0.0, "", "0.5 is a good start.")
        _checks.between("compress", "prune", prune, 0.0, 0.95, "0.5 is a good start.")
    elif not qat:
        raise ValueError(
            "compress: qat or prune must be given, got neither. Use qat for int8, prune=0.5 to "
            "leave out half of the weights, or both."
        )
    if out is None:
        parts = ("-qat" if qat else "", "-pruned" if prune else "")
        out = run.path.with_name(run.path.resolve().name + "".join(parts))
    model = run.load_model()
    new = _Compressed(out, type(model).from_config(model.get_config()), prune)
    asked = {"run": str(run.path.resolve()), "qat": qat, "prune": prune}
    if new.exists:
        check_same(new, ASKED, asked, "compressed")
    else:
        rate = usual_rate(run, learning_rate)
        begin_from(run, new, ASKED, asked, epochs=epochs, learning_rate=rate, frozen=False)
    if not new.finished and new.checkpoint() is None:
        _take_model(new, run, qat)
    pruning = Pruning(new.prune or 0.0, new.rise())
    clips = read_index(new.path / "split.csv")
    complete(new, new.read_config(), clips, cache=cache, callbacks=[pruning], verbose=verbose)
    metrics = new.read_metrics()
    if "compressed" not in metrics:
        zeros = zero_shares(new.load_model())
        write_json(new.metrics_path, {**metrics, "compressed": {**asked, "zeros": zeros}})
    return Run(new.path)


class _Compressed(Run):
    """A run that keeps plain models, and of the epochs only those in which all zeros are there.

    Args:
        path: the folder.
        plain: a model of the run's kind, whose weights do not matter.
        prune: the share of zeros, or None.
    """

    def __init__(self, path, plain, prune):
        super().__init__(path)
        self.plain = plain
        self.prune = prune

    def rise(self) -> int:
        """Epochs in which the zeros become more."""
        return math.ceil(self.read_config().training["epochs"] / 2) if self.prune else 1

    def write_model(self, model: keras.Model) -> None:
        """Nothing yet: the best of all epochs may be one that has too few zeros."""

    def write_checkpoint(self, model: keras.Model, history: Sequence[dict[str, float]]) -> None:
        """Keeps the state after an epoch, and the model if it is the best that counts."""
        counting = history[self.rise() - 1 :]
        if counting and quality(counting[-1]) >= max(map(quality, counting)):
            copy_weights(model, self.plain)
            super().write_model(self.plain)
        super().write_checkpoint(model, history)


def _take_model(new, run, qat):
    """Makes the run's model the checkpoint to go on from."""
    settings = TrainConfig(**new.read_config().training)
    batches = steps_an_epoch(new, settings)
    with precision(settings):
        model = run.load_model()
        if qat:
            # Where weights go, what comes out of a layer changes, and its norm must follow.
            model = fake_quantised(model, fixed_norms=not new.prune)
        compile_model(model, settings, settings.epochs * batches)
        model.optimizer.build(model.trainable_variables)  # or its state would not load
    new.write_checkpoint(model, [])
