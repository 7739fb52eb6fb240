"""Verbs that take a run out of the notebook."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import code, complain, print_json

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb
    from sora_tf.train.run import Run

HEADS = (
    "fusion",
    "sentiment model",
    "question answerer",
)  # kinds of runs whose models take vectors


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("export", export)
    sub.add_argument("run", metavar="RUN")
    sub.add_argument(
        "--to",
        default="all",
        metavar="FORMATS",
        help="all, tflite, or a list of saved_model, onnx, float32, float16, dynamic, int8, "
        "int16x8 with commas (default all)",
    )
    sub.add_argument("--out", metavar="DIR", help="folder to write (default RUN/export)")
    sub.add_argument("--name", default="sora", help="name of the model for TensorFlow Serving")
    sub.add_argument("--version", type=int, help="its version (default: one more than the last)")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips")

    sub = verb("verify", verify)
    sub.add_argument("artefact", metavar="ARTEFACT", help="an exported file or an export folder")


def export(args: argparse.Namespace) -> int:
    """Exports a run for TensorFlow Serving, TFLite and ONNX, each with a receipt."""
    from sora_tf._progress import counting
    from sora_tf.export import detector, detector_check, publish, receipt
    from sora_tf.train.detector_run import DetectorRun, is_detector
    from sora_tf.train.run import Run

    run = Run(args.run)
    out = Path(args.out) if args.out else run.path / "export"
    if run.kind in HEADS:
        return _export_head(args, run, out)
    make: Any = publish.export_run
    table = receipt.table
    if is_detector(run.path):
        run, make, table = DetectorRun(run.path), detector.export_detector, detector_check.table
    with counting("reading clips") as update:
        result = make(
            run,
            args.to.split(","),
            out,
            name=args.name,
            version=args.version,
            cache=args.cache,
            progress=update,
        )
    made, failed = result["artefacts"], result["failed"]
    for path, why in failed.items():
        complain(f"{path}: {why}")
    if args.json:
        print_json({"out": str(out), **result})
    elif made:
        print(f"{table(made)}\n{out}: {len(made)} exported, {len(failed)} failed (receipt.json)")
    return code(len(failed), len(made) + len(failed))


def _export_head(args: argparse.Namespace, run: "Run", out: Path) -> int:
    from sora_tf.export.head import export_head
    from sora_tf.train.fused_run import FusedRun, hearing_of, is_fused

    if args.to != "all":
        raise ValueError(
            f"export: a run of a {run.kind} model has formats of its own. Leave --to out."
        )
    encoder = hearing_of(FusedRun(run.path).read_config()) if is_fused(run.path) else None
    result = export_head(run, out, args.name, args.version or 1, encoder)
    made, failed = result["artefacts"], result["failed"]
    for path, why in failed.items():
        complain(f"{path}: {why}")
    if args.json:
        print_json({"out": str(out), **result})
    else:
        _print_heads(made)
        print(f"{out}: {len(made)} exported, {len(failed)} failed (receipt.json)")
    return code(len(failed), len(made) + len(failed))


def _print_heads(made: dict[str, dict[str, Any]]) -> None:
    for path, facts in made.items():
        print(f"{path}: {facts['bytes']:,} bytes, {facts['difference']:.1g} from Keras")


def verify(args: argparse.Namespace) -> int:
    """Runs exported files again and holds them against their receipt."""
    from sora_tf.export import detector_check, receipt
    from sora_tf.export.verify import verify as check

    results = list(check(Path(args.artefact)))
    good = {result["path"]: result for result in results if "error" not in result}
    for result in results:
        if "error" in result:
            complain(result["error"])
    if args.json:
        print_json(results)
    elif good:
        one = next(iter(good.values()))
        if "map50" in one:
            print(detector_check.table(good))
        elif "latency_ms" in one:
            print(receipt.table(good))
        else:
            _print_heads(good)
        print(f"{len(good)} of {len(results)} agree with their receipt")
    return code(len(results) - len(good), len(results))
