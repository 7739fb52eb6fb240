"""Verbs that learn from a teacher or from clips without labels."""

import argparse
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import OK, SOME_FAILED, print_json, verbosity
from sora_tf.cli.settings import add_model, given_of, model_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("distill", distill)
    sub.add_argument(
        "source", metavar="DIR", nargs="?", help="labelled clips: folder of class folders or table"
    )
    sub.add_argument(
        "--teacher", required=True, metavar="RUN", help="run folder, or a table of `sora-tf embed`"
    )
    sub.add_argument("--unlabelled", metavar="DIR", help="more clips: any folder, or a table")
    _add_training(sub)
    for name, what, usual in (
        ("labels", "cross-entropy with the labels", 1),
        ("scores", "the teacher's softened scores", 1),
        ("vector", "its global vector, after a linear map", 1),
        ("relations", "how alike it finds every two frames", 1),
        ("features", "its frame vectors, after a linear map", 0),
    ):
        sub.add_argument(
            f"--{name}", type=float, metavar="WEIGHT", help=f"weight of {what} (default {usual})"
        )
    sub.add_argument("--temperature", type=float, help="of the scores (default 4)")
    sub.add_argument("--views", type=int, help="variations to ask the teacher about (default 0)")
    sub.add_argument("--distance", choices=("cosine", "squared"), help="of the vectors")

    sub = verb("pretrain", pretrain)
    sub.add_argument("source", metavar="DIR", help="clips without labels: any folder, or a table")
    _add_training(sub)


def _add_training(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    add_model(sub)
    sub.add_argument("--epochs", type=int)
    sub.add_argument("--batch-size", type=int)
    sub.add_argument("--learning-rate", type=float)
    sub.add_argument("--augment", choices=("none", "default", "strong"))


def distill(args: argparse.Namespace) -> int:
    """Trains a model on what a run or a table of vectors says of clips."""
    from dataclasses import fields, replace

    from sora_tf.data import AUGMENTS
    from sora_tf.train.distill import distill as learn
    from sora_tf.train.lessons import Lesson
    from sora_tf.train.settings import usual_training

    config = model_of(args)
    names = (field.name for field in fields(Lesson))
    lesson = Lesson(**given_of(args, *names))
    training = replace(usual_training(config), **_training(args))
    run = learn(
        args.source,
        args.out,
        args.teacher,
        unlabelled=args.unlabelled,
        model=config,
        lesson=lesson,
        training=training,
        augment=args.augment and AUGMENTS[args.augment],
        fit=args.fit,
        cache=args.cache,
        verbose=verbosity(args),
    )
    metrics = run.read_metrics()
    if args.json:
        print_json(metrics)
    else:
        taught = metrics["distilled"]["taught"]
        judged = "clips right" if args.source else "clips as the teacher has them"
        print(
            f"{metrics['part']}: {metrics['accuracy']:.1%} of {metrics['clips']} {judged}, "
            f"macro F1 {metrics['macro_f1']:.3f}; {len(metrics['skipped'])} skipped\n"
            f"taught: {', '.join(f'{name} × {weight:g}' for name, weight in taught.items())}\n"
            f"run: {run.path}"
        )
    return SOME_FAILED if metrics["skipped"] else OK


def pretrain(args: argparse.Namespace) -> int:
    """Trains a model without a classifier on clips without labels."""
    from dataclasses import replace

    from sora_tf.data import AUGMENTS
    from sora_tf.train.pretrain import pretrain as learn
    from sora_tf.train.settings import usual_training

    config = model_of(args)
    run = learn(
        args.source,
        args.out,
        model=config,
        training=replace(usual_training(config), **_training(args)),
        augment=args.augment and AUGMENTS[args.augment],
        fit=args.fit,
        cache=args.cache,
        verbose=verbosity(args),
    )
    metrics = run.read_metrics()
    if args.json:
        print_json(metrics)
    else:
        print(
            f"{metrics['part']}: of {metrics['clips']} clips {metrics['order']:.1%} told in or out "
            f"of order, {metrics['speed']:.1%} told fast or slow (chance {metrics['chance']:.0%}); "
            f"{len(metrics['skipped'])} skipped\nmodel: {run.model_path}"
        )
    return SOME_FAILED if metrics["skipped"] else OK


def _training(args: argparse.Namespace) -> dict[str, Any]:
    given = given_of(args, "epochs", "batch_size", "learning_rate")
    return {**given, "mixed_precision": args.mixed_precision, "seed": args.seed}
