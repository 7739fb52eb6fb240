"""The verb that trains a finished run on."""

import argparse
from typing import TYPE_CHECKING

from sora_tf.cli.common import report, verbosity
from sora_tf.cli.detect import report as report_boxes
from sora_tf.cli.settings import given_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("finetune", finetune)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("--out", metavar="NEW", help="run folder to write (default RUN-finetuned)")
    sub.add_argument(
        "--unfreeze", metavar="STAGES",
        help="the CNN's last stages that learn: how many (default 2; of a detector, as many as its "
        "head stands on), the first's name, or head",
    )  # fmt: skip
    sub.add_argument(
        "--every", type=int, help="epochs until one more learns (default 2; not of a detector)"
    )
    sub.add_argument("--epochs", type=int, help="default 10; of a detector, 3")
    sub.add_argument("--learning-rate", type=float, help="default: a tenth of the run's")
    sub.add_argument(
        "--decay", type=float,
        help="a stage's rate, as a share of the next one's (default 0.5; not of a detector)",
    )  # fmt: skip
    sub.add_argument("--batch-size", type=int, help="default: the run's")
    sub.add_argument(
        "--mix", type=float, metavar="SHARE",
        help="of the weights as trained in what is kept, the rest as before (default 1; of a "
        "detector, 0.5)",
    )  # fmt: skip
    sub.add_argument("--cache", metavar="DIR", help="decoded clips, to share between runs")


def finetune(args: argparse.Namespace) -> int:
    """Trains a run's model on, the CNN's last stages too: after --frozen, for example."""
    from sora_tf.train.detector_run import DetectorRun, is_detector
    from sora_tf.train.finetune import finetune_run
    from sora_tf.train.finetune_detector import finetune_detector
    from sora_tf.train.run import Run

    names = ("unfreeze", "epochs", "learning_rate", "batch_size", "mix", "cache")
    given = {**given_of(args, *names), "verbose": verbosity(args)}
    gradual = given_of(args, "every", "decay")
    if is_detector(args.run):
        if gradual:
            raise ValueError(
                f"finetune: the stages of a detector learn together and at one rate, got --"
                f"{', --'.join(gradual)}. Leave it out."
            )
        tuned = finetune_detector(DetectorRun(args.run), args.out, **given)
        return report_boxes(tuned.read_metrics(), tuned.path, args)
    run = finetune_run(Run(args.run), args.out, **given, **gradual)
    return report(run.read_metrics(), run.path, args)
