"""Verbs that look at files, clips and models."""

import argparse
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import OK, code, complain, print_json

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("probe", probe)
    sub.add_argument("files", nargs="+", metavar="FILE")

    sub = verb("clean", clean)
    sub.add_argument("source", metavar="DIR", help="folder of class folders, .csv or .parquet")
    sub.add_argument("--out", metavar="FILE", help="write the report as JSON")

    sub = verb("inspect", inspect)
    sub.add_argument("run", metavar="RUN")


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
        print_json(answers)
    else:
        for answer in answers:
            if "error" in answer:
                complain(answer["error"])
            else:
                print(_describe(answer))
    return code(failed, len(answers))


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


def inspect(args: argparse.Namespace) -> int:
    """Lists a run's layers, parameters and multiply-accumulates."""
    from dataclasses import asdict

    from sora_tf.models.cost import layer_costs
    from sora_tf.train.run import Run

    costs = layer_costs(Run(args.run).load_model())
    total = {"parameters": sum(c.parameters for c in costs), "macs": sum(c.macs for c in costs)}
    if args.json:
        print_json({**total, "layers": [asdict(cost) for cost in costs]})
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


def _describe(info: dict[str, Any]) -> str:
    length = f"{info['duration']:.2f} s" if info["duration"] else "length unknown"
    rate = f"{round(info['fps'], 2):g} fps" if info["fps"] else "rate unknown"
    sound = "sound" if info["has_audio"] else "no sound"
    return (
        f"{info['path']}: {info['container']} {info['codec']} {info['width']}x{info['height']} "
        f"{info['pixel_format']}, {rate}, {length}, {sound}"
    )
