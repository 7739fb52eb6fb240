"""Our step model beside MoViNet-A0-stream and MobileNetV3-small with an LSTM: one run, one thread.

python benchmarks/streaming.py RUN_OR_TFLITE [--json FILE] [--rounds N] [--env DIR]
    [--accuracy [--folds N] [--epochs N] [--clips DIR] [--movinet-checkpoint PREFIX]]

RUN is a finished run with its export (`sora-tf export RUN --to float32,int8`). The peers are made
once, with random weights, in an environment of their own under --env, which this script builds
(3 GB, a few minutes); their pins are in streaming_env/. Every model takes its turn in each round
and carries its states from frame to frame; the frame is given as the model wants it, so the peers
do not pay for turning bytes into floats and ours does.

Aim: ours at no more than 0.5 of MoViNet-A0's time, and with --accuracy at least as accurate on
the same clips, all trained from random weights.
"""

import argparse
import hashlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import _machine

_machine.pin()

import numpy as np  # noqa: E402
from ai_edge_litert.interpreter import Interpreter  # noqa: E402

from sora_tf import video  # noqa: E402
from sora_tf._files import replacing, write_json  # noqa: E402

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RUNNER = ROOT / "export" / "edge" / "runner.py"
DATA = Path(os.environ.get("SORA_TF_DATA", ROOT.parent / "shared" / "data"))
PINNED = HERE / "streaming_env" / "requirements.txt"
MOVINET = "movinet-a0-stream-172"
LSTMS = ("mobilenetv3-small-lstm-224", "mobilenetv3-small-lstm-112")
PEER_FLAVOURS = ("float32", "dynamic", "int8")
BASE = f"{MOVINET}-float32"  # its quickest
STEP, STATE = "step", "state"
AIM = 0.5
FRAMES = 20  # a turn
FILM_SECONDS, FPS, SIZE = 60, 30, (240, 320)


class Stepper:
    """A .tflite file that is run frame by frame.

    Args:
        path: a file with the signature "step"; its states have names that begin with "state".
    """

    def __init__(self, path: Path):
        self._model = Interpreter(str(path), num_threads=1)
        self._step = self._model.get_signature_runner(STEP)
        inputs = self._step.get_input_details()
        (self._frame,) = [name for name in inputs if not name.startswith(STATE)]
        self.shape, kind = inputs[self._frame]["shape"], inputs[self._frame]["dtype"]
        highest = 1.0 if MOVINET in path.name else 255  # MoViNet takes 0 to 1
        pictures = np.random.default_rng(0).uniform(0, highest, (FRAMES, *self.shape))
        self._pictures = pictures.astype(kind)
        self._states = {
            name: np.zeros(detail["shape"], detail["dtype"])
            for name, detail in inputs.items()
            if name.startswith(STATE)
        }
        self.state_bytes = sum(state.nbytes for state in self._states.values())

    def turn(self) -> tuple[float, float]:
        """Runs some frames: seconds a frame, by the clock and of processor."""
        states = self._states
        begun, worked = time.perf_counter(), time.process_time()
        for picture in self._pictures:
            outputs = self._step(**{self._frame: picture}, **states)
            states = {name: outputs[name] for name in states}
        spent = time.process_time() - worked
        self._states = states
        return (time.perf_counter() - begun) / FRAMES, spent / FRAMES


def environment(folder: Path) -> Path:
    """The Python of the peers' environment, built where it is missing or its pins have changed."""
    constraints = ROOT / "constraints.txt"
    wanted = hashlib.sha256(PINNED.read_bytes() + constraints.read_bytes()).hexdigest()
    stamp, python = folder / "pins.sha256", folder / "venv" / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    print(f"building the peers' environment in {folder}", flush=True)
    venv.create(folder / "venv", with_pip=True, clear=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-c", str(constraints), "-e", str(ROOT)], check=True)
    subprocess.run([*pip, "--no-deps", "-r", str(PINNED)], check=True)
    with replacing(stamp) as beside:
        beside.write_text(wanted)
    return python


def peer_files(python: Path, folder: Path) -> dict[str, Path]:
    """The peers' files by name, made where they are missing."""
    quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}
    subprocess.run(
        [str(python), str(HERE / "streaming_peers.py"), "--out", str(folder)],
        check=True,
        env=quiet,
    )
    for reason in sorted(folder.glob("*.txt")):
        print(f"{reason.stem} does not convert: {reason.read_text()}")
    names = [f"{peer}-{flavour}" for peer in (MOVINET, *LSTMS) for flavour in PEER_FLAVOURS]
    paths = {name: folder / f"{name}.tflite" for name in names}
    return {name: path for name, path in paths.items() if path.exists()}


def own_files(given: Path) -> dict[str, Path]:
    """Our files by name: one file, or the flavours of a run's export."""
    if given.suffix == ".tflite":
        return {f"sora_tf-{given.stem}": given}
    flavours = ("float32", "float16", "dynamic", "int8")
    paths = {name: given / "export" / f"{name}.tflite" for name in flavours}
    found = {f"sora_tf-{name}": path for name, path in paths.items() if path.exists()}
    if not found:
        sys.exit(
            f"{given} has no export/float32.tflite. Run: sora-tf export {given} --to float32,int8"
        )
    return found


def latency(files: dict[str, Path], rounds: int) -> dict[str, dict]:
    """Milliseconds a frame of every file; in every round each has its turn."""
    steppers, rows = {}, {}
    for name, path in files.items():
        try:
            steppers[name] = Stepper(path)
            steppers[name].turn()
        except (RuntimeError, ValueError) as error:
            print(f"{name} does not run: {str(error).splitlines()[0]}")
            steppers.pop(name, None)
    if BASE not in steppers:
        sys.exit(
            f"{BASE}.tflite, which all are measured by, is missing. Remove the --env folder and "
            "run again."
        )
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steppers}
    for _ in range(rounds):
        for name, stepper in steppers.items():
            taken[name].append(stepper.turn())
    for name, stepper in steppers.items():
        wall, cpu = zip(*taken[name], strict=True)
        ratios = [own[1] / peer[1] for own, peer in zip(taken[name], taken[BASE], strict=True)]
        rows[name] = {
            "frame": "x".join(str(side) for side in stepper.shape[-3:-1]),
            "file_bytes": files[name].stat().st_size,
            "state_bytes": stepper.state_bytes,
            "wall_ms": 1e3 * statistics.median(wall),
            "cpu_ms": 1e3 * statistics.median(cpu),
            "ratio": statistics.median(ratios),
        }
    return rows


def show_latency(rows: dict[str, dict], rounds: int) -> None:
    """Prints the table of `latency` and whether the aim is met."""
    print(f"\na frame, medians of {rounds} rounds of {FRAMES} frames; x: CPU time over MoViNet's")
    print(f"  {'':34s}{'frame':>8s}{'file MB':>9s}{'states kB':>11s}", end="")
    print(f"{'wall ms':>9s}{'CPU ms':>8s}{'x':>7s}")
    for name, row in rows.items():
        print(
            f"  {name:34s}{row['frame']:>8s}{row['file_bytes'] / 1e6:9.2f}"
            f"{row['state_bytes'] / 1e3:11.1f}{row['wall_ms']:9.2f}{row['cpu_ms']:8.2f}"
            f"{row['ratio']:7.2f}"
        )
    for name, row in rows.items():
        if name in ("sora_tf-float32", "sora_tf-int8"):
            met = "met" if row["ratio"] <= AIM else "NOT met"
            print(f"  {name}: {row['ratio']:.2f} of MoViNet-A0, aim {AIM}: {met}")


def film(path: Path) -> float:
    """Writes a film of real clips, or of moving noise where there are none; its length in s."""

    def pictures():
        left = FILM_SECONDS * FPS
        for clip in sorted((DATA / "fight").rglob("*.mp4")):
            for _, picture in video.frames_of(clip, size=SIZE):
                if not left:
                    return
                left -= 1
                yield picture
        ground = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
        ground = ground.repeat(4, 0).repeat(4, 1)
        for shift in range(left):
            yield np.roll(ground, 2 * shift, axis=1)

    video.write(path, pictures(), FPS)
    return FILM_SECONDS


def runner(files: dict[str, Path]) -> dict[str, dict]:
    """The whole edge runner, film in, labels out: seconds for each second of film."""
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film.mp4"
        seconds = film(path)
        for name, model in files.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            begun = time.perf_counter()
            done = subprocess.run(
                [sys.executable, str(RUNNER), str(model), str(path)],
                capture_output=True,
                text=True,
            )
            wall = time.perf_counter() - begun
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            if done.returncode:
                print(f"{name}: the runner stopped: {done.stderr.strip().splitlines()[-1]}")
                continue
            cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            rows[name] = {
                "film_seconds": seconds,
                "real_time_factor_wall": wall / seconds,
                "real_time_factor_cpu": cpu / seconds,
                "last_label": done.stdout.strip().splitlines()[-1],
                "says": done.stderr.strip().splitlines()[-1],
            }
    return rows


def show_runner(rows: dict[str, dict]) -> None:
    """Prints the table of `runner`."""
    print(
        f"\nedge runner, {FILM_SECONDS} s of {SIZE[1]}x{SIZE[0]} H.264 to labels, start included;"
    )
    print("  real-time factor: seconds of work for a second of film")
    for name, row in rows.items():
        print(
            f"  {name:34s}{row['real_time_factor_wall']:8.4f} wall "
            f"{row['real_time_factor_cpu']:8.4f} CPU   {row['says']}"
        )


def accuracy(python: Path, options: argparse.Namespace) -> dict[str, dict]:
    """Trains all models on the same clips in the peers' environment: accuracy over the folds."""
    command = [
        *(str(python), str(HERE / "streaming_accuracy.py"), str(options.clips)),
        *("--folds", str(options.folds), "--epochs", str(options.epochs)),
    ]
    key = f"{options.clips.resolve()} {options.epochs} "
    config = options.model / "config.json"
    if config.exists():
        command += ["--config", str(config)]
        key += hashlib.sha256(config.read_bytes()).hexdigest()
    if options.movinet_checkpoint:
        command += ["--movinet-checkpoint", options.movinet_checkpoint]
        key += options.movinet_checkpoint
    out = options.env / "accuracy" / hashlib.sha256(key.encode()).hexdigest()[:12]
    print(f"\naccuracy, splits and predictions in {out}", flush=True)
    free = {name: value for name, value in os.environ.items() if name not in _machine.PINS}
    free.pop("TF_NUM_INTEROP_THREADS", None)  # training may use all cores
    subprocess.run([*command, "--out", str(out)], check=True, env=free)
    return json.loads((out / "summary.json").read_text())


def show_accuracy(rows: dict[str, dict], options: argparse.Namespace) -> None:
    """Prints the table of `accuracy`."""
    start = "MoViNet from its checkpoint, the others from random weights"
    if not options.movinet_checkpoint:
        start = "all from random weights"
    print(f"\n{options.clips.name}, {options.epochs} epochs, {start}; mean ± std of the folds, %")
    for name, row in rows.items():
        print(
            f"  {name:34s}{'x'.join(map(str, row['size'])):>8s}{100 * row['accuracy']:8.1f} ± "
            f"{100 * row['deviation']:.1f}  ({row['folds']} folds, {row['test_clips']} test clips, "
            f"{row['parameters'] / 1e6:.2f} M parameters; last epoch "
            f"{100 * row['last_epoch']:.1f})"
        )


def main() -> None:
    """Makes what is missing, measures, prints."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="a run folder with an export, or a .tflite file")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--rounds", type=int, default=30, help="interleaved rounds (default 30)")
    parser.add_argument(
        "--env",
        type=Path,
        default=cache / "sora_tf" / "bench-streaming",
        help="folder for the peers' environment, their files and the trainings",
    )
    parser.add_argument("--accuracy", action="store_true", help="train and compare accuracy too")
    parser.add_argument("--folds", type=int, default=5, help="of five, how many (default 5)")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--clips", type=Path, default=DATA / "fight")
    parser.add_argument("--movinet-checkpoint", help="weights of movinet_a0_stream to start from")
    options = parser.parse_args()
    options.env.mkdir(parents=True, exist_ok=True)
    own = own_files(options.model)
    python = environment(options.env)
    files = {**own, **peer_files(python, options.env / "tflite")}
    report: dict[str, object] = {
        "machine": _machine.print_machine("sora_tf", "ai-edge-litert", "tensorflow", "numpy"),
        "peers": [line for line in PINNED.read_text().splitlines() if "==" in line],
        "rounds": options.rounds,
    }
    rows = latency(files, options.rounds)
    report["latency"] = rows
    show_latency(rows, options.rounds)
    if RUNNER.exists():
        report["runner"] = runner(own)
        show_runner(report["runner"])
    if options.accuracy:
        report["accuracy"] = accuracy(python, options)
        show_accuracy(report["accuracy"], options)
    if options.json:
        write_json(options.json, report)


if __name__ == "__main__":
    main()
