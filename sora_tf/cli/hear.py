"""The verb that tells what is heard."""

import argparse
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import complain_of_damage, print_answers

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb

CLEAR = 0.05  # mean score of a whole file from which on a name is printed for it


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("hear", hear)
    sub.add_argument("files", nargs="+", metavar="FILE", help="films or files of sound")
    sub.add_argument(
        "--threshold", type=float, default=0.3, help="score from which on it is heard, default 0.3"
    )


def hear(args: argparse.Namespace) -> int:
    """Tells which of AudioSet's 521 sounds are heard in films, and when."""
    from sora_tf._progress import progress
    from sora_tf.models.yamnet import yamnet_names, yamnet_network
    from sora_tf.tasks.hear import hear_files

    answers = hear_files(yamnet_network(), yamnet_names(), args.files, args.threshold)
    return print_answers(progress(answers, "files", len(args.files)), _show, args)


def _show(answer: dict[str, Any]) -> None:
    clear = {name: score for name, score in answer["overall"].items() if score >= CLEAR}
    overall = ", ".join(f"{name} {score:.2f}" for name, score in clear.items())
    print(f"{answer['path']}: {overall or ('nothing clear' if answer['overall'] else 'no sound')}")
    complain_of_damage(answer)
    for sound in answer["sounds"]:
        when = f"{sound['start']:8.1f} to {sound['end']:.1f} s"
        print(f"{when}  {sound['name']} {sound['score']:.2f}")
