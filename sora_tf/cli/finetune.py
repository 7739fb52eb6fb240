"""The verb that trains a finished run on."""

import argparse
from typing import TYPE_CHECKING

from sora_tf.cli.common import report, verbosity

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("finetune", finetune)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("--out", metavar="NEW", help="run folder to write (default RUN-finetuned)")
    sub.add_argument(
        "--unfreeze", default="2", metavar="STAGES",
        help="the CNN's last stages that learn: how many (default 2), the first's name, or head",
    )  # fmt: skip
    sub.add_argument(
        "--every", type=int, default=2, help="epochs until one more learns (default 2)"
    )
    sub.add_argument("--epochs", type=int, default=10)
    sub.add_argument("--learning-rate", type=float, help="default: a tenth of the run's")
    sub.add_argument(
        "--decay", type=float, default=0.5, help="a stage's rate, as a share of the next one's"
    )
    sub.add_argument("--batch-size", type=int, help="default: the run's")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips, to share between runs")


def finetune(args: argparse.Namespace) -> int:
    """Trains a run's model on, the CNN's last stages too: after --frozen, for example."""
    from sora_tf.train.finetune import finetune_run
    from sora_tf.train.run import Run

    run = finetune_run(
        Run(args.run),
        args.out,
        unfreeze=args.unfreeze,
        every=args.every,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        decay=args.decay,
        batch_size=args.batch_size,
        cache=args.cache,
        verbose=verbosity(args),
    )
    return report(run.read_metrics(), run.path, args)
