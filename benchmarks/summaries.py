"""Boundaries and summaries of films cut from real clips, beside PySceneDetect, chance and users.

python benchmarks/summaries.py --out DIR [--films 12]
"""

import argparse
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import _machine

_machine.pin()

import numpy as np  # noqa: E402
from _films import DATA, FPS, known_film  # noqa: E402

from sora_tf._files import write_json  # noqa: E402
from sora_tf.data.tvsum import a_score_a_shot, read_tvsum  # noqa: E402
from sora_tf.tasks.boundary_metrics import Found, match  # noqa: E402
from sora_tf.tasks.choice import Length  # noqa: E402
from sora_tf.tasks.parts import Pace  # noqa: E402
from sora_tf.tasks.running import running  # noqa: E402
from sora_tf.tasks.summarize import summarize  # noqa: E402
from sora_tf.tasks.summary_metrics import (  # noqa: E402
    human_agreement,
    human_f_score,
    mean_f_score,
    rank_agreement,
    summary_of,
)

SIDE = 128
A_SEGMENT_S = 1.2  # of summary for each segment of a film, so that all can be shown
DRAWS = 20  # of chance, for each film
FADE_S = 0.8
SHOT_S, SPREAD = 5.0, 0.65  # of drawn shots: mean length, spread of its logarithm


def detectors() -> dict:
    """PySceneDetect's, by name; none where it is not installed."""
    try:
        import scenedetect
    except ImportError:
        print("PySceneDetect is not installed: pip install 'sora_tf[shots]'")
        return {}
    return {
        "PySceneDetect, adaptive": scenedetect.AdaptiveDetector,
        "PySceneDetect, content": scenedetect.ContentDetector,
        "PySceneDetect, histogram": scenedetect.HistogramDetector,
    }


def boundaries_of(path: Path, detector: type) -> tuple[list[float], float]:
    """What a detector finds, and the s it takes."""
    import scenedetect

    begun = time.perf_counter()
    scenes = scenedetect.detect(str(path), detector())
    return [start.seconds for start, _ in scenes[1:]], time.perf_counter() - begun


def shown(starts: list[float], clips: list[str], stretches: list[tuple[float, float]]) -> float:
    """The share of clips of which half a second or more is shown, or a third of a short segment.

    A clip that comes twice is to be shown once.
    """
    seen = set()
    for clip, (begin, end) in zip(clips, pairwise(starts), strict=True):
        inside = sum(max(0.0, min(end, b) - max(begin, a)) for a, b in stretches)
        if inside >= min(0.5, (end - begin) / 3) - 1e-6:
            seen.add(clip)
    return len(seen) / len(set(clips))


def uniform(duration: float, count: int, length: float) -> list[tuple[float, float]]:
    """Stretches of equal length, evenly spread."""
    centres = (np.arange(count) + 0.5) * duration / count
    return [(centre - length / 2, centre + length / 2) for centre in centres]


def by_chance(duration: float, count: int, length: float, rng) -> list[tuple[float, float]]:
    """Stretches of equal length anywhere on a grid, none twice."""
    places = rng.permutation(int(duration / length))[:count]
    return [(place * length, (place + 1) * length) for place in places]


def films(out: Path, count: int, segments: int, fade: float) -> dict:
    """Boundaries and coverage of films of known segments."""
    from sora_tf.config import lite
    from sora_tf.models import build_sora

    model = running(build_sora(replace(lite(), size=(SIDE, SIDE)), weights="imagenet"))
    pace, others = Pace((SIDE, SIDE)), detectors()
    found: dict[str, list[Found]] = {name: [] for name in ("ours", *others)}
    took: dict[str, list[float]] = {name: [] for name in found}
    cover: dict[str, list[float]] = {name: [] for name in ("ours", "uniform", "chance")}
    for seed in range(count):
        path = out / f"known{seed}-{fade:g}.mp4"
        starts, clips = known_film(path, seed, segments, fade)
        length = Length(seconds=A_SEGMENT_S * segments)
        with TemporaryDirectory() as parts:
            begun = time.perf_counter()
            summary = summarize(model, str(path), pace, Path(parts), length)
            took["ours"].append(time.perf_counter() - begun)
        found["ours"].append(match(summary.segments[1:, 0].tolist(), starts[1:-1]))
        for name, detector in others.items():
            times, seconds = boundaries_of(path, detector)
            took[name].append(seconds)
            found[name].append(match(times, starts[1:-1]))
        moments = [(m.start, m.end) for m in summary.moments]
        cover["ours"].append(shown(starts, clips, moments))
        shape = (summary.duration, segments, A_SEGMENT_S)
        cover["uniform"].append(shown(starts, clips, uniform(*shape)))
        rng = np.random.default_rng(seed)
        draws = [shown(starts, clips, by_chance(*shape, rng)) for _ in range(DRAWS)]
        cover["chance"].append(float(np.mean(draws)))
        print(
            f"  film {seed}: {starts[-1]:.0f} s, F1 {found['ours'][-1].f1:.2f}, "
            f"shown {cover['ours'][-1]:.2f}",
            flush=True,
        )
    return {
        "boundaries": {name: _row(rows, took[name]) for name, rows in found.items()},
        "shown": {name: [float(np.mean(x)), float(np.std(x))] for name, x in cover.items()},
    }


def _row(rows: list[Found], seconds: list[float]) -> dict[str, float]:
    hits, found, true = np.sum(rows, axis=0)
    each = [row.f1 for row in rows]
    return {
        "precision": hits / max(found, 1),
        "recall": hits / true,
        "f1": float(np.mean(each)),
        "f1_deviation": float(np.std(each)),
        "seconds": float(np.mean(seconds)),
    }


def drawn_shots(frames: int, rate: float, rng) -> np.ndarray:
    """Starts of shots of all lengths, as KTS gives them: log-normal."""
    lengths = rng.lognormal(np.log(SHOT_S) - SPREAD**2 / 2, SPREAD, frames) * rate
    starts = np.concatenate([[0], np.cumsum(np.maximum(lengths, rate / 2).astype(int))])
    return starts[starts < frames - rate]


def tvsum(path: Path) -> dict[str, list[float]]:
    """τ, ρ and F of users, of chance and of uniform on TVSum, F in drawn shots and in shots of 2 s.

    Each is the mean and the standard deviation over the films.
    """
    rows: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        rows.setdefault(name, []).append(value)

    for number, film in enumerate(read_tvsum(path)):
        rng = np.random.default_rng(number)
        users = a_score_a_shot(film)
        human, chance = human_agreement(users), rank_agreement(rng.random(users.shape[1]), users)
        for name, one in (("users", human), ("chance", chance)):
            note(f"τ {name}", one.tau)
            note(f"ρ {name}", one.rho)
        scores, rate = film.scores[:, ::6], film.rate / 6
        frames = scores.shape[1]
        for shots, starts in (
            ("drawn", drawn_shots(frames, rate, rng)),
            ("2 s", np.arange(0, frames, round(2 * rate))),
        ):
            references = np.stack([summary_of(user, starts) for user in scores])
            draws = [summary_of(rng.random(frames), starts) for _ in range(DRAWS)]
            note(f"F users, shots {shots}", human_f_score(references))
            note(
                f"F chance, shots {shots}",
                float(np.mean([mean_f_score(draw, references) for draw in draws])),
            )
            note(
                f"F uniform, shots {shots}",
                mean_f_score(_every(starts, frames, 0.15), references),
            )
    return {name: [float(np.mean(x)), float(np.std(x))] for name, x in rows.items()}


def _every(starts: np.ndarray, frames: int, share: float) -> np.ndarray:
    """Every n-th shot, (T,) bool, as many as make the share."""
    picked = np.zeros(len(starts), bool)
    picked[:: round(1 / share)] = True
    return np.repeat(picked, np.diff(np.append(starts, frames)))


def show(report: dict) -> None:
    """Prints the tables."""
    for kind, found in report["films"].items():
        print(f"\n{kind}: boundaries within 0.5 s, {FPS} frames/s, 320 by 240; mean ± std of films")
        for name, row in found["boundaries"].items():
            print(
                f"  {name:28s}F1 {row['f1']:.3f} ± {row['f1_deviation']:.3f}  precision "
                f"{row['precision']:.3f}  recall {row['recall']:.3f}  {row['seconds']:.1f} s a film"
            )
        print(f"{kind}: clips shown, by {A_SEGMENT_S} s of summary for each segment")
        for name, (mean, deviation) in found["shown"].items():
            print(f"  {name:28s}{mean:.1%} ± {deviation:.1%}")
    print("\nTVSum, 50 films, 20 users; mean ± std of films")
    for name, (mean, deviation) in report["tvsum"].items():
        print(f"  {name:28s}{mean:.3f} ± {deviation:.3f}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for films and results")
    parser.add_argument("--films", type=int, default=12)
    parser.add_argument("--segments", type=int, default=12)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    report: dict = {"machine": _machine.print_machine("sora_tf", "tensorflow", "scenedetect")}
    report["films"] = {
        name: films(options.out, options.films, options.segments, fade)
        for name, fade in (("cuts", 0.0), (f"fades of {FADE_S:g} s", FADE_S))
    }
    report["tvsum"] = tvsum(DATA / "tvsum" / "ydata-tvsum50.mat")
    show(report)
    write_json(options.out / "summaries.json", report)


if __name__ == "__main__":
    main()
