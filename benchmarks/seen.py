"""When something is seen in a film, and for how long: `ask --seen`, beside knowing less.

python benchmarks/seen.py DRONE FIGHT --out DIR [--folds N] [--films N]

Each class is dealt into five parts of neighbouring numbers. A classifier is trained, and a model
is aligned with the names of the classes, on three parts; the next chooses the epoch, and films are
cut from clips of the fifth: stretches of four classes, of 3 to 9 s, one after another. Of each it
is asked when it is seen (right where the first answer overlaps the true stretch by half or more of
both) and for how long (right within a quarter of the truth). Beside it the same with the words of
ImageNet alone, and, without a look at the film, a stretch drawn from those of the other films, or
the length that is most often right. results.json keeps what is done, table.md is printed.
"""

import argparse
import json
import statistics
from pathlib import Path

import numpy as np
from _folds import PARTS, deviation, marked
from _machine import print_machine
from accuracy_clips import contiguous
from zero_shot import text_of

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf._progress import progress
from sora_tf.config import lite
from sora_tf.data import Clip, labels_of, read_index, write_index
from sora_tf.models.aligned import build_aligned, imagenet_words
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.tasks.answer import ask
from sora_tf.tasks.quote import remembered
from sora_tf.tasks.segments import cutter, segment_edges
from sora_tf.tasks.sightings import watch
from sora_tf.tasks.windows import Reading
from sora_tf.train.align import align, texts_of, vector_model
from sora_tf.train.fit import train_classifier
from sora_tf.video import probe, read, write

STRETCHES, RATE = 4, 10.0  # of a film, and its frames/s
SHORTEST, LONGEST = 3.0, 9.0  # s of a stretch
NEAR = 0.25  # of the truth, how far off a length may be
WAYS = ("classifier", "aligned", "words of ImageNet", "without the film")

Film = list[tuple[str, float, float]]  # label, start and end in s of each stretch


def stretch(clips: list[Clip], seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Frames of clips of a class, drawn until they are long enough."""
    taken: list[np.ndarray] = []
    wanted = round(seconds * RATE)
    while sum(map(len, taken)) < wanted:
        path = clips[rng.integers(len(clips))].path
        times = np.arange(0, max(probe(path).duration or 0, 1 / RATE), 1 / RATE)
        taken.append(read(path, at=times, size=lite().size).frames)
    return np.concatenate(taken)[:wanted]


def films(clips: list[Clip], count: int, folder: Path, fold: int) -> dict[str, Film]:
    """Films of the clips, and what is seen in them; those that are there stay."""
    found: dict[str, Film] = {}
    labels = labels_of(clips)
    for number in range(count):
        path = folder / f"film{number}.mp4"
        plan, draw = (np.random.default_rng((fold, number, use)) for use in range(2))
        parts, made, begin = [], [], 0.0
        for label in plan.permutation(labels)[:STRETCHES]:
            seconds = round(float(plan.uniform(SHORTEST, LONGEST)) * RATE) / RATE
            made.append((str(label), begin, begin + seconds))
            begin += seconds
            if not path.exists():
                own = [clip for clip in clips if clip.label == label]
                parts.append(stretch(own, seconds, draw))
        if parts:
            write(path, np.concatenate(parts), RATE)
        found[str(path)] = made
    return found


def questions(label: str) -> tuple[str, str]:
    """When, and how long."""
    thing = text_of(label).removesuffix(" in the sky")
    return f"When do we see {thing}?", f"How many seconds do we see {thing}?"


def overlap(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Intersection over union of two stretches."""
    both = max(0.0, min(a[1], b[1]) - max(a[0], b[0]))
    return both / (max(a[1], b[1]) - min(a[0], b[0]))


def near(seconds: float, truth: float) -> bool:
    """Whether a length is right."""
    return abs(seconds - truth) <= NEAR * truth


def asked(
    model, known, aligned: bool, made: dict[str, Film], edges, reading: Reading, encode
) -> dict[str, list[bool]]:
    """Whether each answer is right."""
    hits: dict[str, list[bool]] = {"when": [], "how long": []}
    for path, film in progress(made.items(), "films", len(made)):
        duration = probe(path).duration
        watched, _ = watch(model, known, aligned, path, reading, edges[path])
        for label, start, end in film:
            when, long = (
                ask(question, (), (), duration, encode, None, lambda seen=watched: seen)
                for question in questions(label)
            )
            moment = when[0].moments[0] if when else None
            hits["when"].append(
                moment is not None and overlap((moment.start, moment.end), (start, end)) >= 0.5
            )
            seconds = float(long[0].text.removesuffix(" s")) if long else 0.0
            hits["how long"].append(near(seconds, end - start))
    return hits


def blind(made: dict[str, Film], seed: int) -> dict[str, list[float]]:
    """How often an answer is right that knows nothing but the other films."""
    rng = np.random.default_rng(seed)
    every = [part for film in made.values() for part in film]
    lengths = [end - start for _, start, end in every]
    usual = max(lengths, key=lambda guess: sum(near(guess, length) for length in lengths))
    when = [
        overlap(every[rng.integers(len(every))][1:], every[row][1:]) >= 0.5
        for row in range(len(every))
    ]
    return {"when": when, "how long": [near(usual, length) for length in lengths]}


def table(results: dict) -> str:
    """Means over folds, ± over folds."""
    lines = ["| | when | how long |", "| --- | ---: | ---: |"]
    for way in WAYS:
        cells = []
        for kind in ("when", "how long"):
            means = [statistics.mean(fold[way][kind]) for fold in results.values()]
            cells.append(f"{statistics.mean(means):.1%} ± {deviation(means):.1%}")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    count = sum(len(fold[WAYS[0]]["when"]) for fold in results.values())
    return "\n".join([*lines, "", f"{count} questions of each kind"]) + "\n"


def main() -> None:
    """Trains, asks and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", help="folders of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--films", type=int, default=8, help="of a fold")
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    clips = [clip for folder in options.clips for clip in read_index(folder.resolve())]
    encoder = SentenceEncoder()
    encode = remembered(encoder.encode)
    words = imagenet_words(encoder)
    texts = {label: text_of(label) for label in labels_of(clips)}
    for fold, dealt in enumerate(marked(contiguous(clips, 0))[: options.folds]):
        name = f"fold {fold}"
        if name not in results:
            keras.backend.clear_session()
            folder = options.out / f"fold{fold}"
            folder.mkdir(exist_ok=True)
            write_index(dealt, folder / "clips.csv")
            shared = {"cache": options.out / "cache", "verbose": 0}
            run = align(folder / "clips.csv", folder / "run", texts=texts, **shared)
            namer = train_classifier(
                folder / "clips.csv", folder / "classifier", model="lite", **shared
            )
            made = films([c for c in dealt if c.split == "test"], options.films, folder, fold)
            config = run.read_config()
            reading = Reading(
                config.model.frames, config.model.size, config.fit, config.clip_seconds
            )
            cuts = cutter()
            edges = {path: segment_edges(path, cuts) for path in made}
            known = encode(texts_of(run))
            models = (namer.load_model(), vector_model(run), build_aligned(words))
            results[name] = {
                way: asked(model, known, way != WAYS[0], made, edges, reading, encode)
                for way, model in zip(WAYS, models, strict=False)
            } | {WAYS[-1]: blind(made, fold)}
            write_json(path, results)
        text = table(results)
        (options.out / "table.md").write_text(text)
        print(f"after {name}\n{text}", flush=True)


if __name__ == "__main__":
    main()
