"""The verb that summarises films."""

import argparse
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import code, complain, print_json

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("summarize", summarize)
    sub.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a run may stand first; without one, `lite` with the weights that come with sora_tf",
    )
    sub.add_argument("--out", required=True, metavar="DIR", help="a folder for each film goes here")
    long = sub.add_mutually_exclusive_group()
    long.add_argument("--seconds", type=float, metavar="S", help="length of a summary")
    long.add_argument("--share", type=float, metavar="X", help="of the film's (default 0.15)")
    sub.add_argument(
        "--subtitles",
        metavar="FILE",
        help="of the one film (.srt, .vtt, .ass), or `embedded` where films must hold them "
        "(default: those beside a film, else inside it, if any)",
    )
    sub.add_argument("--sentences", type=int, default=6, metavar="N", help="at most (default 6)")
    sub.add_argument(
        "--scores",
        metavar="FILE",
        help="users' scores (.csv: path, time, score) to learn from, or what was learnt (.json)",
    )
    sub.add_argument("--rate", type=float, default=5.0, metavar="R", help="frames/s (default 5)")
    sub.add_argument(
        "--attention",
        action="store_true",
        help="draw into the page what of each picture counted for the global vector",
    )
    sub.add_argument("--segments", default="features", choices=("features", "pyscenedetect"))


def summarize(args: argparse.Namespace) -> int:
    """Makes summaries of films of any length: page, storyboard, highlights, numbers, words."""
    from sora_tf._progress import progress
    from sora_tf.cli.given import given_model
    from sora_tf.tasks.attention import Attend
    from sora_tf.tasks.choice import SHARE, Length
    from sora_tf.tasks.parts import Pace
    from sora_tf.tasks.running import running
    from sora_tf.tasks.segments import APART, SIDE
    from sora_tf.tasks.summary_files import Wish, summarize_files

    share = SHARE if args.share is None else args.share
    length = Length(args.seconds, share)
    given, files = given_model("summarize", args.files, size=(SIDE, SIDE))
    _check_subtitles(args.subtitles, files)
    apart = APART if given.pretrained else None
    wish = Wish(length, args.segments, apart, args.subtitles, args.sentences)
    pace = Pace(given.config.size, args.rate, given.fit)
    model = running(given.model)
    scorer = _scorer(args, model, pace, given.key)
    answers = []
    attend = Attend(given.model) if args.attention else None
    results = summarize_files(model, files, pace, args.out, given.key, wish, scorer, attend)
    for answer in progress(results, "films", len(files)):
        answers.append(answer)
        if not args.json:
            _print(answer)
        for trouble in (answer.get("error"), answer.get("damage")):
            if trouble:
                complain(trouble if answer["path"] in trouble else f"{answer['path']}: {trouble}")
    failed = sum("error" in answer for answer in answers)
    if args.json:
        print_json(answers)
    elif len(answers) > 1:
        print(f"{len(answers) - failed} summaries in {args.out}, {failed} files failed")
    return code(failed, len(answers))


def _check_subtitles(subtitles: str | None, files: list[str]) -> None:
    from sora_tf.video.subtitles import EMBEDDED

    if subtitles not in (None, EMBEDDED) and len(files) > 1:
        raise ValueError(
            f"summarize: --subtitles must go with one film, got {len(files)}. Name one, or use "
            "--subtitles embedded."
        )


def _scorer(args: argparse.Namespace, model: Any, pace: Any, key: str) -> Any:
    """What --scores names: learnt from users' scores, or read."""
    import os

    from sora_tf.tasks.scorer import Scorer
    from sora_tf.train.importance import train_importance

    if args.scores is None:
        return None
    if not args.scores.endswith(".csv"):
        scorer = Scorer.read(args.scores)
        if scorer.key != key:
            raise ValueError(
                f"{args.scores}: it was learnt on vectors of another model. Learn it anew from "
                "users' scores (.csv)."
            )
        return scorer
    path = os.path.join(args.out, "importance.json")
    scorer, skipped = train_importance(model, args.scores, pace, path, key)
    for error in skipped:
        complain(error)
    scorer.write(path)
    if not args.json:
        print(f"learnt from {args.scores}: {path}")
    return scorer


def _print(answer: dict[str, Any]) -> None:
    if "error" in answer:
        return
    from sora_tf.tasks.storyboard import amount

    print(
        f"{answer['path']}: {answer['summary_seconds']:.1f} s in "
        f"{amount(len(answer['moments']), 'moment')} "
        f"of {answer['duration']:.1f} s: {answer['folder']}/index.html"
    )
    for sentence in answer["talk"]:
        print(f"  {sentence['start']:8.1f} s  {sentence['text']}")
