"""Tracking: how well identities are kept, beside other trackers; the COCO detector and its time.

python benchmarks/tracking.py DATA [--seeds 5] [--only NAME …]

`given` feeds trackers with boxes that people gave, their identities taken away, and with the same
boxes made worse: moved and stretched by a tenth of their size, some missed, some false. `people`
feeds them with what the COCO detector finds. `detector` judges that detector and takes its time.

Other trackers are measured where `trackers` can be imported. It wants NumPy 2, which TensorFlow
2.17 does not take, and runs all the same:

pip install --no-deps --target PEERS trackers==2.6.1 supervision==0.31.2 pydeprecate defusedxml
PYTHONPATH=PEERS python benchmarks/tracking.py DATA
"""

import _machine

_machine.pin()

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable, Sequence  # noqa: E402
from dataclasses import replace  # noqa: E402
from itertools import islice  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import NamedTuple  # noqa: E402

import numpy as np  # noqa: E402

from sora_tf.data.boxes import NOBODY, Boxes, joined  # noqa: E402
from sora_tf.tasks.tracking import Tracker, read_mot, tracking_metrics  # noqa: E402
from sora_tf.video import frames_of  # noqa: E402

PEERS = ("ByteTrackTracker", "CBIoUTracker", "OCSORTTracker", "SORTTracker")
# The tracker's settings were chosen on seeds from 0 and on every twelfth clip from the first.
FIRST_SEED = 100
DRONES = slice(2, None, 8)
JITTER = 0.1  # standard deviation of place and of the logarithm of size, in sizes
PEOPLE_FRAMES = 65
ROUNDS = 30


class Noise(NamedTuple):
    """What is wrong with boxes: shares of those missed, and of false ones beside them."""

    name: str
    missed: float
    false: float


CLEAN = Noise("as given", 0.0, 0.0)
NOISES = (Noise("5 % missed, 2 % false", 0.05, 0.02), Noise("30 % missed, 10 % false", 0.3, 0.1))


class Film(NamedTuple):
    """A film's boxes with identities, and the size of its picture, pixels."""

    boxes: Boxes
    width: int
    height: int


class Peer:
    """A tracker of the package `trackers`, called as ours is."""

    def __init__(self, name: str):
        import trackers

        self.tracker = getattr(trackers, name)()

    def update(self, frame: int, boxes: Boxes) -> Boxes:
        """The same boxes with identities."""
        import supervision

        corners = boxes.boxes.astype(float)
        corners[:, 2:] += corners[:, :2]
        found = self.tracker.update(
            supervision.Detections(
                xyxy=corners,
                confidence=boxes.scores.astype(float),
                class_id=boxes.labels,
                data={"row": np.arange(len(boxes))},
            )
        )
        names = np.full(len(boxes), NOBODY)
        if len(found) and found.tracker_id is not None:
            names[found.data["row"].astype(int)] = found.tracker_id
        return replace(boxes, identities=names)


def makers() -> dict[str, Callable[[], Tracker | Peer]]:
    """Ours, and the peers that are there."""
    found: dict[str, Callable[[], Tracker | Peer]] = {"ours": Tracker}
    if importlib.util.find_spec("trackers"):
        for name in PEERS:
            found[name.removesuffix("Tracker")] = lambda name=name: Peer(name)
    return found


def worse(film: Film, noise: Noise, seed: int) -> tuple[Boxes, Boxes]:
    """Boxes as a detector might find them; and those of them that are real, with identities."""
    rng = np.random.default_rng(seed)
    there = film.boxes.of(rng.random(len(film.boxes)) >= noise.missed)
    sizes = there.boxes[:, 2:]
    moved = there.boxes[:, :2] + rng.normal(0, JITTER, sizes.shape) * sizes
    stretched = sizes * np.exp(rng.normal(0, JITTER, sizes.shape))
    real = replace(there, boxes=np.concatenate([moved, stretched], 1))
    count = round(noise.false * len(film.boxes))
    like = film.boxes.of(rng.integers(0, len(film.boxes), count)).boxes[:, 2:]
    places = rng.random((count, 2)) * (film.width, film.height) * 0.9
    frames = rng.choice(film.boxes.frames, count)
    false = Boxes(frames, np.concatenate([places, like], 1), np.zeros(count))
    return joined([real, false]), real


def followed(tracker: Tracker | Peer, boxes: Boxes, frames: Sequence[int]) -> Boxes:
    """The boxes that got an identity."""
    bare = replace(boxes, identities=np.full(len(boxes), NOBODY))
    found = joined([tracker.update(int(frame), bare.on(frame)) for frame in frames])
    return found.of(found.identities >= 0)


def films(data: Path) -> dict[str, list[Film]]:
    """Flies (the last third of the film), people (every fifth frame), and flying things."""
    flies = read_mot(data / "sleap" / "gt.txt")
    people = read_mot(data / "pets09" / "gt_every_5th_frame_1-65.txt")
    drones = []
    for rows in list(json.loads((data / "drone" / "boxes.json").read_text()).values())[DRONES]:
        known = [(n, row) for n, row in enumerate(rows) if row and min(row[2:]) > 0]
        frames, boxes = [n for n, _ in known], [row for _, row in known]
        drones.append(Film(Boxes(frames, boxes, [0] * len(frames), identities=1), 640, 512))
    return {
        "two flies": [Film(flies.of(flies.frames >= 1000), 1024, 1024)],
        "people, every fifth frame": [Film(people, 768, 576)],
        f"{len(drones)} clips of one small thing": drones,
    }


def given(data: Path, seeds: int) -> None:
    """Trackers on boxes that people gave."""
    print("\n| | boxes | tracker | IDF1 | HOTA | switches | ms a frame |\n" + "| --- " * 7 + "|")
    for name, own in films(data).items():
        for noise in (CLEAN, *NOISES):
            numbers = range(1) if noise is CLEAN else range(FIRST_SEED, FIRST_SEED + seeds)
            rows: dict[str, list[list[float]]] = {}
            for seed in numbers:
                pairs = [
                    (f.boxes, f.boxes) if noise is CLEAN else worse(f, noise, seed) for f in own
                ]
                if noise is not CLEAN:
                    best = [
                        tracking_metrics(f.boxes, p[1]) for f, p in zip(own, pairs, strict=True)
                    ]
                    rows.setdefault("no tracker could", []).append(mean(best, 0.0))
                for tracker, make in makers().items():
                    found, seconds = [], 0.0
                    for film, (boxes, _) in zip(own, pairs, strict=True):
                        frames = np.unique(film.boxes.frames).tolist()
                        begun = time.perf_counter()
                        tracks = followed(make(), boxes, frames)
                        seconds += time.perf_counter() - begun
                        found.append(tracking_metrics(film.boxes, tracks))
                    looked = sum(len(np.unique(film.boxes.frames)) for film in own)
                    rows.setdefault(tracker, []).append(mean(found, 1000 * seconds / looked))
            for tracker, values in rows.items():
                print(f"| {name} | {noise.name} | {tracker} | {line(values)} |", flush=True)


def mean(found: list[dict[str, float]], milliseconds: float) -> list[float]:
    """IDF1 and HOTA, means over films, switches, their sum, and the time."""
    scores = [statistics.mean(one[name] for one in found) for name in ("idf1", "hota")]
    return [*scores, sum(one["switches"] for one in found), milliseconds]


def line(values: list[list[float]]) -> str:
    """Each column's mean over seeds, with the standard deviation of the scores."""
    idf1, hota, switches, milliseconds = zip(*values, strict=True)

    def spread(scores):
        more = f" ± {statistics.stdev(scores):.3f}" if len(scores) > 1 else ""
        return f"{statistics.mean(scores):.3f}{more}"

    means = f"{statistics.mean(switches):.1f} | {statistics.mean(milliseconds):.2f}"
    return f"{spread(idf1)} | {spread(hota)} | {means}"


def people(data: Path) -> None:
    """Trackers on what the COCO detector finds of the people of PETS09."""
    truth = read_mot(data / "pets09" / "gt_every_5th_frame_1-65.txt")
    boxes = found_people(data, threshold=0.2)
    wanted = np.unique(truth.frames)
    print("\n| score from | tracker | IDF1 | HOTA | MOTA | switches |\n" + "| --- " * 6 + "|")
    for threshold in (0.2, 0.3, 0.4, 0.5):
        for tracker, make in makers().items():
            kept = boxes.of(boxes.scores >= threshold)
            tracks = followed(make(), kept, range(PEOPLE_FRAMES))
            scores = tracking_metrics(truth, tracks.of(np.isin(tracks.frames, wanted)))
            shown = " | ".join(f"{scores[name]:.3f}" for name in ("idf1", "hota", "mota"))
            print(f"| {threshold} | {tracker} | {shown} | {scores['switches']} |", flush=True)


def found_people(data: Path, threshold: float) -> Boxes:
    """The people that the COCO detector finds on the frames around those with boxes."""
    detector = coco(data, threshold)
    found = detector.detect(first_frames(data))
    return found.of(found.labels == detector.labels.index("person"))


def detector(data: Path) -> None:
    """Average precision of the COCO detector on PETS09, and its time on one thread."""
    from sora_tf.train.detection_metrics import average_precision

    truth = read_mot(data / "pets09" / "gt_every_5th_frame_1-65.txt")
    judged = np.unique(truth.frames)
    scores = average_precision(
        {"pets09": truth}, {"pets09": found_people(data, 0.02)}, ("person",), {"pets09": judged}
    )
    print(
        f"\nCOCO detector, people of PETS09, {scores['boxes']} boxes on {scores['pictures']} "
        f"frames: AP at an overlap of 0.5 {scores['map50']:.3f}, from 0.5 to 0.95 "
        f"{scores['map']:.3f}"
    )
    teacher = coco(data, 0.3)
    frames = first_frames(data)[:8]
    whole = median(lambda: teacher.detect(frames)) / len(frames)
    step, picture = network(teacher, frames[:1])
    light, size = as_tflite(step, teacher, picture)
    print(
        f"ms a frame: TensorFlow with scaling and non-maximum suppression, 8 at once {whole:.1f}; "
        f"its network alone, one at a time {median(lambda: step(picture)):.1f}; the same as "
        f"TFLite float32 ({size / 1e6:.1f} MB) {median(light.invoke):.1f}"
    )


def network(teacher, frames: np.ndarray):
    """The COCO detector without what comes before and after, and a picture for it."""
    import tensorflow as tf

    picture = tf.image.resize(tf.cast(frames, tf.float32), teacher.size, antialias=True)
    given = tf.TensorSpec((1, *teacher.size, 3), tf.float32)
    return tf.function(lambda x: teacher.raw(x)).get_concrete_function(given), picture


def as_tflite(step, teacher, picture):
    """The same as a TFLite interpreter on one thread, the picture in it; and its size in bytes."""
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = tf.lite.TFLiteConverter.from_concrete_functions([step], teacher).convert()
    light = Interpreter(model_content=content, num_threads=1)
    light.allocate_tensors()
    light.set_tensor(light.get_input_details()[0]["index"], picture.numpy())
    return light, len(content)


def coco(data: Path, threshold: float):
    """The COCO detector."""
    from sora_tf.models.coco_detector import CocoDetector

    (package,) = (data / "weights").glob("*.tgz")
    return CocoDetector(package, threshold)


def first_frames(data: Path) -> np.ndarray:
    """The first frames of PETS09, (65, H, W, 3) uint8."""
    film = frames_of(data / "pets09" / "vtest.avi")
    return np.stack([picture for _, picture in islice(film, PEOPLE_FRAMES)])


def median(run: Callable[[], object]) -> float:
    """Milliseconds of a call, the median of some after the first."""
    run()
    times = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        times.append(time.perf_counter() - begun)
    return 1000 * statistics.median(times)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with sleap, pets09, drone and weights")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=("given", "people", "detector"))
    options = parser.parse_args()
    packages = ("sora_tf", "tensorflow", "numpy", "scipy", "trackers", "supervision")
    _machine.print_machine(*packages)
    wanted = options.only or ("given", "people", "detector")
    if "given" in wanted:
        given(options.data, options.seeds)
    if "people" in wanted:
        people(options.data)
    if "detector" in wanted:
        detector(options.data)


if __name__ == "__main__":
    main()
