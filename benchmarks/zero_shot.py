"""Names for classes that nobody was trained on, and clips for a text.

python benchmarks/zero_shot.py DRONE FIGHT --out DIR [--seeds 0 1 2]

Of the classes of both folders two are held out at a time, every two in turn. The model is aligned
with the texts of the others on four fifths of their clips, then names all clips of the two held
out: one of these two texts (chance 50 %), and one of all texts (chance 1 in as many). Then every
text, held out or not, ranks the clips that nothing was trained on (mean average precision; chance
is the share of the text's own clips). Beside it the same before any training, when the model has
the words of ImageNet alone. Accuracies are means over classes. results.json keeps what is done,
table.md is printed.
"""

import argparse
import itertools
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from _folds import deviation
from _machine import print_machine
from sklearn.metrics import average_precision_score

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import lite
from sora_tf.data import Clip, clip_dataset, folds, labels_of, read_index
from sora_tf.models.aligned import build_aligned, imagenet_words, text_of_label
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.models.sora import head_of, pooled_features
from sora_tf.models.video_model import FRAMES, MASK, clips_at_once
from sora_tf.train.align import learner
from sora_tf.train.frozen import FeatureViews
from sora_tf.train.settings import usual_training

TEXTS = {"fight": "people fighting", "noFight": "people walking"}
MEASURES = ("of the two", "of all", "text to clips", "chance of it")


def text_of(label: str) -> str:
    """What is said of a class."""
    text = text_of_label(label)
    article = "an" if text[0] in "aeiou" else "a"
    return TEXTS.get(label, f"{article} {text} in the sky")


def judged(vectors, texts, truth, unseen, held) -> dict[str, float]:
    """The four measures; `unseen` are two classes, `held` the clips not trained on."""
    cosines = vectors @ texts.T
    both, all_ = [], []
    for label in unseen:
        rows = cosines[truth == label]
        both.append(np.mean(np.array(unseen)[rows[:, list(unseen)].argmax(axis=1)] == label))
        all_.append(np.mean(rows.argmax(axis=1) == label))
    kept = [label for label in range(len(texts)) if (truth[held] == label).any()]
    precise = [
        average_precision_score(truth[held] == label, cosines[held, label]) for label in kept
    ]
    chance = [np.mean(truth[held] == label) for label in kept]
    means = (np.mean(both), np.mean(all_), np.mean(precise), np.mean(chance))
    return dict(zip(MEASURES, map(float, means), strict=True))


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Means and standard deviations over the pairs held out and seeds, and over seeds alone."""
    kinds = {
        pair: len(set(pair.split(" and ")) & set(TEXTS)) == 1 for pair in map(pair_of, results)
    }
    columns = [(MEASURES[0], lambda key: True), *(
        (name, lambda key, mixed=mixed: kinds[pair_of(key)] == mixed)
        for name, mixed in (("two of one kind", False), ("two of both kinds", True))
    ), *((name, lambda key: True) for name in MEASURES[1:])]  # fmt: skip
    lines = [f"| | {' | '.join(name for name, _ in columns)} |"]
    lines.append(f"| --- |{' ---: |' * len(columns)}")
    for way in next(iter(results.values())):
        cells = []
        for name, wanted in columns:
            measure = name if name in MEASURES else MEASURES[0]
            by_seed: dict[str, list[float]] = {}
            for key, one in results.items():
                if wanted(key):
                    by_seed.setdefault(key.split(", ")[0], []).append(one[way][measure])
            values = [value for own in by_seed.values() for value in own]
            seeds = deviation([statistics.mean(own) for own in by_seed.values()])
            cells.append(f"{statistics.mean(values):.3f} ± {deviation(values):.3f} ({seeds:.3f})")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    lines += ["", "In brackets: ± over the means of seeds.", "", "| held out | of the two |"]
    lines += ["| --- | ---: |"]
    for pair in kinds:
        own = [one["aligned"][MEASURES[0]] for key, one in results.items() if pair_of(key) == pair]
        lines.append(f"| {pair} | {statistics.mean(own):.3f} |")
    return "\n".join(lines) + "\n"


def pair_of(key: str) -> str:
    """The classes held out, of a key of results."""
    return key.split(", ")[1]


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+", help="folders of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    clips: list[Clip] = [clip for folder in options.clips for clip in read_index(folder)]
    labels = labels_of(clips)
    encoder = SentenceEncoder()
    texts = encoder.encode([text_of(label) for label in labels])
    words = imagenet_words(encoder)
    config = lite()
    aligned = build_aligned(words, config)
    with counting("decoding clips") as update:
        batches = clip_dataset(
            clips,
            labels,
            frames=config.frames,
            size=config.size,
            batch_size=clips_at_once(config.frames, config.size),
            cache=options.out / "cache",
            progress=update,
        )
    with counting("features") as update:
        kept = FeatureViews(
            options.out / "features", pooled_features(aligned), lambda: batches, 1, update
        )
    features, mask, one_hot = kept.rows(0, np.arange(len(kept)))
    truth = one_hot.argmax(axis=1)

    def fed(rows):
        return {FRAMES: features[FRAMES][rows], MASK: mask[rows]}

    everything = np.arange(len(truth))
    results_path = options.out / "results.json"
    results = json.loads(results_path.read_text()) if results_path.exists() else {}
    for seed in options.seeds:
        tested = {clip.name for clip in folds(clips, 5, seed)[0]}
        is_tested = np.array([clip.name in tested for clip in clips])
        for unseen in itertools.combinations(range(len(labels)), 2):
            name = f"seed {seed}, {' and '.join(labels[label] for label in unseen)}"
            if name in results:
                continue
            hidden = np.isin(truth, unseen)
            learnt, held = np.flatnonzero(~hidden & ~is_tested), np.flatnonzero(hidden | is_tested)
            seen = [label for label in range(len(labels)) if label not in unseen]
            keras.backend.clear_session()
            keras.utils.set_random_seed(seed)
            model = build_aligned(words, config)
            vectors = head_of(model)
            before = vectors.predict(fed(everything), batch_size=32, verbose=0)
            settings = replace(usual_training(config), seed=seed)
            head = learner(model, texts[seen], settings, len(learnt))
            weight = 1 / np.maximum(np.bincount(truth[learnt], minlength=len(labels)), 1)
            head.fit(
                fed(learnt),
                one_hot[learnt][:, seen],
                sample_weight=weight[truth[learnt]] / weight[truth[learnt]].mean(),
                batch_size=settings.batch_size,
                epochs=settings.epochs,
                verbose=0,
            )
            after = vectors.predict(fed(everything), batch_size=32, verbose=0)
            results[name] = {
                "words of ImageNet": judged(before, texts, truth, unseen, held),
                "aligned": judged(after, texts, truth, unseen, held),
            }
            write_json(results_path, results)
            print(name, results[name]["aligned"], flush=True)
    (options.out / "table.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
