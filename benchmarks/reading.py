"""How fast films are read, beside what else can read them: one run, turn by turn, one thread.

python benchmarks/reading.py [--json FILE] [--rounds N] [--frames N]

The film is 320 by 240 H.264, made here from real clips where there are any (SORA_TF_DATA names
their folder), else from noise that moves; once with a keyframe every 30 frames, as cameras and
phones write, and once every 250, as x264 does by itself.
"""

import argparse
import importlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import _machine

_machine.pin()

import av  # noqa: E402
import numpy as np  # noqa: E402

from sora_tf import video  # noqa: E402

SIZE = (112, 112)
SPARSE = 16
FPS = 30
CLIPS = Path(os.environ.get("SORA_TF_DATA", Path(__file__).parents[2] / "shared" / "data"))


def peer(name: str) -> ModuleType | None:
    """A peer's module, or None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


cv2 = peer("cv2")
decord = peer("decord")


def pictures(count: int) -> Iterator[np.ndarray]:
    """`count` frames (240, 320, 3) from real clips, or moving noise where there are none."""
    given = 0
    for path in sorted((CLIPS / "fight").rglob("*.mp4")):
        for _, picture in video.frames_of(path, size=(240, 320)):
            if given == count:
                return
            given += 1
            yield picture
    rng = np.random.default_rng(0)
    ground = rng.integers(0, 256, (60, 80, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    for shift in range(count - given):
        yield np.roll(ground, 2 * shift, axis=1)


def sora_all(path: str) -> int:
    """Every frame, by sora_tf."""
    return len(video.read(path, size=SIZE).times)


def pyav_bare(path: str) -> int:
    """Every frame decoded and dropped: the least that reading can cost."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        return sum(1 for _ in container.decode(stream))


def pyav_all(path: str) -> int:
    """Every frame, by PyAV as its documentation shows."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        frames = [
            frame.to_ndarray(width=SIZE[1], height=SIZE[0], format="rgb24", threads=1)
            for frame in container.decode(stream)
        ]
    return len(np.stack(frames))


def opencv_all(path: str) -> int:
    """Every frame, by OpenCV."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames = []
    while True:
        more, frame = capture.read()
        if not more:
            return len(np.stack(frames))
        frames.append(cv2.cvtColor(cv2.resize(frame, SIZE[::-1]), cv2.COLOR_BGR2RGB))


def decord_all(path: str) -> int:
    """Every frame, by decord."""
    reader = decord.VideoReader(path, width=SIZE[1], height=SIZE[0], num_threads=1)
    return len(reader.get_batch(range(len(reader))).asnumpy())


def moments(count: int) -> np.ndarray:
    """The places of the frames to take when few are wanted."""
    return ((np.arange(SPARSE) + 0.5) * count / SPARSE).astype(int)


def sora_sparse(path: str, count: int) -> int:
    """The frames on screen at 16 times, exact."""
    return len(video.read(path, at=(moments(count) + 0.5) / FPS, size=SIZE).times)


def sora_snap(path: str, count: int) -> int:
    """16 frames, each within half a segment of its time."""
    wanted = (moments(count) + 0.5) / FPS
    return len(video.read(path, at=wanted, size=SIZE, snap=count / FPS / SPARSE / 2).times)


def opencv_sparse(path: str, count: int) -> int:
    """16 frames by place, by OpenCV."""
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    frames = []
    for place in moments(count):
        capture.set(cv2.CAP_PROP_POS_FRAMES, int(place))
        frame = capture.read()[1]
        frames.append(cv2.cvtColor(cv2.resize(frame, SIZE[::-1]), cv2.COLOR_BGR2RGB))
    return len(frames)


def decord_sparse(path: str, count: int) -> int:
    """16 frames by place, by decord."""
    reader = decord.VideoReader(path, width=SIZE[1], height=SIZE[0], num_threads=1)
    return len(reader.get_batch(moments(count)).asnumpy())


def contestants(path: str, count: int) -> dict[str, Callable[[], int]]:
    """What is timed, by name."""
    rows: dict[str, Callable[[], int]] = {
        "PyAV decode alone": lambda: pyav_bare(path),
        "sora_tf all": lambda: sora_all(path),
        "PyAV all": lambda: pyav_all(path),
    }
    if cv2:
        cv2.setNumThreads(1)
        rows["OpenCV all"] = lambda: opencv_all(path)
    if decord:
        rows["decord all"] = lambda: decord_all(path)
    rows["sora_tf 16"] = lambda: sora_sparse(path, count)
    rows["sora_tf 16, snap"] = lambda: sora_snap(path, count)
    if cv2:
        rows["OpenCV 16"] = lambda: opencv_sparse(path, count)
    if decord:
        rows["decord 16"] = lambda: decord_sparse(path, count)
    return rows


def timed(rows: dict[str, Callable[[], int]], count: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of every row in every round; the rows take turns within a round."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    for turn in range(rounds + 1):
        for name, row in rows.items():
            begun = time.process_time()
            got = row()
            spent = time.process_time() - begun
            if got != (SPARSE if " 16" in name else count):
                raise RuntimeError(f"{name} gave {got} frames")
            if turn:  # the first round warms the caches
                seconds[name].append(spent)
    return seconds


def ratio(seconds: dict[str, list[float]], slow: str, fast: str) -> float:
    """Median over the rounds of how many times longer `slow` took than `fast`."""
    pairs = zip(seconds[slow], seconds[fast], strict=True)
    return statistics.median(a / b for a, b in pairs)


def main() -> None:
    """Makes the films, times the readers, prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=1800)
    options = parser.parse_args()
    report: dict[str, object] = {
        "machine": _machine.print_machine(
            "av", "numpy", "opencv-python-headless", "decord", "sora_tf"
        ),
        "frames": options.frames,
        "rounds": options.rounds,
    }
    print(f"source        {'real clips' if (CLIPS / 'fight').is_dir() else 'moving noise'}")
    print(f"task          {options.frames} frames of 320x240 H.264 -> {SIZE[0]}x{SIZE[1]} RGB")
    with tempfile.TemporaryDirectory() as folder:
        for every in (30, 250):
            path = str(
                video.write(
                    Path(folder) / f"{every}.mp4",
                    pictures(options.frames),
                    FPS,
                    keyframes_every=every,
                )
            )
            rows = contestants(path, options.frames)
            seconds = timed(rows, options.frames, options.rounds)
            report[f"keyframe every {every}"] = show(every, options.frames, seconds)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def show(every: int, frames: int, seconds: dict[str, list[float]]) -> dict[str, object]:
    """Prints one film's table and returns its figures."""
    print(
        f"\nkeyframe every {every} frames: median CPU time of {len(seconds['sora_tf all'])} rounds"
    )
    medians = {name: statistics.median(spent) for name, spent in seconds.items()}
    for name, median in medians.items():
        rate = f"{frames / median:8.0f} frames/s" if " 16" not in name else ""
        print(f"  {name:20s}{median * 1e3:9.1f} ms {rate}")
    ratios = {
        "rate of all over PyAV's decode alone": 1
        / ratio(seconds, "sora_tf all", "PyAV decode alone"),
        "all over 16": ratio(seconds, "sora_tf all", "sora_tf 16"),
        "all over 16 with snap": ratio(seconds, "sora_tf all", "sora_tf 16, snap"),
    }
    for name in seconds:
        if name.endswith(" all") and name != "sora_tf all":
            ratios[f"{name} over sora_tf all"] = ratio(seconds, name, "sora_tf all")
        if name.endswith(" 16") and name != "sora_tf 16":
            ratios[f"{name} over sora_tf 16"] = ratio(seconds, name, "sora_tf 16")
    for name, value in ratios.items():
        print(f"  {name:40s}{value:7.2f}")
    return {"seconds": medians, "ratios": ratios}


if __name__ == "__main__":
    main()
