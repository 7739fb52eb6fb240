"""The verb that trains on what is seen, heard and said."""

import argparse
from typing import TYPE_CHECKING

from sora_tf.cli.common import report, verbosity
from sora_tf.cli.settings import add_model, given_of, model_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb

KINDS = ("graph", "cross_attention", "concatenation")
SETS = ("frame", "sound", "sentence")
TRAINED, YAMNET = "trained", "yamnet"


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("fuse", fuse)
    sub.add_argument(
        "source",
        metavar="DIR",
        help="class folders of films (of sounds too, where --sets leaves out frame), or a table "
        "with path, label and, where wanted, sound, subtitles and caption",
    )
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), help="default all")
    sub.add_argument(
        "--sound-encoder",
        choices=(TRAINED, YAMNET),
        default=TRAINED,
        help="default trained, with the rest; yamnet has learnt the sounds of AudioSet before",
    )
    sub.add_argument("--kind", choices=KINDS, default=KINDS[0], help="default graph")
    add_model(sub)
    sub.set_defaults(model="lite")
    sub.add_argument("--epochs", type=int, help="default 120")
    sub.add_argument("--batch-size", type=int, help="default 16")
    sub.add_argument("--learning-rate", type=float, help="default 0.001")


def fuse(args: argparse.Namespace) -> int:
    """Trains a classifier of what is seen, heard and said in clips; `classify` uses it."""
    from dataclasses import replace

    from sora_tf.models.fusion import FusionConfig
    from sora_tf.train.fused import train_fused, usual_fused_training

    given = given_of(args, "epochs", "batch_size", "learning_rate")
    run = train_fused(
        args.source,
        args.out,
        sets=args.sets,
        model=model_of(args),
        fusion=FusionConfig(args.kind),
        sound=None if args.sound_encoder == TRAINED else args.sound_encoder,
        training=replace(usual_fused_training(), seed=args.seed, **given),
        fit=args.fit,
        cache=args.cache,
        verbose=verbosity(args),
    )
    return report(run.read_metrics(), run.path, args)
