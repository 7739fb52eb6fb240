"""A film of six hours: memory over time, speed, a kill and what goes on; one pass against chunks.

    python benchmarks/long_video.py --out DIR [--hours 6] [--verb summarize]

The film is ten minutes of real clips, repeated packet by packet. The verb runs as a process of its
own, as a user runs it, is killed on its way and started again.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import _machine

_machine.pin(int(os.environ.get("SORA_TF_THREADS", "1")))

import numpy as np  # noqa: E402
import psutil  # noqa: E402
from _films import long_film, repeated  # noqa: E402

from sora_tf._files import write_json  # noqa: E402
from sora_tf.video import probe  # noqa: E402

RATE, SIDE = 5.0, 128
MINUTES = 10
EACH_S = 2.0  # between two looks at the process
MIB = 2**20
WARM_S = 60.0  # of running after which memory should stay as it is
VERBS = {
    "embed": ["embed", "--size", str(SIDE), str(SIDE), "--rate", str(RATE)],
    "summarize": ["summarize", "--rate", str(RATE), "--seconds", "120", "--json"],
}


def watch(command: list[str], kill_at: float | None = None) -> dict:
    """Runs a command: its memory over time, s of clock and processor; killed where asked."""
    begun = time.monotonic()
    process = psutil.Popen(command, stdout=subprocess.DEVNULL)
    seen, spent = [], 0.0
    while process.poll() is None:
        try:
            seen.append((time.monotonic() - begun, process.memory_info().rss / MIB))
            times = process.cpu_times()
            spent = times.user + times.system
        except psutil.NoSuchProcess:
            break
        if kill_at is not None and seen[-1][0] > kill_at:
            process.kill()
        time.sleep(EACH_S)
    return {
        "code": process.wait(),
        "wall_s": time.monotonic() - begun,
        "cpu_s": spent,
        "rss_mib": [[round(at, 1), round(rss, 1)] for at, rss in seen],
    }


def parts_in(folder: Path) -> dict[str, int]:
    """Finished parts on disk, with the times they were written at, ns."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob(".*parts-*/*/*.npz")}


def run(verb: str, film: Path, out: Path, kill_at: float) -> dict:
    """The verb on the film: killed, and started again."""
    target = out / ("v.parquet" if verb == "embed" else "summaries")
    shutil.rmtree(target, ignore_errors=True)
    name, *options = VERBS[verb]
    command = [sys.executable, "-m", "sora_tf.cli", name, str(film), "--out", str(target), *options]
    first = watch(command, kill_at)
    before = parts_in(out)
    process = watch(command)
    seconds = probe(film).duration
    wall, cpu = first["wall_s"] + process["wall_s"], first["cpu_s"] + process["cpu_s"]
    rss = [row for half in (first, process) for row in half["rss_mib"]]
    warm = [row[1] for half in (first, process) for row in half["rss_mib"] if row[0] > WARM_S]
    return {
        "verb": verb,
        "film_s": seconds,
        "codes": [first["code"], process["code"]],
        "parts_before_the_kill": len(before),
        "wall_s": wall,
        "cpu_s": cpu,
        "times_real_time": seconds / wall,
        "times_real_time_cpu": seconds / cpu,
        "rss_most_mib": max(row[1] for row in rss),
        "rss_warm_mib": [min(warm), max(warm)] if warm else None,
        "runs": [first, process],
    }


def show(result: dict) -> None:
    """Prints what `run` found."""
    print(
        f"\n{result['verb']}, {result['film_s'] / 3600:.2f} h at {RATE:g} frames/s of {SIDE} px, "
        f"killed once: exit codes {result['codes']}, {result['parts_before_the_kill']} parts "
        "(minutes) done before the kill"
    )
    print(
        f"  {result['wall_s']:.0f} s by the clock ({result['times_real_time']:.1f} times real "
        f"time), {result['cpu_s']:.0f} s of processor ({result['times_real_time_cpu']:.1f} times)"
    )
    warm = result["rss_warm_mib"]
    print(f"  resident memory: at most {result['rss_most_mib']:.0f} MiB", end="")
    print(f"; from {WARM_S:.0f} s on {warm[0]:.0f} to {warm[1]:.0f} MiB" if warm else "")
    for number, half in enumerate(result["runs"], 1):
        rows = half["rss_mib"]
        picked = rows[:: max(1, len(rows) // 12)]
        line = "  ".join(f"{at:.0f} s {rss:.0f}" for at, rss in picked)
        print(f"  run {number}, MiB over time: {line}")


def one_pass(film: Path, rate: float) -> dict:
    """The global vector of ten minutes, carried from chunk to chunk and in one pass."""
    from sora_tf.config import lite
    from sora_tf.models import build_sora
    from sora_tf.models.sora import GLOBAL_VECTOR
    from sora_tf.tasks.running import running
    from sora_tf.video import frames_every

    config = replace(lite(), size=(SIDE, SIDE))
    model = running(build_sora(config, weights="imagenet"))
    frames = np.stack([picture for _, picture in frames_every(film, 1 / rate, size=config.size)])
    model.restart()
    for start in range(0, len(frames), model.chunk):
        chunked = model.feed(frames[start : start + model.chunk])[GLOBAL_VECTOR]
    whole = build_sora(replace(config, frames=len(frames)), weights="imagenet")
    once = whole.predict_on_batch(frames[None])[0]
    apart = float(np.abs(chunked - once).max())
    return {"frames": len(frames), "apart": apart, "largest": float(np.abs(once).max())}


def main() -> None:
    """Makes the films where they are missing, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for films and results")
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--verb", choices=VERBS, action="append", help="default: both")
    parser.add_argument("--kill-at", type=float, default=240.0, metavar="S", help="default 240")
    parser.add_argument("--one-pass-rate", type=float, default=1.0, metavar="R", help="frames/s")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    short, film = options.out / "short.mp4", options.out / f"long-{options.hours:g}h.mp4"
    if not short.exists():
        long_film(short, MINUTES * 60)
    if not film.exists():
        repeated(short, film, round(options.hours * 60 / MINUTES))
    report: dict = {"machine": _machine.print_machine("sora_tf", "tensorflow", "av", "numpy")}
    # In a process of its own, whose memory is gone before the long film is measured.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        found = pool.submit(one_pass, short, options.one_pass_rate).result()
    report["one_pass"] = found
    print(
        f"\nglobal vector of {MINUTES} minutes, {found['frames']} frames: chunks and one pass "
        f"differ by {found['apart']:.1e} at most; largest value {found['largest']:.2f}"
    )
    for verb in options.verb or VERBS:
        report[verb] = run(verb, film, options.out, options.kill_at)
        show(report[verb])
        write_json(options.out / "long_video.json", report)


if __name__ == "__main__":
    main()
