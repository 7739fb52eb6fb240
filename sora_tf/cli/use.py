"""Verbs that use a run on files."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import (
    code,
    complain,
    complain_of_damage,
    print_answers,
    print_json,
    reading_of,
)

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb
    from sora_tf.cli.given import Given


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("classify", classify)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("files", nargs="+", metavar="FILE")
    sub.add_argument(
        "--window", type=float, metavar="S", help="seconds a window (default: as trained)"
    )
    sub.add_argument("--step", type=float, metavar="S", help="seconds between windows")

    sub = verb("embed", embed)
    sub.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a run may stand first; without one, vectors of `lite` with the weights of --weights",
    )
    sub.add_argument(
        "--weights",
        choices=("fight", "imagenet"),
        help="where there is no run: `fight` comes with sora_tf (default); or the CNN's alone",
    )
    sub.add_argument("-o", "--out", required=True, metavar="TABLE", help="Parquet table to write")
    sub.add_argument(
        "--window", type=float, metavar="S", help="seconds a row (default: whole file)"
    )
    sub.add_argument("--step", type=float, metavar="S", help="seconds between windows")
    sub.add_argument(
        "--rate",
        type=float,
        metavar="R",
        help="read films of any length from end to end at R frames/s, a row a minute; a row's "
        "global vector is of the film so far",
    )
    sub.add_argument(
        "--size", type=int, nargs=2, metavar=("H", "W"), help="without a run: pixels of a frame"
    )

    sub = verb("predict", predict)
    sub.add_argument("files", nargs="+", metavar="FILE")
    sub.add_argument(
        "--server", required=True, metavar="URL", help="http://HOST:8501 or grpc://HOST:8500"
    )
    sub.add_argument("--model", default="sora", help="its name there (default sora)")
    sub.add_argument("--version", type=int, help="version (default: the newest)")
    sub.add_argument("--label", help="version by its label, such as stable")
    sub.add_argument("--window", type=float, metavar="S", help="seconds a window (default: whole)")
    sub.add_argument("--step", type=float, metavar="S", help="seconds between windows")


def classify(args: argparse.Namespace) -> int:
    """Names files by a run's model, with scores over time for long files."""
    from sora_tf._progress import progress
    from sora_tf.tasks.classify import classify_files
    from sora_tf.train.fused_run import is_fused
    from sora_tf.train.run import Run

    if is_fused(args.run):
        return _classify_fused(args)
    run = Run(args.run)
    config = run.read_config()
    seconds = config.clip_seconds if args.window is None else args.window
    reading = reading_of(config, seconds, args.step)
    answers = classify_files(run.load_model(), config.labels, args.files, reading)
    return print_answers(progress(answers, "files", len(args.files)), print_scores, args)


def _classify_fused(args: argparse.Namespace) -> int:
    from sora_tf._progress import progress
    from sora_tf.data import Clip
    from sora_tf.data.fused import FusedClip
    from sora_tf.tasks.fused import classify_fused
    from sora_tf.train.fused_run import FusedRun, reader_of

    if args.window is not None or args.step is not None:
        raise ValueError("classify: a run that fuses takes whole files. Leave --window out.")
    run = FusedRun(args.run)
    config = run.read_config()
    items = [FusedClip(Clip(path, "")) for path in args.files]
    answers = classify_fused(run.load_model(), config.labels, items, reader_of(config))
    return print_answers(progress(answers, "files", len(args.files)), print_scores, args)


def embed(args: argparse.Namespace) -> int:
    """Writes global and per-frame vectors of files as a Parquet table."""
    import os

    from sora_tf._progress import progress
    from sora_tf.cli.given import given_model

    if args.rate is not None and (args.window is not None or args.step is not None):
        raise ValueError("embed: --rate reads from end to end. Leave --window and --step out.")
    if args.size and os.path.isdir(args.files[0]):
        raise ValueError(f"embed: {args.files[0]} has a size of its own. Leave --size out.")
    given, files = given_model("embed", args.files, args.weights, args.size and tuple(args.size))
    answers = []
    results = _rows(given, files, args)
    for answer in progress(results, "files", len(files)):
        answers.append(answer)
        if answer["error"]:
            complain(answer["error"])
    failed = sum(answer["windows"] == 0 for answer in answers)
    rows = sum(answer["windows"] for answer in answers)
    if args.json:
        print_json({"table": args.out if rows else None, "files": answers})
    elif rows:
        print(f"{args.out}: {rows} rows from {len(answers) - failed} files, {failed} failed")
    else:
        print(f"no table written: {failed} of {failed} files failed")
    return code(failed, len(answers))


def _rows(given: "Given", files: list[str], args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Embeds: windows of files, or films from end to end."""
    from sora_tf.tasks.embed import embed_to_table
    from sora_tf.tasks.embed_long import embed_long_to_table
    from sora_tf.tasks.parts import Pace
    from sora_tf.tasks.running import running
    from sora_tf.tasks.windows import Reading

    config = given.config
    if args.rate is not None:
        pace = Pace(config.size, args.rate, given.fit)
        return embed_long_to_table(running(given.model), files, pace, args.out, given.key)
    reading = Reading(config.frames, config.size, given.fit, args.window, args.step)
    return embed_to_table(given.model, files, reading, args.out, given.key)


def predict(args: argparse.Namespace) -> int:
    """Names files by a model on TensorFlow Serving."""
    from sora_tf._progress import progress
    from sora_tf.export.remote import predict_files

    answers = predict_files(
        args.server,
        args.files,
        model=args.model,
        version=args.version,
        label=args.label,
        seconds=args.window,
        step=args.step,
    )
    return print_answers(progress(answers, "files", len(args.files)), print_scores, args)


def print_scores(answer: dict[str, Any]) -> None:
    """Prints the best names of a file, and of its windows where there are several."""
    ranked = sorted(answer["scores"].items(), key=lambda item: -item[1])[:5]
    print(f"{answer['path']}: " + ", ".join(f"{label} {score:.3f}" for label, score in ranked))
    complain_of_damage(answer)
    if len(answer["windows"]) > 1:
        for window in answer["windows"]:
            label, score = max(window["scores"].items(), key=lambda item: item[1])
            print(f"  {window['start']:8.2f} to {window['end']:8.2f} s  {label} {score:.3f}")
