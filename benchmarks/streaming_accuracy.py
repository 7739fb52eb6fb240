"""Ours and its peers, all from random weights, on the same clips: accuracy over several folds.

python benchmarks/streaming_accuracy.py CLIPS --out DIR [--folds N] [--epochs N] [--config FILE]
    [--models NAMES] [--movinet-checkpoint PREFIX]

It runs in the environment that streaming.py builds, which calls it. The clips are dealt into five
parts; fold i tests on part i, keeps the best epoch on part i + 1 and trains on the other three.
Clips, frames, augmentation, optimiser, epochs and the choice of the epoch are the same for all;
each model sees pictures of its own size. DIR gets the split of every fold, the history and the
predictions of every model; what is there already is not trained again.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import streaming_peers as peers
from _folds import PARTS, dealt

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.config import SoraConfig, small
from sora_tf.data import Augment, clip_dataset, labels_of, read_index, write_index
from sora_tf.models import build_sora
from sora_tf.train import TrainConfig
from sora_tf.train.fit import compile_model
from sora_tf.train.keep import quality

OURS = "sora_tf"
SIDES = {"movinet-a0-stream": 172, "mobilenetv3-small-lstm": 224}


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch that did best on the validation clips, the run's own rule."""

    def __init__(self):
        super().__init__()
        self.best, self.epoch, self.weights = (-1.0, 0.0), 0, None

    def on_epoch_end(self, epoch, logs=None):
        """Compares accuracy first, then loss."""
        if quality(logs) >= self.best:
            self.best, self.epoch, self.weights = quality(logs), epoch + 1, self.model.get_weights()


def build(name, config, classes, checkpoint):
    """A model and the height and width of its pictures."""
    if name == OURS:
        return build_sora(config, classes), config.size
    side = SIDES[name]
    if name == "movinet-a0-stream":
        return peers.movinet_clip(config.frames, side, classes, checkpoint), (side, side)
    return peers.lstm_clip(config.frames, side, classes), (side, side)


def train(name, clips, config, settings, augment, cache, checkpoint):
    """Trains one model on one fold and tests it: a dict of figures."""
    labels = labels_of(clips)
    keras.backend.clear_session()  # the models before this one
    keras.utils.set_random_seed(settings.seed)
    model, size = build(name, config, len(labels), checkpoint)
    shape = {
        "frames": config.frames,
        "size": size,
        "batch_size": settings.batch_size,
        "cache": cache / f"{size[0]}x{size[1]}",
    }
    parts = {part: [c for c in clips if c.split == part] for part in ("train", "val", "test")}
    training = clip_dataset(
        parts["train"], labels, training=True, augment=augment, seed=settings.seed, **shape
    )
    held = {part: clip_dataset(parts[part], labels, **shape) for part in ("val", "test")}
    compile_model(model, settings, settings.epochs * int(training.cardinality()))
    best = BestEpoch()
    begun = time.process_time()
    history = model.fit(
        training,
        validation_data=held["val"],
        epochs=settings.epochs,
        callbacks=[best],
        verbose=0,
    ).history
    spent = time.process_time() - begun
    last = model.predict(held["test"], verbose=0)
    model.set_weights(best.weights)
    scores = model.predict(held["test"], verbose=0)
    truth = np.array([labels.index(clip.label) for clip in parts["test"]])
    return {
        "model": name,
        "size": list(size),
        "parameters": int(model.count_params()),
        "train_clips": len(parts["train"]),
        "test_clips": len(truth),
        "best_epoch": best.epoch,
        "val_accuracy": best.best[0],
        "test_accuracy": float((scores.argmax(-1) == truth).mean()),
        "test_accuracy_last_epoch": float((last.argmax(-1) == truth).mean()),
        "training_cpu_seconds": round(spent, 1),
        "test": {
            clip.name: [round(float(s), 4) for s in score]
            for clip, score in zip(parts["test"], scores, strict=True)
        },
        "history": {key: [round(float(v), 4) for v in values] for key, values in history.items()},
    }


def run_folds(options: argparse.Namespace) -> list[dict]:
    """Trains what is not yet trained, fold by fold, and returns all figures."""
    config = small()
    settings, augment = TrainConfig(epochs=options.epochs, seed=options.seed), Augment()
    if options.config:
        values = json.loads(options.config.read_text())
        config = SoraConfig.from_dict(values["model"])
        training = {**values["training"], "epochs": options.epochs, "seed": options.seed}
        settings, augment = TrainConfig(**training), Augment.from_dict(values["augment"])
    figures = []
    for number, clips in enumerate(dealt(read_index(options.clips), options.seed)[: options.folds]):
        folder = options.out / f"fold{number}"
        folder.mkdir(parents=True, exist_ok=True)
        write_index(clips, folder / "split.csv")
        for name in options.models:
            path = folder / f"{name}.json"
            if not path.exists():
                checkpoint = options.movinet_checkpoint
                made = train(
                    name, clips, config, settings, augment, options.out / "clips", checkpoint
                )
                write_json(path, {"fold": number, "epochs": settings.epochs, **made})
            figures.append(json.loads(path.read_text()))
            print(line(figures[-1]), flush=True)
    return figures


def line(made: dict) -> str:
    """One model on one fold as text."""
    return (
        f"fold {made['fold']} {made['model']:24s} test {made['test_accuracy']:.3f} "
        f"(last epoch {made['test_accuracy_last_epoch']:.3f}), val {made['val_accuracy']:.3f} "
        f"at epoch {made['best_epoch']} of {made['epochs']}, "
        f"{made['training_cpu_seconds']:.0f} s of processor"
    )


def summary(figures: list[dict]) -> dict[str, dict]:
    """Mean and standard deviation over the folds, per model."""
    rows = {}
    for name in dict.fromkeys(made["model"] for made in figures):
        own = [made for made in figures if made["model"] == name]
        accuracy = [made["test_accuracy"] for made in own]
        rows[name] = {
            "size": own[0]["size"],
            "parameters": own[0]["parameters"],
            "folds": len(own),
            "test_clips": sum(made["test_clips"] for made in own),
            "accuracy": statistics.mean(accuracy),
            "deviation": statistics.stdev(accuracy) if len(accuracy) > 1 else 0.0,
            "last_epoch": statistics.mean(made["test_accuracy_last_epoch"] for made in own),
        }
    return rows


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--folds", type=int, default=5, choices=range(1, PARTS + 1))
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the folds and the training")
    parser.add_argument("--config", type=Path, help="a run's config.json: our model, the recipe")
    parser.add_argument("--models", nargs="+", default=[OURS, *SIDES], choices=[OURS, *SIDES])
    parser.add_argument("--movinet-checkpoint", help="weights of movinet_a0_stream to start from")
    options = parser.parse_args()
    rows = summary(run_folds(options))
    write_json(options.out / "summary.json", rows)
    for name, row in rows.items():
        print(f"{name:24s} {row['accuracy']:.3f} ± {row['deviation']:.3f} of {row['folds']} folds")


if __name__ == "__main__":
    main()
