"""Runs an artefact on clips in a process of its own, so that its memory and faults are its own.

    python -m sora_tf.export.measure ARTEFACT CLIPS.npz ANSWERS.npz THREADS

CLIPS holds "frames" (N, T, H, W, 3) uint8, "mask" (N, T) bool and "streamed", how many of the
clips are also given frame by frame. What it measured is printed as JSON.
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf.export.errors import ExportError
from sora_tf.export.runtimes import Arrays, Runtime, open_runtime

TIMEOUT = 3600  # s
CLIP_ANSWERS = ("scores", "global_vector", "frame_vectors")
LAST_ANSWERS = ("scores", "recent_scores")  # after the last frame of a clip
FRAME_ANSWERS = ("frame_vectors", "boxes", "box_scores", "box_classes")  # after each
WARM_UP = 2  # clips, and frames, that are not timed


def measure(artefact: Path, clips: Path, threads: int = 1) -> tuple[Arrays, dict[str, Any]]:
    """Runs an artefact on clips in a clean process.

    Args:
        artefact: a .tflite or .onnx file or a SavedModel.
        clips: a file as above.
        threads: threads within an operation.

    Returns:
        answers: {"clip_scores" (N, C), "clip_global_vector", "clip_frame_vectors", and for the
        first clips, frame by frame, "step_scores" (n, C) after the last frame,
        "step_recent_scores", "step_frame_vectors" (n, T, D), "step_boxes" (n, T, K, 4) and
        what else is said of boxes}, as far as the file has them.
        figures: {"clip_ms", "step_ms": medians, time spent waiting for other programs left out,
        "memory_bytes": peak above what loading the runtime's library takes}.

    Raises:
        ExportError: it does not load or run.
    """
    answers = clips.with_suffix(".answers.npz")
    done = subprocess.run(
        [sys.executable, "-m", "sora_tf.export.measure", artefact, clips, answers, str(threads)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise ExportError(f"{artefact.name} does not run: {lines[-1]}")
    with np.load(answers, allow_pickle=False) as found:
        return dict(found), json.loads(done.stdout)


def run(runtime: Runtime, clips: Arrays) -> tuple[Arrays, dict[str, Any]]:
    """The answers and the times of a loaded artefact; see `measure`."""
    answers: dict[str, list[np.ndarray]] = {}
    clip_times: list[float] = []
    step_times: list[float] = []
    if runtime.clip:
        for frames, mask in zip(clips["frames"], clips["mask"], strict=True):
            with _timed(clip_times):
                found = runtime.clip({"frames": frames[None], "mask": mask[None]})
            for name in CLIP_ANSWERS:
                answers.setdefault(f"clip_{name}", []).append(found[name][0])
    if runtime.step:
        count = int(clips["streamed"])
        for frames, mask in zip(clips["frames"][:count], clips["mask"][:count], strict=True):
            states = runtime.start
            rows: dict[str, list[np.ndarray]] = {}
            for t in range(int(mask.sum())):
                with _timed(step_times):
                    found = runtime.step({"frames": frames[None, t : t + 1], **states})
                states = {name: found[name] for name in states}
                for name in FRAME_ANSWERS:
                    if name in found:
                        rows.setdefault(name, []).append(found[name][0, 0])
            for name, own in rows.items():
                blank = np.zeros_like(own[0])
                padded = [*own, *[blank] * (len(frames) - len(own))]
                answers.setdefault(f"step_{name}", []).append(np.stack(padded))
            for name in LAST_ANSWERS:
                if name in found:
                    answers.setdefault(f"step_{name}", []).append(found[name][0])
    figures = {"clip_ms": _median_ms(clip_times), "step_ms": _median_ms(step_times)}
    return {name: np.stack(values) for name, values in answers.items()}, figures


@contextlib.contextmanager
def _timed(times: list[float]) -> Iterator[None]:
    """Adds what a call takes, in s: by the clock, or by the processor where that is less.

    A call that has to wait for other programs is not slow; one of several threads is not slow
    for what they take together.
    """
    begun = time.perf_counter(), time.process_time()
    yield
    ended = time.perf_counter(), time.process_time()
    times.append(min(end - begin for begin, end in zip(begun, ended, strict=True)))


def _median_ms(times: list[float]) -> float | None:
    if not times:
        return None
    return round(1e3 * float(np.median(times[WARM_UP:] or times)), 3)


def _memory(name: str) -> int:
    """A size of this process from Linux's own account, in bytes; 0 where there is none."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(name)), 0)


def main(artefact: str, clips: str, answers: str, threads: str) -> int:
    """Measures and prints; one line on standard error where it fails."""
    if not artefact.endswith(".onnx"):
        import tensorflow  # noqa: F401  what its library takes is not the model's

    with np.load(clips, allow_pickle=False) as file:
        given = dict(file)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    before = _memory("VmRSS")
    try:
        found, figures = run(open_runtime(Path(artefact), int(threads)), given)
    except Exception as error:  # a fault of the model, whatever its type
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(reason, file=sys.stderr)
        return 1
    figures["memory_bytes"] = max(0, _memory("VmHWM") - before)
    np.savez(answers, **found)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
