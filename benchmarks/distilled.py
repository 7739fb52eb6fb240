"""What a teacher adds: `small` alone, and `small` that learns from `lite`, on the same clips.

python benchmarks/distilled.py CLIPS --out DIR [--seeds 0 1 2] [--folds N] [--views N]
    [--labelled N] [--unlabelled FILM_OR_FOLDER ... [--epochs N]] [--without distilled]

Every seed deals the clips into five parts; three train, the next chooses the epoch, the fifth is
tested. The teacher is trained on the same three, and both students are trained by the commands'
defaults: as many epochs, the same weights to begin with. With --labelled 1, one of the three has
labels: teacher and student alone learn from it, the student alone in as many steps; the distilled
one is shown the other two as well, without labels. With --unlabelled there is a third student: it
is trained as the one alone is, but begins with what a student learnt from the teacher's vectors
alone, which no label has shaped, on pieces of these films. DIR gets a run of each per fold,
results.json, which says of every test clip whether it was named rightly, and table.md. What
results.json holds is not made again, even where the runs are gone.
"""

import argparse
import csv
import json
import os
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from _folds import PARTS, dealt, deviation
from _machine import print_machine

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.data import Clip, read_index, write_index
from sora_tf.train.distill import distill
from sora_tf.train.fit import train_classifier
from sora_tf.train.lessons import Lesson
from sora_tf.train.run import Run
from sora_tf.train.settings import usual_training
from sora_tf.train.unlabelled import NO_LABEL, read_unlabelled
from sora_tf.video import probe

STUDENT, TEACHER = "small", "lite"
TRAINING = PARTS - 2  # parts that train
PIECE_S = 2.0
VECTORS = Lesson(labels=0, scores=0, features=1)


def pieces(sources: list[Path]) -> list[Clip]:
    """Stretches of PIECE_S of all films."""
    found = []
    for source in sources:
        films = [clip.path for clip in read_unlabelled(source)] if source.is_dir() else [source]
        for film in map(os.path.abspath, films):
            seconds = probe(film).duration or 0.0
            for number in range(max(1, int(seconds // PIECE_S))):
                start = number * PIECE_S
                found.append(Clip(film, NO_LABEL, start, min(seconds, start + PIECE_S)))
    return found


def write_fold(clips: list[Clip], labelled: int, folder: Path) -> None:
    """Writes clips.csv and, where not all three training parts have labels, unlabelled.csv."""
    if (folder / "clips.csv").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    train = [clip for clip in clips if clip.split == "train"]
    known = train[: len(train) * labelled // TRAINING]
    more = [replace(clip, label=NO_LABEL, split=None) for clip in train[len(known) :]]
    if more:
        write_index(more, folder / "unlabelled.csv")
    write_index([*known, *(c for c in clips if c.split != "train")], folder / "clips.csv")


def trained(
    folder: Path,
    cache: Path,
    seed: int,
    views: int,
    labelled: int,
    first: Callable[[Path], Path] | None,
) -> dict[str, Callable[[], Run]]:
    """How each run of a fold is made, by its name; the teacher comes first.

    Args:
        folder, cache: of the runs, and of decoded clips.
        seed, views: of the training, and of the lesson.
        labelled: of the three parts that train, how many have labels.
        first: gives, for a teacher, the weights that the third student begins with.
    """
    clips, more = folder / "clips.csv", folder / "unlabelled.csv"

    def alone(model: str, name: str, weights: str | None = None) -> Run:
        training = replace(usual_training(model), seed=seed)
        if model == STUDENT:
            epochs = training.epochs * TRAINING // labelled
            training = replace(training, epochs=epochs, weights=weights)
        return train_classifier(
            clips, folder / name, model=model, training=training, cache=cache, verbose=0
        )

    def distilled() -> Run:
        return distill(
            clips,
            folder / "distilled",
            folder / "teacher",
            unlabelled=more if more.exists() else None,
            model=STUDENT,
            lesson=Lesson(views=views),
            training=replace(usual_training(STUDENT), seed=seed),
            cache=cache,
            verbose=0,
        )

    runs = {
        "teacher": lambda: alone(TEACHER, "teacher"),
        "alone": lambda: alone(STUDENT, "alone"),
        "distilled": distilled,
    }
    if first is not None:
        runs["begun"] = lambda: alone(STUDENT, "begun", str(first(folder / "teacher")))
    return runs


def hits(run: Run) -> dict[str, bool]:
    """Whether each test clip was named rightly, by class and file."""
    with open(run.path / "predictions.csv", newline="") as file:
        return {
            "/".join(Path(row["path"]).parts[-2:]): row["label"] == row["predicted"]
            for row in csv.DictReader(file)
        }


def table(made: dict[str, list[tuple[int, dict[str, bool]]]]) -> str:
    """Accuracy of each: mean, standard deviations, and clips lost and gained against alone."""
    lines = [
        "| | accuracy | ± over folds | ± over seeds | clips gained and lost against alone |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name, folds in made.items():
        accuracy = [statistics.mean(found.values()) for _, found in folds]
        seeds = sorted({seed for seed, _ in folds})
        by_seed = [
            statistics.mean(hit for of, found in folds if of == seed for hit in found.values())
            for seed in seeds
        ]
        pairs = [
            (own[clip], base[clip])
            for (_, own), (_, base) in zip(folds, made["alone"], strict=False)
            for clip in own
        ]
        gained, lost = pairs.count((True, False)), pairs.count((False, True))
        lines.append(
            f"| {name} | {statistics.mean(accuracy):.1%} "
            f"| {deviation(accuracy):.1%} "
            f"| {deviation(by_seed):.1%} "
            f"| {gained} / {lost} of {len(pairs)} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--views", type=int, default=0, help="the teacher is asked about")
    parser.add_argument("--labelled", type=int, default=TRAINING, choices=range(1, TRAINING + 1))
    parser.add_argument("--unlabelled", type=Path, nargs="+", help="films, or folders of them")
    parser.add_argument("--epochs", type=int, default=15, help="on these")
    parser.add_argument("--without", nargs="+", default=[], help="runs of a fold to leave out")
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    results = options.out / "results.json"
    kept = json.loads(results.read_text()) if results.exists() else {}
    made: dict[str, list[tuple[int, dict[str, bool]]]] = {}

    def first(teacher: Path) -> Path:
        """Made once, by the first fold's teacher: the vectors of all folds' are the same."""
        table = options.out / "pieces.csv"
        if not table.exists():
            write_index(pieces(options.unlabelled), table)
        run = Run(options.out / "first")
        if not run.finished:
            training = replace(usual_training(STUDENT), epochs=options.epochs)
            run = distill(
                None,
                run.path,
                teacher,
                unlabelled=table,
                model=STUDENT,
                lesson=VECTORS,
                training=training,
                cache=options.out / "cache",
                verbose=2,
            )
        return run.model_path

    for seed in options.seeds:
        for number, clips in enumerate(dealt(read_index(options.clips), seed)[: options.folds]):
            folder = options.out / f"seed{seed}" / f"fold{number}"
            write_fold(clips, options.labelled, folder)
            fold = kept.setdefault(f"seed {seed}, fold {number}", {})
            runs = trained(
                folder,
                options.out / "cache",
                seed,
                options.views,
                options.labelled,
                first if options.unlabelled else None,
            )
            for name, make in runs.items():
                if name in options.without:
                    continue
                if name not in fold:
                    keras.backend.clear_session()
                    fold[name] = hits(make())
                    write_json(results, kept)
                made.setdefault(name, []).append((seed, fold[name]))
            print(f"after seed {seed}, fold {number}\n{table(made)}", flush=True)
            (options.out / "table.md").write_text(table(made))


if __name__ == "__main__":
    main()
