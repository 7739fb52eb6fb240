"""What TFLite's flavours cost in accuracy: five runs of `sora-tf train`, each exported.

python benchmarks/quantised.py CLIPS --out DIR [--folds N] [--seed N] [--model small]

The clips are dealt into five parts; three train, the next chooses the epoch, the fifth is kept
back. Every run is exported to all of TFLite and judged, as `sora-tf export` does, on the two parts
it was not trained on; ranges of int8 come from clips it was trained on. DIR gets a run and its
receipt per fold and table.md. What is there already is not made again.
"""

import argparse
import statistics
from dataclasses import replace
from pathlib import Path

from _folds import PARTS, dealt, deviation
from _machine import print_machine

from sora_tf._keras import keras
from sora_tf.data import read_index, write_index
from sora_tf.export.publish import TFLITE, export_run
from sora_tf.export.receipt import RECEIPT, read_receipt
from sora_tf.train import train_classifier
from sora_tf.train.run import Run
from sora_tf.train.settings import usual_training


def receipts(options: argparse.Namespace) -> list[dict]:
    """Trains and exports every fold; returns what was measured."""
    made = []
    for number, clips in enumerate(dealt(read_index(options.clips), options.seed)[: options.folds]):
        folder = options.out / f"fold{number}"
        export = folder / "export"
        if not (export / RECEIPT).exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_index(clips, folder / "clips.csv")
            keras.backend.clear_session()
            train_classifier(
                folder / "clips.csv",
                folder / "run",
                model=options.model,
                training=replace(usual_training(options.model), seed=options.seed),
                cache=options.out / "cache",
                verbose=0,
            )
            failed = export_run(Run(folder / "run"), TFLITE, export, cache=options.out / "cache")
            for path, why in failed["failed"].items():
                print(f"fold {number}: {path} refused: {why}", flush=True)
        made.append(read_receipt(export)["artefacts"])
        print(table(made).splitlines()[-1], f"after fold {number}", flush=True)
    return made


def table(made: list[dict]) -> str:
    """Size, accuracy and what it lost: mean and standard deviation over folds."""
    lines = [
        "| | MB | accuracy | ± over folds | change, points | clips lost or gained | same label |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in TFLITE:
        own = [fold[f"{kind}.tflite"] for fold in made if f"{kind}.tflite" in fold]
        if not own:
            continue
        accuracy = [one["accuracy"] for one in own]
        clips = [round(one["accuracy_change"] * one["clips"]) for one in own]
        judged = sum(one["clips"] for one in own)
        lines.append(
            f"| {kind} | {statistics.mean(one['bytes'] for one in own) / 1e6:.2f} "
            f"| {statistics.mean(accuracy):.1%} "
            f"| {deviation(accuracy):.1%} "
            f"| {100 * sum(clips) / judged:+.2f} "
            f"| {', '.join(f'{n:+d}' for n in clips)} of {judged} "
            f"| {sum(one['agreement'] * one['clips'] for one in own) / judged:.1%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, exports and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--seed", type=int, default=0, help="of the folds and the training")
    parser.add_argument("--model", default="small", help="a preset")
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    made = receipts(options)
    (options.out / "table.md").write_text(table(made))
    print(table(made))


if __name__ == "__main__":
    main()
