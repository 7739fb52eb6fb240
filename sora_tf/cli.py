"""The command line: one verb a function. Heavy imports wait until a verb runs.

Exit codes: 0 all done, 1 nothing done (one line says why), 2 wrong usage, 3 some files failed,
130 interrupted.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sora_tf import __version__

if TYPE_CHECKING:
    from sora_tf.tasks.windows import Reading
    from sora_tf.train.run import RunConfig

OK, FAILED, SOME_FAILED, INTERRUPTED = 0, 1, 3, 130


def probe(args: argparse.Namespace) -> int:
    """What is in a video file."""
    from sora_tf.video import VideoError
    from sora_tf.video import probe as look

    answers, failed = [], 0
    for path in args.files:
        try:
            answers.append(look(path).to_dict())
        except VideoError as error:
            failed += 1
            answers.append({"path": path, "error": str(error)})
    if args.json:
        _print_json(answers)
    else:
        for answer in answers:
            if "error" in answer:
                _complain(answer["error"])
            else:
                print(_describe(answer))
    return _code(failed, len(answers))


def clean(args: argparse.Namespace) -> int:
    """Looks for clips that would spoil training."""
    from sora_tf._progress import counting
    from sora_tf.data import inspect_clips, read_index

    clips = read_index(args.source)
    with counting("looking at clips") as update:
        report = inspect_clips(clips, progress=update)
    if args.out:
        from sora_tf._files import replacing

        with replacing(args.out) as beside:
            beside.write_text(report.to_json(), encoding="utf-8")
    print(report.to_json() if args.json else report.table())
    return OK


def train(args: argparse.Namespace) -> int:
    """Trains a classifier on a folder or table of clips."""
    from dataclasses import replace

    from sora_tf.config import SoraConfig, resolve
    from sora_tf.data import AUGMENTS
    from sora_tf.train.fit import TrainConfig, train_classifier

    if args.config:
        with open(args.config, encoding="utf-8") as file:
            config = SoraConfig.from_json(file.read())
    else:
        config = resolve(args.model)
    if args.frames:
        config = replace(config, frames=args.frames)
    if args.size:
        config = replace(config, size=tuple(args.size))
    training = TrainConfig(
        epochs=args.epochs,
        batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        label_smoothing=args.label_smoothing,
        mixed_precision=args.mixed_precision,
        xla=args.xla,
        seed=args.seed,
    )
    run = train_classifier(
        args.source,
        args.out,
        model=config,
        training=training,
        augment=AUGMENTS[args.augment],
        fit=args.fit,
        cache=args.cache,
        verbose=_verbosity(args),
    )
    return _report(run.read_metrics(), run.path, args)


def evaluate(args: argparse.Namespace) -> int:
    """Scores a run on its test clips, or on others."""
    from sora_tf.train.evaluate import evaluate_run
    from sora_tf.train.run import Run

    run = Run(args.run)
    metrics = evaluate_run(run, args.clips, part=args.split, cache=args.cache)
    return _report(metrics, run.path, args)


def classify(args: argparse.Namespace) -> int:
    """Names files by a run's model, with scores over time for long files."""
    from sora_tf._progress import progress
    from sora_tf.tasks.classify import classify_files
    from sora_tf.train.run import Run

    run = Run(args.run)
    config = run.read_config()
    reading = _reading(config, args.window or config.clip_seconds, args.step)
    failed = 0
    answers = classify_files(run.load_model(), config.labels, args.files, reading)
    for answer in progress(answers, "files", len(args.files)):
        failed += "error" in answer
        if args.json:
            _print_json(answer, indent=None)
        elif "error" in answer:
            _complain(answer["error"])
        else:
            _print_scores(answer)
    return _code(failed, len(args.files))


def embed(args: argparse.Namespace) -> int:
    """Writes global and per-frame vectors of files as a Parquet table."""
    import hashlib

    from sora_tf._progress import progress
    from sora_tf.tasks.embed import embed_to_table
    from sora_tf.train.run import Run

    run = Run(args.run)
    config = run.read_config()
    model = run.load_model()
    key = hashlib.sha256(run.model_path.read_bytes()).hexdigest()
    reading = _reading(config, args.window, args.step)
    answers = []
    results = embed_to_table(model, args.files, reading, args.out, key)
    for answer in progress(results, "files", len(args.files)):
        answers.append(answer)
        if answer["error"]:
            _complain(answer["error"])
    failed = sum(answer["windows"] == 0 for answer in answers)
    if args.json:
        _print_json({"table": args.out, "files": answers})
    else:
        rows = sum(answer["windows"] for answer in answers)
        print(f"{args.out}: {rows} rows from {len(answers) - failed} files, {failed} failed")
    return _code(failed, len(answers))


def inspect(args: argparse.Namespace) -> int:
    """Lists a run's layers, parameters and multiply-accumulates."""
    from dataclasses import asdict

    from sora_tf.models.cost import layer_costs
    from sora_tf.train.run import Run

    costs = layer_costs(Run(args.run).load_model())
    total = {"parameters": sum(c.parameters for c in costs), "macs": sum(c.macs for c in costs)}
    if args.json:
        _print_json({**total, "layers": [asdict(cost) for cost in costs]})
        return OK
    rows = [("layer", "kind", "output", "parameters", "MACs")]
    rows += [
        (c.name, c.kind, "×".join("B" if n is None else str(n) for n in c.output_shape),
         f"{c.parameters:,}", f"{c.macs:,}") for c in costs
    ]  # fmt: skip
    rows.append(("total", "", "", f"{total['parameters']:,}", f"{total['macs']:,} a clip"))
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    for row in rows:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        print(f"{left}  {row[3]:>12}  {row[4]:>16}")
    return OK


def demo(args: argparse.Namespace) -> int:
    """Shows the whole way on moving digits, in a few minutes."""
    from sora_tf.train.demo import demo as show

    result = show(args.out, verbose=_verbosity(args))
    if args.json:
        _print_json(result)
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
        result = cifar10(args.data, epochs=args.epochs or 5, verbose=_verbosity(args))
    else:
        result = moving_digits(epochs=args.epochs or 3, verbose=_verbosity(args))
    if args.json:
        _print_json(result)
    else:
        print("\n".join(f"{name}: {value}" for name, value in result.items()))
    return OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sora-tf",
        description="Video in, representation out.",
        epilog=__doc__.split("\n", 2)[2],
    )
    parser.add_argument("--version", action="version", version=f"sora-tf {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error arose")
    verbs = parser.add_subparsers(metavar="VERB", required=True)

    def verb(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        text = run.__doc__ or ""
        sub = verbs.add_parser(name, help=text, description=text)
        sub.set_defaults(run_verb=run)
        sub.add_argument("--json", action="store_true", help="print JSON, for machines")
        return sub

    sub = verb("train", train)
    sub.add_argument("source", metavar="DIR", help="folder of class folders, .csv or .parquet")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument("--model", default="small", help="preset: micro or small (default small)")
    sub.add_argument("--config", metavar="FILE", help="a model config as JSON, instead of a preset")
    sub.add_argument("--frames", type=int, help="frames a clip")
    sub.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="pixels of a frame")
    sub.add_argument("--fit", default="stretch", choices=("stretch", "cover", "contain"))
    sub.add_argument("--epochs", type=int, default=30)
    sub.add_argument("--batch-size", type=int, default=8)
    sub.add_argument("--learning-rate", type=float, default=1e-3)
    sub.add_argument("--label-smoothing", type=float, default=0.0)
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

    sub = verb("classify", classify)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("files", nargs="+", metavar="FILE")
    sub.add_argument(
        "--window", type=float, metavar="S", help="seconds a window (default: as trained)"
    )
    sub.add_argument("--step", type=float, metavar="S", help="seconds between windows")

    sub = verb("embed", embed)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument("files", nargs="+", metavar="FILE")
    sub.add_argument("-o", "--out", required=True, metavar="TABLE", help="Parquet table to write")
    sub.add_argument(
        "--window", type=float, metavar="S", help="seconds a row (default: whole file)"
    )
    sub.add_argument("--step", type=float, metavar="S", help="seconds between windows")

    sub = verb("probe", probe)
    sub.add_argument("files", nargs="+", metavar="FILE")

    sub = verb("clean", clean)
    sub.add_argument("source", metavar="DIR", help="folder of class folders, .csv or .parquet")
    sub.add_argument("--out", metavar="FILE", help="write the report as JSON")

    sub = verb("inspect", inspect)
    sub.add_argument("run", metavar="RUN")

    sub = verb("demo", demo)
    sub.add_argument("--out", default="demo", metavar="DIR")

    sub = verb("case-study", case_study)
    sub.add_argument("--cifar10", action="store_true", help="the CIFAR-10 listing")
    sub.add_argument("--data", metavar="NPZ", help="CIFAR-10 from a file instead of a download")
    sub.add_argument("--epochs", type=int)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb; the console script `sora-tf`."""
    args = _parser().parse_args(argv)
    # TensorFlow greets with errors about GPUs it does not need; what matters, it raises.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "0" if args.debug else "3"
    logging.basicConfig(format="sora-tf: %(message)s", level=logging.WARNING)
    logging.getLogger("sora_tf").setLevel(logging.INFO)
    try:
        return args.run_verb(args)
    except KeyboardInterrupt:
        _complain("interrupted; the same command goes on where it stopped")
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if args.debug:
            raise
        _complain(" ".join(str(error).split()) or type(error).__name__)
        return FAILED


def _reading(config: "RunConfig", seconds: float | None, step: float | None) -> "Reading":
    from sora_tf.tasks.windows import Reading

    return Reading(config.model.frames, config.model.size, config.fit, seconds, step)


def _report(metrics: dict[str, Any], path: Any, args: argparse.Namespace) -> int:
    if args.json:
        _print_json(metrics)
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


def _print_scores(answer: dict[str, Any]) -> None:
    ranked = sorted(answer["scores"].items(), key=lambda item: -item[1])[:5]
    print(f"{answer['path']}: " + ", ".join(f"{label} {score:.3f}" for label, score in ranked))
    if answer["damage"]:
        _complain(f"{answer['path']}: {answer['damage']}")
    if len(answer["windows"]) > 1:
        for window in answer["windows"]:
            label, score = max(window["scores"].items(), key=lambda item: item[1])
            print(f"  {window['start']:8.2f} to {window['end']:8.2f} s  {label} {score:.3f}")


def _describe(info: dict[str, Any]) -> str:
    length = f"{info['duration']:.2f} s" if info["duration"] else "length unknown"
    rate = f"{info['fps']:.3g} fps" if info["fps"] else "rate unknown"
    sound = "sound" if info["has_audio"] else "no sound"
    return (
        f"{info['path']}: {info['container']} {info['codec']} {info['width']}x{info['height']} "
        f"{info['pixel_format']}, {rate}, {length}, {sound}"
    )


def _verbosity(args: argparse.Namespace) -> int:
    """Keras's: a bar in a terminal, a line an epoch elsewhere, nothing with --json."""
    if args.json:
        return 0
    return 1 if sys.stdout.isatty() else 2


def _print_json(value: Any, indent: int | None = 2) -> None:
    print(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False), flush=True)


def _complain(text: str) -> None:
    print(f"sora-tf: {text}", file=sys.stderr, flush=True)


def _code(failed: int, total: int) -> int:
    if not failed:
        return OK
    return FAILED if failed == total else SOME_FAILED


if __name__ == "__main__":
    sys.exit(main())
