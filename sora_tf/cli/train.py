"""Verbs that train and judge."""

import argparse
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import OK, SOME_FAILED, print_json, verbosity

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("train", train)
    sub.add_argument("source", metavar="DIR", help="folder of class folders, .csv or .parquet")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument("--model", default="small", help="preset: micro, small (default), lite")
    sub.add_argument("--config", metavar="FILE", help="a model config as JSON, instead of a preset")
    sub.add_argument("--frames", type=int, help="frames a clip")
    sub.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="pixels of a frame")
    sub.add_argument("--fit", default="stretch", choices=("stretch", "cover", "contain"))
    sub.add_argument("--epochs", type=int, help="default 30; 20 on a frozen CNN")
    sub.add_argument("--batch-size", type=int, help="default 8; 16 on a frozen CNN")
    sub.add_argument("--learning-rate", type=float, help="default 0.001")
    sub.add_argument("--label-smoothing", type=float)
    sub.add_argument("--weights", choices=("imagenet", "random"), help="default: the model's usual")
    sub.add_argument(
        "--frozen",
        action=argparse.BooleanOptionalAction,
        help="train on features of the CNN as it is (default: for lite)",
    )
    sub.add_argument("--views", type=int, help="with --frozen: augmented variations of each clip")
    sub.add_argument("--augment", default="default", choices=("none", "default", "strong"))
    sub.add_argument("--mixed-precision", action="store_true", help="float16, for GPUs")
    sub.add_argument("--xla", action="store_true", help="compile with XLA")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips, to share between runs")
    sub.add_argument("--seed", type=int, default=0)

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
    from dataclasses import replace

    from sora_tf.config import SoraConfig, resolve
    from sora_tf.data import AUGMENTS
    from sora_tf.train.fit import train_classifier
    from sora_tf.train.settings import usual_training

    if args.config:
        try:
            with open(args.config, encoding="utf-8") as file:
                config = SoraConfig.from_json(file.read())
        except ValueError as error:
            raise ValueError(f"{args.config}: {error}") from None
    else:
        config = resolve(args.model)
    if args.frames is not None:
        config = replace(config, frames=args.frames)
    if args.size:
        config = replace(config, size=tuple(args.size))
    given = {
        name: getattr(args, name)
        for name in ("epochs", "batch_size", "learning_rate", "label_smoothing", "frozen", "views")
        if getattr(args, name) is not None
    }
    if args.weights:
        given["weights"] = None if args.weights == "random" else args.weights
    training = replace(
        usual_training(config),
        mixed_precision=args.mixed_precision,
        xla=args.xla,
        seed=args.seed,
        **given,
    )
    run = train_classifier(
        args.source,
        args.out,
        model=config,
        training=training,
        augment=AUGMENTS[args.augment],
        fit=args.fit,
        cache=args.cache,
        verbose=verbosity(args),
    )
    return _report(run.read_metrics(), run.path, args)


def evaluate(args: argparse.Namespace) -> int:
    """Scores a run on its test clips, or on others."""
    from sora_tf.train.evaluate import evaluate_run
    from sora_tf.train.run import Run

    run = Run(args.run)
    metrics = evaluate_run(run, args.clips, part=args.split, cache=args.cache)
    return _report(metrics, run.path, args)


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
    return _report(run.read_metrics(), run.path, args)


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


def _report(metrics: dict[str, Any], path: Any, args: argparse.Namespace) -> int:
    if args.json:
        print_json(metrics)
    else:
        print(
            f"{metrics['part']}: {metrics['accuracy']:.1%} of {metrics['clips']} clips right, "
            f"macro F1 {metrics['macro_f1']:.3f}; {len(metrics['skipped'])} skipped"
        )
        for label, row in metrics["per_class"].items():
            print(
                f"  {label}: precision {row['precision']:.3f}, recall {row['recall']:.3f}, "
                f"F1 {row['f1']:.3f} ({row['clips']} clips)"
            )
        print(f"run: {path} (metrics.json, predictions.csv, curves.png, confusion.png)")
    return SOME_FAILED if metrics["skipped"] else OK
