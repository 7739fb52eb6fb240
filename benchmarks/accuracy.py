"""Accuracy of ours and of every baseline: folds × seeds on the same clips with the same budget.

python benchmarks/accuracy.py {fight,drone,digits} CLIPS --out DIR [--seeds 3 4 5] [--models NAMES]

Every seed deals the clips into five parts anew; four train, the fifth is tested, and nothing is
chosen by it: the last epoch of a fixed number is what counts. What stands on EfficientNet-Lite
gets the same frozen features, made once; C3D, SlowFast and `small` learn from pixels. For `drone`,
whose objects take 0.3 % of the picture, frames have 512 × 640 pixels. For `digits` CLIPS is the
folder of MNIST's four files: each seed makes 2,000 clips of moving digits, each part from images
of its own, and all models learn from pixels. DIR gets the parts of every seed (split.csv), the
figures and predictions of every training, and table.md. What is there already is not trained
again.
"""

import argparse
import functools
import json
import statistics
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from _folds import deviation, tested
from _machine import print_machine
from accuracy_clips import Clips, clips_of
from accuracy_models import ENTRIES, Entry

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.config import lite
from sora_tf.data import clip_dataset, labels_of, read_index, write_index
from sora_tf.models import layer_costs
from sora_tf.models.sora import build_sora, head_of, pooled_features
from sora_tf.models.video_model import FRAMES, MASK, VideoModel, clips_at_once
from sora_tf.train.fit import compile_model
from sora_tf.train.frozen import FeatureViews

POOLED = 1280  # means over the picture of a Lite's features; then as many peaks, then changes


@functools.cache
def features_of(
    cache: Path, source: Path, block: str, size: tuple[int, int]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """A Lite's means, peaks and changes of every clip: its name to (T, F) and mask."""
    seen = replace(lite().extractor, block=block, peak=True)
    config = replace(lite(), size=size, extractor=seen)
    clips = read_index(source)
    labels = labels_of(clips)
    whole = build_sora(config, weights="imagenet")
    extractor = pooled_features(whole)
    shape = {"frames": config.frames, "size": config.size, "cache": cache}
    shape["batch_size"] = clips_at_once(config.frames, config.size)
    folder = cache / f"{block}-{size[0]}x{size[1]}"
    kept = FeatureViews(folder, extractor, lambda: clip_dataset(clips, labels, **shape))
    batches = [(clip[FRAMES], clip[MASK]) for clip, _ in kept.dataset(16)]
    features, masks = (np.concatenate(column) for column in zip(*batches, strict=True))
    return {c.name: (f, m) for c, f, m in zip(clips, features, masks, strict=True)}


def train_head(entry: Entry, head: VideoModel, data: Clips, source: Path, parts, seed: int):
    """Trains on features; returns the model, the test scores and seconds of processor."""
    known = features_of(data.cache, source, entry.config.extractor.block, entry.config.size)
    frames = entry.config.frames
    seen, ours = entry.config.extractor, entry.build is build_sora

    def arrays(clips):
        x, mask = (np.stack(column) for column in zip(*(known[c.name] for c in clips), strict=True))
        taken = [x[..., :POOLED]]
        if seen.peak:
            taken.append(x[..., POOLED : 2 * POOLED])
        if seen.change and ours:
            taken.append(x[..., 2 * POOLED :])
        x = np.concatenate(taken, axis=-1)
        if frames == 1:  # the middle one
            middle = (mask.sum(1) - 1) // 2
            x, mask = x[np.arange(len(x)), middle][:, None], mask[:, :1]
        truth = np.array([data.labels.index(clip.label) for clip in clips])
        return {FRAMES: x, MASK: mask}, keras.utils.to_categorical(truth, len(data.labels))

    settings = replace(entry.training, seed=seed)
    model = type(head).from_config(head.get_config())  # its weights are drawn anew
    x, y = arrays(parts["train"])
    compile_model(model, settings, settings.epochs * -(-len(y) // settings.batch_size))
    begun = time.process_time()
    history = model.fit(
        x, y, batch_size=settings.batch_size, epochs=settings.epochs, verbose=0
    ).history
    spent = time.process_time() - begun
    return model.predict(arrays(parts["test"])[0], verbose=0), spent, history


def train_whole(entry: Entry, data: Clips, parts, seed: int):
    """Trains on augmented pictures; returns the test scores and seconds of processor."""
    settings = replace(entry.training, seed=seed)
    shape = {"frames": entry.config.frames, "size": entry.config.size, "cache": data.cache}
    shape["batch_size"] = settings.batch_size
    training = clip_dataset(
        parts["train"], data.labels, training=True, augment=entry.augment, seed=seed, **shape
    )
    test = clip_dataset(parts["test"], data.labels, **shape)
    model = entry.build(entry.config, len(data.labels))
    compile_model(model, settings, settings.epochs * int(training.cardinality()))
    begun = time.process_time()
    history = model.fit(training, epochs=settings.epochs, verbose=0).history
    spent = time.process_time() - begun
    return model.predict(test, verbose=0), spent, history


def cost(entry: Entry, whole: VideoModel) -> dict[str, float]:
    """Parameters, and multiply-accumulates of a clip in millions."""
    return {
        "parameters": whole.count_params(),
        "million_macs": round(sum(row.macs for row in layer_costs(whole)) / 1e6, 1),
    }


def run(
    name: str, entry: Entry, data: Clips, source: Path, out: Path, seeds: list[int]
) -> list[dict]:
    """All trainings of one model, those that are there already left as they are."""
    head, facts, made = None, {}, []
    for seed in seeds:
        for number, clips in enumerate(tested(data.deal(seed))):
            folder = out / f"seed{seed}" / f"fold{number}"
            path = folder / f"{name.replace(' ', '_')}.json"
            if not path.exists():
                if not facts:
                    whole = entry.build(entry.config, len(data.labels))
                    facts = cost(entry, whole)
                    head = head_of(whole) if entry.augment is None else None
                    keras.backend.clear_session()
                parts = {
                    part: [clip for clip in clips if clip.split == part]
                    for part in ("train", "test")
                }
                folder.mkdir(parents=True, exist_ok=True)
                write_index(clips, folder / "split.csv")
                keras.utils.set_random_seed(100 * seed + number)
                if entry.augment is None:
                    scores, spent, history = train_head(entry, head, data, source, parts, seed)
                else:
                    scores, spent, history = train_whole(entry, data, parts, seed)
                truth = np.array([data.labels.index(clip.label) for clip in parts["test"]])
                hits = scores.argmax(-1) == truth
                write_json(
                    path,
                    {
                        "model": name,
                        "seed": seed,
                        "fold": number,
                        **facts,
                        "epochs": entry.training.epochs,
                        "train_clips": len(parts["train"]),
                        "test_clips": len(truth),
                        "accuracy": float(hits.mean()),
                        "train_accuracy": float(history["accuracy"][-1]),
                        "cpu_seconds": round(spent, 2),
                        "loss": [round(float(v), 4) for v in history["loss"]],
                        "right": {
                            c.name: bool(hit) for c, hit in zip(parts["test"], hits, strict=True)
                        },
                    },
                )
            made.append(json.loads(path.read_text()))
    return made


def table(rows: dict[str, list[dict]], best: str) -> str:
    """The figures as Markdown: mean and standard deviation over folds and seeds, beside `best`."""
    lines = [
        "| model | accuracy | ± over folds | ± over seeds | clips lost and gained against ours "
        "| parameters | M MACs a clip | s of processor to train |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    ours = _right(rows.get(best, []))
    for name, made in rows.items():
        accuracy = [m["accuracy"] for m in made]
        by_seed = [
            statistics.mean(m["accuracy"] for m in made if m["seed"] == seed)
            for seed in sorted({m["seed"] for m in made})
        ]
        own = _right(made)
        both = own.keys() & ours.keys()
        lost = sum(ours[key] and not own[key] for key in both)
        gained = sum(own[key] and not ours[key] for key in both)
        lines.append(
            f"| {name} | {statistics.mean(accuracy):.1%} | {deviation(accuracy):.1%} | "
            f"{deviation(by_seed):.1%} | "
            f"{'' if name == best else f'{lost} / {gained} of {len(both)}'} | "
            f"{made[0]['parameters']:,} | {made[0]['million_macs']:,.0f} | "
            f"{statistics.median(m['cpu_seconds'] for m in made):.1f} |"
        )
    return "\n".join(lines) + "\n"


def _right(made):
    return {(m["seed"], name): hit for m in made for name, hit in m["right"].items()}


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=ENTRIES)
    parser.add_argument("clips", type=Path, help="folder of class folders, or of MNIST's files")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--models", nargs="+", metavar="NAME", help="some of the table's rows")
    options = parser.parse_args()
    entries = ENTRIES[options.what]
    if unknown := set(options.models or ()) - entries.keys():
        parser.error(f"no model {', '.join(unknown)}; there are {', '.join(entries)}")
    print_machine("sora_tf", "tensorflow", "tf_keras", "tensorflow-gnn", "numpy")
    data = clips_of(options.what, options.clips, options.out)
    best = next(iter(entries))
    rows: dict[str, list[dict]] = {}
    for name in options.models or entries:
        rows[name] = run(name, entries[name], data, options.clips, options.out, options.seeds)
        shown = {key: rows[key] for key in (best, name) if key in rows}
        print(table(shown, best).splitlines()[-1], flush=True)
    (options.out / "table.md").write_text(table(rows, best))
    print(table(rows, best))


if __name__ == "__main__":
    main()
