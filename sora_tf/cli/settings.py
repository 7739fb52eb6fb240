"""Options that say what model is trained and how, for all verbs that train."""

import argparse
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sora_tf.config import SoraConfig
    from sora_tf.data import Augment
    from sora_tf.train.settings import TrainConfig


def add_model(sub: argparse.ArgumentParser) -> None:
    """Adds the options that say what model is trained, on what machine, from what seed."""
    sub.add_argument("--model", default="small", help="preset: micro, small (default), lite")
    sub.add_argument("--config", metavar="FILE", help="a model config as JSON, instead of a preset")
    sub.add_argument("--frames", type=int, help="frames a clip")
    sub.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="pixels of a frame")
    sub.add_argument("--fit", default="stretch", choices=("stretch", "cover", "contain"))
    sub.add_argument("--mixed-precision", action="store_true", help="float16, for GPUs")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips, to share between runs")
    sub.add_argument("--seed", type=int, default=0)


def add_settings(sub: argparse.ArgumentParser) -> None:
    """Adds these and the options that say how it is trained."""
    add_model(sub)
    sub.add_argument("--epochs", type=int, help="default 30; 20 on a frozen CNN")
    sub.add_argument("--batch-size", type=int, help="default 8; 16 on a frozen CNN")
    sub.add_argument("--learning-rate", type=float, help="default 0.001")
    sub.add_argument("--label-smoothing", type=float)
    sub.add_argument(
        "--weights", help="imagenet, random, or a .keras file (default: the model's usual)"
    )
    sub.add_argument(
        "--frozen",
        action=argparse.BooleanOptionalAction,
        help="train on features of the CNN as it is (default: for lite)",
    )
    sub.add_argument("--views", type=int, help="with --frozen: augmented variations of each clip")
    add_augment(sub)
    sub.add_argument("--xla", action="store_true", help="compile with XLA")


def add_augment(sub: argparse.ArgumentParser) -> None:
    """Adds the options that say how training pictures are varied."""
    sub.add_argument("--augment", default="default", choices=("none", "default", "strong"))
    sub.add_argument("--turn", action="store_true", help="turn pictures too: seen from above")


def model_of(args: argparse.Namespace) -> "SoraConfig":
    """The model asked for.

    Raises:
        ValueError: there is no such preset, or the config does not read or hold together.
    """
    from dataclasses import replace

    from sora_tf.config import SoraConfig, resolve

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
    return config


def augment_of(args: argparse.Namespace) -> "Augment":
    """How clips are varied."""
    from dataclasses import replace

    from sora_tf.data import AUGMENTS

    return replace(AUGMENTS[args.augment], turn=args.turn)


def given_of(args: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Those of some options that were given."""
    return {name: getattr(args, name) for name in names if getattr(args, name) is not None}


def training_of(args: argparse.Namespace, model: "SoraConfig") -> "TrainConfig":
    """The training asked for: what suits the model, where nothing is."""
    from dataclasses import replace

    from sora_tf.train.settings import usual_training

    names = ("epochs", "batch_size", "learning_rate", "label_smoothing", "frozen", "views")
    given = given_of(args, *names)
    if args.weights:
        # A file is found again when the run goes on, from whatever folder.
        file = args.weights.endswith(".keras")
        asked = os.path.abspath(args.weights) if file else args.weights
        given["weights"] = None if asked == "random" else asked
    return replace(
        usual_training(model),
        mixed_precision=args.mixed_precision,
        xla=args.xla,
        seed=args.seed,
        **given,
    )
