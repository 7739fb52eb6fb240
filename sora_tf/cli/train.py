"""Verbs that train and judge."""

import argparse
from typing import TYPE_CHECKING

from sora_tf.cli.common import OK, print_json, report, verbosity
from sora_tf.cli.detect import report as report_boxes
from sora_tf.cli.settings import add_settings, augment_of, model_of, training_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("train", train)
    sub.add_argument("source", metavar="DIR", help="folder of class folders, .csv or .parquet")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    add_settings(sub)

    sub = verb("evaluate", evaluate)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("--clips", metavar="DIR", help="other clips: folder or table")
    sub.add_argument("--split", default="test", help="split of the run's own clips (default test)")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips")

    sub = verb("demo", demo)
    sub.add_argument("--out", default="demo", metavar="DIR")

    sub = verb("case-study", case_study)
    sub.add_argument("--cifar10", action="store_true", help="the CIFAR-10 listing")
    sub.add_argument("--data", metavar="NPZ", help="CIFAR-10 from a file instead of a download")
    sub.add_argument("--epochs", type=int)

    sub = verb("compress", compress)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("--qat", action="store_true", help="fine-tune with the rounding of int8")
    sub.add_argument("--prune", type=float, metavar="SHARE", help="share of weights made zero")
    sub.add_argument("--out", metavar="NEW", help="run folder to write (default RUN-qat, …)")
    sub.add_argument("--epochs", type=int, default=10)
    sub.add_argument("--learning-rate", type=float, help="default: a tenth of the run's")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips, to share between runs")


def train(args: argparse.Namespace) -> int:
    """Trains a classifier on a folder or table of clips."""
    from sora_tf.train.fit import train_classifier

    model = model_of(args)
    run = train_classifier(
        args.source,
        args.out,
        model=model,
        training=training_of(args, model),
        augment=augment_of(args),
        fit=args.fit,
        cache=args.cache,
        verbose=verbosity(args),
    )
    return report(run.read_metrics(), run.path, args)


def evaluate(args: argparse.Namespace) -> int:
    """Scores a run on its test clips, or on others."""
    from sora_tf.train.detector_run import DetectorRun, is_detector
    from sora_tf.train.evaluate import evaluate_run
    from sora_tf.train.evaluate_detector import evaluate_detector
    from sora_tf.train.run import Run

    if is_detector(args.run):
        if args.clips:
            raise ValueError(
                f"evaluate: {args.run} is of a detector, which is judged on its own clips, got "
                f"--clips {args.clips}. Leave it out."
            )
        if args.cache:
            raise ValueError(
                f"evaluate: {args.run} is of a detector, which is shown its clips as `detect` "
                f"shows videos, got --cache {args.cache}. Leave it out."
            )
        found = DetectorRun(args.run)
        metrics = evaluate_detector(found, part=args.split)
        return report_boxes(metrics, found.path, args)
    run = Run(args.run)
    metrics = evaluate_run(run, args.clips, part=args.split, cache=args.cache)
    return report(metrics, run.path, args)


def compress(args: argparse.Namespace) -> int:
    """Fine-tunes a run so that int8 loses less, or with weights left out."""
    from sora_tf.train.compress import compress_run
    from sora_tf.train.run import Run

    run = compress_run(
        Run(args.run),
        args.out,
        qat=args.qat,
        prune=args.prune,
        epochs=args.epochs,
        learning_rate=args.learning_rate,
        cache=args.cache,
        verbose=verbosity(args),
    )
    return report(run.read_metrics(), run.path, args)


def demo(args: argparse.Namespace) -> int:
    """Shows the whole way on moving digits, in a few minutes."""
    from sora_tf.train.demo import demo as show

    result = show(args.out, verbose=verbosity(args))
    if args.json:
        print_json(result)
    else:
        print(
            f"moving digits: {result['accuracy']:.1%} of unseen digits right; the average of "
            f"single frames {result['baseline_accuracy']:.1%} (chance {result['chance']:.0%})\n"
            f"run: {result['run']}   vectors of a new file: {result['embedding']}"
        )
    return OK


def case_study(args: argparse.Namespace) -> int:
    """The paper's own case, or its CIFAR-10 listing."""
    from sora_tf.train.case_study import cifar10, moving_digits

    if args.cifar10:
        epochs = 5 if args.epochs is None else args.epochs
        result = cifar10(args.data, epochs=epochs, verbose=verbosity(args))
    else:
        epochs = 3 if args.epochs is None else args.epochs
        result = moving_digits(epochs=epochs, verbose=verbosity(args))
    if args.json:
        print_json(result)
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    return OK
