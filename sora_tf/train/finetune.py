"""Fine-tuning a finished run end to end: the CNN's last stages thaw, the last one first."""

import os
from collections.abc import Sequence
from typing import Any

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.data import read_index
from sora_tf.models.video_model import VideoModel
from sora_tf.train.derive import begin_from, check_same, steps_an_epoch, usual_rate
from sora_tf.train.fake_quant import copy_weights
from sora_tf.train.fit import compile_model, complete, precision
from sora_tf.train.kernel_decay import SPARED
from sora_tf.train.layerwise import LayerwiseAdamW
from sora_tf.train.run import Run
from sora_tf.train.settings import TrainConfig
from sora_tf.train.stages import CnnStage, cnn_stages, frozen_but

ASKED = "finetune.json"
HEAD = "head"


def finetune_run(
    run: Run,
    out: str | os.PathLike[str] | None = None,
    *,
    unfreeze: int | str = 2,
    every: int = 2,
    epochs: int = 10,
    learning_rate: float | None = None,
    decay: float = 0.5,
    batch_size: int | None = None,
    mix: float = 1.0,
    cache: str | os.PathLike[str] | None = None,
    verbose: int | str = "auto",
) -> Run:
    """Trains a run's best model on, its CNN's last stages too: what a frozen CNN ends up with.

    What stands behind the CNN learns from the start, and so does the CNN's last stage; every few
    epochs one more stage does. A stage's rate is `decay` times that of what follows it. All other
    stages stay as they are, and so do all batch norms of the CNN: few clips would spoil them.

    The new run folder holds the same model with other weights, and all that `sora-tf train`
    writes; its finetune.json says what was asked for. Started again on a folder whose run was
    interrupted, it goes on after the last whole epoch.

    Args:
        run: a run with a model, whose clips are still there.
        out: the new run folder; None puts it beside the run, "-finetuned" added.
        unfreeze: how many of the CNN's last stages learn, or the name of the first of them
            (`cnn_stages`); "head" or 0 is none of them.
        every: epochs until one more stage learns; 0 lets all learn from the start.
        epochs: passes over the training clips.
        learning_rate: of what stands behind the CNN, at its peak; None is a tenth of the run's.
        decay: a stage's rate as a share of the next one's, above 0, at most 1.
        batch_size: clips in a step; None is the run's own. A CNN needs far more memory to learn
            than to be looked through.
        mix: see `TunedRun`.
        cache: folder for decoded clips, to share between runs; None keeps them in the new run
            until it is finished.
        verbose: as in `model.fit`.

    Returns:
        The new run, evaluated on its test split (on "val" where there is no "test").

    Raises:
        ValueError: a number is out of its range, or there is no such stage.
        RunError: there is no run or no model, or `out` holds something else.
    Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification",
        ACL 2018.
    """
    owner = "finetune"
    _checks.above(owner, "decay", decay, 0.0, "", "0.5 is a good start; 1 is one rate for all.")
    _checks.between(owner, "decay", decay, 0.0, 1.0, "0.5 is a good start.")
    _checks.at_least(owner, "every", every, 0, "epochs", "0 lets all stages learn at once.")
    model = run.load_model()
    stages = cnn_stages(model)
    count = stages_asked(unfreeze, stages)
    if (count - 1) * every >= epochs:
        raise ValueError(
            f"finetune: epochs must be more than {(count - 1) * every} for {count} stages, one "
            f"more every {every} epochs, got {epochs}. Train longer, or make every smaller."
        )
    new = TunedRun(tuned_folder(run, out), model, mix)
    asked = {**asked_of(run, stages, count, mix), "every": every, "decay": decay}
    begin_tuned(run, new, asked, epochs, learning_rate, batch_size)
    if not new.finished and new.checkpoint() is None:
        _take_model(new, run, count, every, decay)
    clips = read_index(new.path / "split.csv")
    complete(new, new.read_config(), clips, cache=cache, verbose=verbose)
    return Run(new.path)


class TunedRun(Run):
    """A run that keeps models of which no layer is frozen, whatever is while they are trained.

    Args:
        path: the folder.
        before: the model that is trained on.
        mix: share of the weights as trained in what is kept, above 0 to 1; the rest is as they
            were before. Half-way is often better on what is unlike the clips trained on.
    Raises:
        ValueError: `mix` is out of its range.
    Reference: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022.
    """

    def __init__(self, path: str | os.PathLike[str], before: VideoModel, mix: float = 1.0):
        super().__init__(path)
        remedy = "0.5 is half-way; 1 keeps the weights as trained."
        self._mix = _checks.between("finetune", "mix", mix, 0.01, 1.0, remedy)
        self._before = before.get_weights()
        self.plain = type(before).from_config(before.get_config())

    def write_model(self, model: keras.Model) -> None:
        """Keeps a model as the best so far."""
        copy_weights(model, self.plain)
        pairs = zip(self._before, self.plain.get_weights(), strict=True)
        self.plain.set_weights([(1 - self._mix) * old + self._mix * new for old, new in pairs])
        super().write_model(self.plain)


def tuned_folder(run: Run, out: str | os.PathLike[str] | None) -> str | os.PathLike[str]:
    """Where a fine-tuned run goes: where it was asked to, or beside the run."""
    return run.path.with_name(run.path.resolve().name + "-finetuned") if out is None else out


def asked_of(run: Run, stages: Sequence[CnnStage], count: int, mix: float) -> dict[str, Any]:
    """What finetune.json says of every fine-tuned run: of which, what learns, what is kept."""
    names = [stage.name for stage in stages[len(stages) - count :]]
    return {"run": str(run.path.resolve()), "unfreeze": names, "mix": mix}


def begin_tuned(
    run: Run,
    new: Run,
    asked: dict[str, Any],
    epochs: int,
    learning_rate: float | None,
    batch_size: int | None,
    **training: Any,
) -> None:
    """Begins a fine-tuned run, or makes sure that one begun before was asked for the same.

    Args:
        run, new, asked, training: as in `begin_from`.
        epochs, learning_rate, batch_size: as in `finetune_run`.

    Raises:
        ValueError: a number is out of its range.
        RunError: the folder holds something else.
    """
    if new.exists:
        check_same(new, ASKED, asked, "fine-tuned")
        return
    if batch_size is not None:
        training["batch_size"] = batch_size
    rate = usual_rate(run, learning_rate)
    training |= {"epochs": epochs, "learning_rate": rate, "frozen": False, "weights": None}
    begin_from(run, new, ASKED, asked, **training)


def thaw(model: keras.Model, count: int, every: int, decay: float) -> list[tuple[float, int]]:
    """Freezes all of a model's CNN but the last stages; its batch norms stay frozen in them too.

    Args:
        model: from `build_sora`; `trainable` of its layers is set.
        count: stages that learn.
        every: epochs from one stage to the next.
        decay: a stage's rate as a share of the next one's.

    Returns:
        (share of the rate, epoch it begins to learn) of each trainable variable.
    """
    rates = {}
    stages = cnn_stages(model)
    frozen_but(stages, count)
    for depth, stage in enumerate(reversed(stages), start=1):
        for layer in stage.layers:
            for variable in layer.trainable_variables:
                rates[id(variable)] = (decay**depth, (depth - 1) * every)
    return [rates.get(id(variable), (1.0, 0)) for variable in model.trainable_variables]


def stages_asked(unfreeze: int | str, stages: Sequence[CnnStage]) -> int:
    """How many of the last stages learn, by their number or the name of the first of them.

    Raises:
        ValueError: there is no such stage.
    """
    names = [stage.name for stage in stages]
    if isinstance(unfreeze, str) and not unfreeze.isdecimal():
        _checks.one_of("finetune", "unfreeze", unfreeze, (HEAD, *names))
        return 0 if unfreeze == HEAD else len(names) - names.index(unfreeze)
    remedy = f"The CNN's stages are {', '.join(names)}."
    return int(_checks.between("finetune", "unfreeze", int(unfreeze), 0, len(names), remedy))


def _take_model(new, run, count, every, decay):
    """Makes the run's model, partly frozen, the checkpoint to go on from."""
    settings = TrainConfig(**new.read_config().training)
    batches = steps_an_epoch(new, settings)
    with precision(settings):
        model = run.load_model()
        rates = thaw(model, count, every, decay)
        compile_layerwise(model, settings, batches, rates)
    new.write_checkpoint(model, [])


def compile_layerwise(
    model: keras.Model,
    settings: TrainConfig,
    batches: int,
    rates: Sequence[tuple[float, int]],
) -> None:
    """Compiles as `compile_model` does, with a rate for each variable.

    Args:
        model: some of it frozen.
        settings: how to train.
        batches: steps of an epoch.
        rates: (share of the rate, first epoch) of each trainable variable.
    """
    compile_model(model, settings, settings.epochs * batches)
    usual = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # of mixed precision
    config: dict[str, Any] = usual.get_config()
    each = [
        (share, begin * batches, settings.weight_decay if _decays(variable) else 0.0)
        for (share, begin), variable in zip(rates, model.trainable_variables, strict=True)
    ]
    model.compile(
        LayerwiseAdamW.from_config({**config, "name": "layerwise_adamw", "rates": each}),
        model.loss,
        metrics=["accuracy"],
        jit_compile=settings.xla,
    )
    model.optimizer.build(model.trainable_variables)  # or its state would not load


def _decays(variable):
    """As in `compile_model`: kernels alone."""
    return not any(name in variable.name for name in SPARED)
