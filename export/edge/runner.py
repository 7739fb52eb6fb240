"""Runs a sora_tf model on a small computer: film or camera in, label or boxes out, frame by frame.

Needs ai-edge-litert and numpy, and nothing of TensorFlow or sora_tf. Films and cameras also need
PyAV (`pip install av`) or OpenCV; `--raw` reads frames from standard input and needs neither.

    python runner.py int8.tflite film.mp4
    python runner.py int8.tflite --camera 0 --every 1 --json

    answer = EdgeModel("int8.tflite").push(frame)  # once each 1 / model.facts.frame_rate seconds
"""

import argparse
import contextlib
import itertools
import json
import math
import queue
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

Size = tuple[int, int]  # height, width
Shown = tuple[float, Callable[[], np.ndarray]]  # s, and what makes the (H, W, 3) uint8 frame
Moment = tuple[float, np.ndarray]  # s since the start, (H, W, 3) uint8

ANSWERS = {"step": ("recent_scores", "recent_vector"), "clip": ("scores", "global_vector")}
TAPS = 4  # points across an output pixel, each way
TOLERANCE_S = 1e-5  # a moment this little before a frame's own time still means that frame
UNSTAMPED_S = 0.04  # from one frame to the next where a film holds no times
BAD_PACKETS = 100  # in a row, before a source counts as damaged
SWS_FLAGS = 1 << 5 | 1 << 13  # as sora_tf/video/scaler.py: films look as they did in training


class EdgeError(Exception):
    """What went wrong, in one line: what, what was given, what to do."""


class Facts(NamedTuple):
    """What a model file says of itself: `size` is (H, W) in pixels, `frame_rate` in frames/s.

    `threshold` is the score from which on a detector's boxes count; None is no detector.
    """

    labels: tuple[str, ...]
    frames: int
    size: Size
    fit: str
    frame_rate: float
    threshold: float | None


class Answer(NamedTuple):
    """What a model says of the last T frames: scores (C,) and vector (D,), float32."""

    label: str
    score: float
    scores: np.ndarray
    vector: np.ndarray


class Found(NamedTuple):
    """A thing that a detector found; where it is, in shares of the picture from 0 to 1."""

    label: str
    score: float
    left: float
    top: float
    width: float
    height: float


def read_facts(path: str) -> Facts:
    """Reads sora_tf.json out of the archive that ends a .tflite file, or raises EdgeError."""
    try:
        with zipfile.ZipFile(path) as archive:
            told = json.loads(archive.read("sora_tf.json"))
        height, width = told["size"]
        labels, rate = tuple(told["labels"]), float(told["frame_rate"])
        size, least = (height, width), told.get("threshold")
        return Facts(labels, told["frames"], size, told["fit"], rate, least)
    except OSError as error:
        raise EdgeError(f"{path}: {error.strerror}. Give the path of a .tflite file.") from error
    except (zipfile.BadZipFile, LookupError, TypeError, ValueError) as error:
        why = "it is cut short, or no model of sora_tf. Make it with `sora-tf export`."
        raise EdgeError(f"{path} holds no sora_tf.json: {why}") from error


class EdgeModel:
    """A .tflite model of sora_tf that takes frame after frame; the file's fault is an EdgeError.

    A causal model runs its `step` signature and keeps the states; one without it runs `clip` on
    the last T frames. `threads` is the interpreter's. A detector answers with what it found, a
    list of `Found`, the surest first.
    """

    def __init__(self, path: str, threads: int = 1):
        from ai_edge_litert.interpreter import Interpreter

        self.facts = read_facts(path)
        try:
            interpreter = Interpreter(model_path=path, num_threads=threads)
            self.signature = "step" if "step" in interpreter.get_signature_list() else "clip"
            # Its copies cost 0.05 ms of 0.9; calls that save them are private, or slower.
            self._run = interpreter.get_signature_runner(self.signature)
            self._inputs = self._run.get_input_details()
            self.reset()
            self.push(np.zeros((*self.facts.size, 3), np.uint8))  # the first run is slow, or fails
        except (LookupError, RuntimeError, ValueError) as error:
            why = f"{' '.join(str(error).split())}. Export it anew."
            raise EdgeError(f"{path}: LiteRT cannot run step or clip in it: {why}") from error
        self.reset()

    def reset(self) -> None:
        """Forgets all frames."""
        self._values = {n: np.zeros(d["shape"], d["dtype"]) for n, d in self._inputs.items()}
        self._outputs: dict[str, np.ndarray] = {}
        self._frames: list[np.ndarray] = []

    def push(self, frame: np.ndarray) -> Answer | list[Found]:
        """Takes the next frame (H, W, 3), uint8, RGB, and answers for the last T frames."""
        self.feed(frame)
        return self.answer()

    def feed(self, frame: np.ndarray) -> None:
        """Takes the next frame and does not answer; a frame of another shape is an EdgeError."""
        wanted = (*self.facts.size, 3)
        if frame.shape != wanted or frame.dtype != np.uint8:
            raise EdgeError(f"A frame must be {wanted} uint8, got {frame.shape} {frame.dtype}.")
        most = self._values["frames"].shape[1]  # T for clip, 1 for step
        self._frames = [*self._frames, frame.copy()][-most:]
        self._outputs = self._infer() if self.signature == "step" else {}

    def answer(self) -> Answer | list[Found]:
        """What the model says of the last T frames; before the first frame, an EdgeError."""
        if not self._frames:
            raise EdgeError("There is no answer before the first frame. Call push.")
        self._outputs = self._outputs or self._infer()
        if self.facts.threshold is not None:
            return self._found(self.facts.threshold)
        scores, vector = (self._outputs[name][0] for name in ANSWERS[self.signature])
        best = int(scores.argmax())
        return Answer(self.facts.labels[best], float(scores[best]), scores, vector)

    def _found(self, threshold: float) -> list[Found]:
        names = ("boxes", "box_scores", "box_classes")
        height, width = self.facts.size
        found = []
        for box, score, number in zip(*(self._outputs[name][0, 0] for name in names), strict=True):
            if score >= threshold:
                first = np.clip(box[:2] / (width, height), 0.0, 1.0)
                last = np.clip((box[:2] + box[2:]) / (width, height), 0.0, 1.0)
                shares = (*first.tolist(), *(last - first).tolist())
                found.append(Found(self.facts.labels[number], float(score), *shares))
        return found

    def _infer(self) -> dict[str, np.ndarray]:
        count = len(self._frames)
        self._values["frames"][0, :count] = self._frames
        if "mask" in self._values:
            self._values["mask"][0, :count] = True
        outputs = self._run(**self._values)
        self._values |= {name: outputs[name] for name in self._values.keys() & outputs.keys()}
        return outputs


def place(shown: Size, size: Size, fit: str) -> tuple[Size, list[slice], list[slice]]:
    """Where a picture (H, W) goes: the size to scale it to, the part taken, the part filled."""
    scaled = size
    if fit != "stretch":
        pick = max if fit == "cover" else min  # cover fills the size, contain stays inside
        scale = pick(size[0] / shown[0], size[1] / shown[1])
        height, width = (max(1, round(n * scale)) for n in shown)
        scaled = pick(size[0], height), pick(size[1], width)
    taken, filled = [], []
    for there, room in zip(scaled, size, strict=True):
        used = min(there, room)
        taken.append(slice((there - used) // 2, (there + used) // 2))
        filled.append(slice((room - used) // 2, (room - used) // 2 + used))
    return scaled, taken, filled


def lay(part: np.ndarray, size: Size, filled: list[slice]) -> np.ndarray:
    """Lays a picture (h, w, 3) on black where it does not fill `size`."""
    out = np.zeros((*size, 3), np.uint8)
    out[tuple(filled)] = part
    return out


@lru_cache
def plan(shown: Size, size: Size, fit: str) -> tuple[np.ndarray, np.ndarray, list[slice]]:
    """The rows (H, TAPS) and columns (W, TAPS) to take the mean of, and the part they fill.

    p[i, k] = ⌊(i + ½)·s + ((k + ½)/TAPS − ½)·max(s, 1)⌋, s = source / output length, clipped
    """
    scaled, taken, filled = place(shown, size, fit)
    points = []
    for length, out, part in zip(shown, scaled, taken, strict=True):
        middle = (2 * np.arange(out)[:, None] + 1) * length * TAPS  # in units of 1/(2·TAPS·out)
        spread = (2 * np.arange(TAPS) + 1 - TAPS) * max(length, out)
        points.append(np.clip((middle + spread) // (2 * TAPS * out), 0, length - 1)[part])
    return points[0], points[1], filled


def fit_frame(picture: np.ndarray, size: Size, fit: str) -> np.ndarray:
    """Scales a picture (h, w, 3), uint8, to `size`, by the rule `fit`: (H, W, 3), uint8.

    An output pixel is the mean of 4×4 points spread over the pixels that it covers, at least one
    each way: an area mean when shrinking, bilinear when enlarging. All in integers, so that other
    languages give the same numbers; the time does not grow with the picture.
    """
    rows, columns, filled = plan(picture.shape[:2], size, fit)
    tall = picture[rows[:, 0]].astype(np.uint16)
    for tap in range(1, TAPS):
        tall += picture[rows[:, tap]]
    wide = np.take(tall, columns.ravel(), axis=1).reshape(len(rows), len(columns), TAPS, 3)
    total = wide[:, :, 0] + wide[:, :, 1] + wide[:, :, 2] + wide[:, :, 3]
    return lay((total + TAPS**2 // 2) // TAPS**2, size, filled)


def film_av(path: str, size: Size, fit: str, **options: Any) -> Iterator[Shown]:
    """The frames of a film or camera by PyAV, each scaled by libswscale when it is asked for."""
    import av
    from av.video.reformatter import VideoReformatter

    sws, bad, last = VideoReformatter(), 0, 0.0
    try:
        with av.open(path, metadata_errors="ignore", **options) as container:
            stream = next(iter(container.streams.video), None)
            if stream is None:
                raise EdgeError(f"{path} has no picture. Give a film with a video stream.")
            aspect = float(stream.sample_aspect_ratio or 1)

            def take(frame: Any) -> np.ndarray:
                turns = round(getattr(frame, "rotation", 0) / 90) % 4
                flip = -1 if turns % 2 else 1
                shown = (frame.height, max(1, math.floor(frame.width * aspect + 0.5)))[::flip]
                scaled, taken, filled = place(shown, size, fit)
                height, width = scaled[::flip]
                picture = sws.reformat(frame, width, height, "gbrp", interpolation=SWS_FLAGS)
                turned = np.rot90(picture.to_ndarray(), turns)
                return lay(turned[tuple(taken)], size, filled)

            for packet in container.demux(stream):
                try:
                    frames, bad = packet.decode(), 0
                except av.error.InvalidDataError:
                    frames, bad = [], bad + 1
                    if bad == BAD_PACKETS:
                        raise
                for frame in frames:
                    last = last + UNSTAMPED_S if frame.time is None else frame.time
                    yield last, partial(take, frame)
    except (av.error.FFmpegError, OSError) as error:
        raise EdgeError(f"{path} cannot be read: {error.strerror}. Check that it plays.") from error


def film_cv(path: str | int, size: Size, fit: str) -> Iterator[Shown]:
    """The frames of a film or camera by OpenCV."""
    import cv2

    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        raise EdgeError(f"{path} cannot be opened. Check that it is there and nothing holds it.")
    while (got := capture.read())[0]:
        at = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        yield at, partial(fit_frame, got[1][..., ::-1], size, fit)


def camera(number: int, size: Size, fit: str) -> Iterator[Shown]:
    """The frames of a camera, timed as they come."""
    if sys.platform == "linux" and find_spec("av"):
        frames = film_av(f"/dev/video{number}", size, fit, format="v4l2")
    else:
        frames = film_cv(number, size, fit)
    for _, take in frames:
        yield time.monotonic(), take
    raise EdgeError(f"Camera {number} stopped giving frames. Check its cable and power.")


def raw(shape: list[int], size: Size, fit: str, rate: float | None) -> Iterator[Shown]:
    """rgb24 frames from standard input, `rate` a second or timed as they come."""
    length = shape[0] * shape[1] * 3
    # Unbuffered: a thread that waits inside a buffered read cannot be left behind at the end.
    with open(0, "rb", buffering=0, closefd=False) as stream:
        for count in itertools.count():
            data, got = bytearray(length), 0
            while got < length and (more := stream.readinto(memoryview(data)[got:])):
                got += more
            if not got:
                return
            if got < length:
                why = f"ended {got} bytes into a frame of {length}. Check the size given to --raw."
                raise EdgeError(f"Standard input {why}")
            picture = np.frombuffer(data, np.uint8).reshape(*shape, 3)
            at = time.monotonic() if rate is None else count / rate
            yield at, partial(fit_frame, picture, size, fit)


def moments(shown: Iterator[Shown], rate: float, tally: SimpleNamespace) -> Iterator[Moment]:
    """What is on screen (k + ½)/rate s after the start: drops and repeats by time stamps alone."""
    count, start, last = 0, 0.0, 0.0
    take: Callable[[], np.ndarray] | None = None

    def until(end: float) -> Iterator[Moment]:
        nonlocal count
        frame = None
        while take is not None and (count + 0.5) / rate < end - TOLERANCE_S:
            frame = take() if frame is None else frame
            count += 1
            yield (count - 0.5) / rate, frame

    for at, following in shown:
        start = start if tally.seen else at
        last = max(last, at - start)
        yield from until(last)
        take = following
        tally.seen += 1
    lasting = last / max(1, tally.seen - 1)
    yield from until(max(last + lasting, 0.0 if count else 1 / rate))


def live(source: Iterator[Moment], rate: float, tally: SimpleNamespace) -> Iterator[Moment]:
    """Reads in a thread of its own; a second's moments wait, and the oldest give way."""
    waiting: queue.Queue[Moment | BaseException | None] = queue.Queue(max(1, round(rate)))

    def fill() -> None:
        end: BaseException | None = None
        try:
            for moment in source:
                while waiting.full():
                    with contextlib.suppress(queue.Empty):
                        waiting.get_nowait()
                        tally.late += 1
                waiting.put(moment)
        except BaseException as error:  # raised again below
            end = error
        waiting.put(end)

    threading.Thread(target=fill, daemon=True).start()
    while (item := waiting.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item


def run(model: EdgeModel, source: Iterator[Moment], args: Any, spent: list[float]) -> None:
    """Feeds a model all moments and prints its answers; `spent` takes its s for each."""
    following = 0.0
    for at, frame in source:
        begin = time.perf_counter()
        model.feed(frame)
        answer = model.answer() if at >= following else None
        spent.append(time.perf_counter() - begin)
        if answer is None:
            continue
        following = at + args.every - 0.5 / model.facts.frame_rate
        print(json.dumps(told(at, answer, model)) if args.json else line(at, answer), flush=True)


def told(at: float, answer: Answer | list[Found], model: EdgeModel) -> dict[str, Any]:
    """An answer as JSON has it."""
    if isinstance(answer, list):
        return {"time": round(at, 3), "boxes": [found._asdict() for found in answer]}
    scores = dict(zip(model.facts.labels, answer.scores.tolist(), strict=True))
    label = {"label": answer.label, "score": answer.score}
    return {"time": round(at, 3), **label, "scores": scores}


def line(at: float, answer: Answer | list[Found]) -> str:
    """An answer as a line of text; a thing's place is that of its middle, across and down."""
    if isinstance(answer, list):
        things = (
            f"{f.label} {f.score:.3f} at {f.left + f.width / 2:.3f}, {f.top + f.height / 2:.3f}"
            for f in answer
        )
        return f"{at:9.2f} s  {'; '.join(things) or '-'}"
    return f"{at:9.2f} s  {answer.label}  {answer.score:.3f}"


def main() -> None:
    """The command; it exits with 0 on success, 1 where something failed, 2 on wrong arguments."""
    parser = argparse.ArgumentParser(description="Labels a film or camera with a sora_tf model.")
    parser.add_argument("model", help="a .tflite file made by sora-tf export")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("source", nargs="?", help="a film")
    what.add_argument("--camera", type=int, metavar="N", help="the camera's number")
    what.add_argument("--raw", metavar="WxH", help="rgb24 frames from stdin")
    parser.add_argument(
        "--rate", type=float, help="frames a second of --raw; without it, as they come"
    )
    parser.add_argument("--every", type=float, default=0.0, help="s between answers; 0: all")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--threads", type=int, default=1, help="threads of the model")
    args = parser.parse_args()
    shape = [int(side) for side in reversed((args.raw or "1x1").split("x")) if side.isdigit()]
    if len(shape) != 2 or min(*shape, args.threads) < 1 or not (args.rate is None or args.rate > 0):
        parser.error("--raw takes WIDTHxHEIGHT; all numbers must be above 0")
    is_live = args.camera is not None or (args.raw is not None and args.rate is None)
    tally, rate, begin = SimpleNamespace(seen=0, late=0, spent=[]), 1.0, 0.0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        model = EdgeModel(args.model, args.threads)
        size, fit, rate = model.facts.size, model.facts.fit, model.facts.frame_rate
        if args.raw is not None:
            shown = raw(shape, size, fit, args.rate)
        elif args.camera is not None:
            shown = camera(args.camera, size, fit)
        else:
            shown = (film_av if find_spec("av") else film_cv)(args.source, size, fit)
        source = moments(shown, rate, tally)
        begin = time.perf_counter()
        run(model, live(source, rate, tally) if is_live else source, args, tally.spent)
        if not tally.seen:
            raise EdgeError(f"{args.source or 'Standard input'} holds no frame.")
    except ImportError as error:
        sys.exit(f"error: {error.name} is missing. pip install ai-edge-litert av")
    except BrokenPipeError:  # whoever read the answers has gone
        sys.stdout = None
    except (EdgeError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(0 if is_live else 130)
    finally:
        used = len(tally.spent)
        if used:
            busy = sum(tally.spent) if is_live else time.perf_counter() - begin
            median, high = np.percentile(tally.spent, (50, 95)) * 1000
            print(
                f"{tally.seen} frames seen, {used} used, {tally.late} too late; {median:.2f} ms a "
                f"frame (95 %: {high:.2f}); {used / rate / busy:.1f} times real time",
                file=sys.stderr,
            )


if __name__ == "__main__":
    main()
