"""The command line: one verb a function. Heavy imports wait until a verb runs.

Exit codes: 0 all done, 1 nothing done (one line says why), 2 wrong usage, 3 some files failed,
130 interrupted.
"""

import argparse
import io
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sora_tf import __version__
from sora_tf.cli import (
    ask,
    detect,
    export,
    finetune,
    fuse,
    hear,
    learn,
    look,
    summarize,
    topics,
    track,
    train,
    tune,
    use,
    words,
    zero_shot,
)
from sora_tf.cli.common import FAILED, INTERRUPTED, complain, reason_of

if TYPE_CHECKING:
    from sora_tf.cli.common import Verb


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sora-tf",
        description="Video in, representation out.",
        epilog=__doc__.split("\n", 2)[2],
    )
    parser.add_argument("--version", action="version", version=f"sora-tf {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error arose")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, run: "Verb") -> argparse.ArgumentParser:
        text = run.__doc__ or ""
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run_verb=run)
        sub.add_argument("--json", action="store_true", help="print JSON, for machines")
        return sub

    for group in (
        *(train, finetune, tune, learn, use, fuse, hear, zero_shot, words, ask, topics),
        *(detect, track, summarize, look, export),
    ):
        group.add(verb)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; the console script `sora-tf`."""
    args = _parser().parse_args(argv)
    # TensorFlow greets with errors about GPUs it does not need; what matters, it raises.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0" if args.debug else "3"
    logging.basicConfig(format="sora-tf: %(message)s", level=logging.WARNING)
    logging.getLogger("sora_tf").setLevel(logging.INFO)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name may be no text
    try:
        return args.run_verb(args)
    except KeyboardInterrupt:
        complain("interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if args.debug:
            raise
        complain(reason_of(error))
        return FAILED
