"""Classes of sounds: ours beside the commonest class and linear classifiers, on the same clips.

python benchmarks/sound.py SOUNDS --out DIR [--seeds 0 1 2] [--folds N] [--epochs N]

Every seed deals the sounds into five parts of neighbouring numbers within each class, for
neighbours are likely of one recording; four train, the fifth is tested. With --inner, three train
and the next is tested in place of the fifth: so are choices made, without the test part. DIR gets
the clips of every fold, results.json, which says of every clip tested whether it was named
rightly, and table.md. What results.json holds is not made again.
"""

import argparse
import functools
import json
import statistics
from collections.abc import Callable
from pathlib import Path

import numpy as np
from _folds import PARTS, deviation, marked
from _machine import print_machine
from accuracy_clips import contiguous

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.data import Clip, labels_of, read_index, write_index
from sora_tf.data.index import SOUND_SUFFIXES, SUFFIXES
from sora_tf.data.sound import MelConfig, load_sound
from sora_tf.data.sound_augment import SoundAugment
from sora_tf.data.sound_dataset import sound_dataset
from sora_tf.layers.statistics import CepstrumStatistics
from sora_tf.models.aligned import text_of_label
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.models.sound import SoundConfig, build_sound_model
from sora_tf.models.yamnet import MEL, as_published, build_yamnet, yamnet_names, yamnet_network
from sora_tf.tasks.heard_words import HeardWords, name_heard
from sora_tf.tasks.zero_shot import text_vectors

SECONDS = 10.0
CONFIG = SoundConfig()
BATCH = 8
SHRINK = 30.0  # of the classifier on YAMNet, over the number of clips
RATE, RATE_HEARD = 5e-3, 1e-3  # of learning, falling to 0 as a cosine


def majority(train: list[Clip], test: list[Clip], seed: int, epochs: int) -> list[str]:
    """The commonest class, for every clip."""
    labels = [clip.label for clip in train]
    return [max(sorted(set(labels)), key=labels.count)] * len(test)


def band_statistics(clip: Clip) -> np.ndarray:
    """Mean and standard deviation over time of each band, (2·M,)."""
    whole = load_sound(clip.path, MelConfig(hop=1.0)).mels.reshape(-1, CONFIG.mel.mels)
    return np.concatenate([whole.mean(axis=0), whole.std(axis=0)])


def cepstrum_statistics(clip: Clip) -> np.ndarray:
    """What our vectors begin with, before it is standardised, in the mean over windows."""
    heard = load_sound(clip.path, CONFIG.mel)
    made = CepstrumStatistics(CONFIG.coefficients)(heard.mels).numpy()
    return made[heard.mask].mean(axis=0)


def linear(features: Callable[[Clip], np.ndarray]) -> Callable[..., list[str]]:
    """Logistic regression on standardised features; its strength is chosen inside `train`."""
    kept: dict[str, np.ndarray] = {}

    def of(clip: Clip) -> np.ndarray:
        if clip.name not in kept:
            kept[clip.name] = features(clip)
        return kept[clip.name]

    def answer(train: list[Clip], test: list[Clip], seed: int, epochs: int) -> list[str]:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
        strengths = {"logisticregression__C": [1e-3, 1e-2, 1e-1, 1.0]}
        model = GridSearchCV(model, strengths, cv=4)  # of neighbours: these are not shuffled
        model.fit([of(clip) for clip in train], [clip.label for clip in train])
        return list(model.predict([of(clip) for clip in test]))

    return answer


def published(clip: Clip) -> np.ndarray:
    """The embedding of YAMNet as it is, in the mean over windows, (1024,)."""
    heard = load_sound(clip.path, MEL)
    made = network().predict(as_published(heard.mels), verbose=0)
    return made["embedding"][heard.mask].mean(axis=0)


@functools.cache
def network() -> keras.Model:
    """YAMNet, read once."""
    return yamnet_network()


def by_name(train: list[Clip], test: list[Clip], seed: int, epochs: int) -> list[str]:
    """The class whose name suits best what is heard; nothing is trained."""
    encoder, words = listener()
    labels = labels_of(train)
    vectors = text_vectors(encoder, [text_of_label(label) for label in labels])
    answers = name_heard(words, labels, vectors, [clip.path for clip in test])
    return [answer["label"] for answer in answers]


@functools.cache
def listener() -> tuple[SentenceEncoder, HeardWords]:
    """What compares texts with sounds, made once."""
    encoder = SentenceEncoder()
    return encoder, HeardWords(network(), yamnet_names(), encoder)


def ours(
    mel: MelConfig,
    rate: float,
    augment: SoundAugment | None,
    build: Callable[[int, int], keras.Model],
) -> Callable[..., list[str]]:
    """A classifier from `build`, told how many classes and clips, trained on windows of `mel`."""

    def answer(train: list[Clip], test: list[Clip], seed: int, epochs: int) -> list[str]:
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        labels = labels_of(train)
        heard = {"config": mel, "batch_size": BATCH}
        parts = sound_dataset(
            train,
            labels,
            seconds=SECONDS / 2,
            training=True,
            augment=augment,
            seed=seed,
            **heard,
        )
        model = build(len(labels), len(train))
        steps = epochs * -(-len(train) // BATCH)
        falling = keras.optimizers.schedules.CosineDecay(rate, steps)
        learner = keras.optimizers.AdamW(falling, weight_decay=0.01)
        model.compile(learner, "categorical_crossentropy")
        model.fit(parts, epochs=epochs, verbose=0)
        scores = model.predict(sound_dataset(test, labels, seconds=SECONDS, **heard), verbose=0)
        return [labels[number] for number in scores.argmax(axis=1)]

    return answer


METHODS: dict[str, Callable[..., list[str]]] = {
    "commonest class": majority,
    "linear, log-mel mean and sd": linear(band_statistics),
    "linear, cepstrum statistics": linear(cepstrum_statistics),
    "by its name, nothing trained": by_name,
    "linear, YAMNet": linear(published),
    "ours": ours(CONFIG.mel, RATE, None, lambda classes, _: build_sound_model(CONFIG, classes)),
    "ours, on YAMNet": ours(
        MEL,
        RATE_HEARD,
        SoundAugment(noise=0.1),
        lambda classes, clips: build_sound_model(
            CONFIG, classes, encoder=build_yamnet(), shrink=SHRINK / clips
        ),
    ),
}


def table(made: dict[str, list[tuple[int, dict[str, bool]]]]) -> str:
    """Accuracy of each: mean, and standard deviations over folds and over seeds."""
    lines = ["| | accuracy | ± over folds | ± over seeds |", "| --- | ---: | ---: | ---: |"]
    for name, folds in made.items():
        accuracy = [statistics.mean(hits.values()) for _, hits in folds]
        seeds = sorted({seed for seed, _ in folds})
        by_seed = [
            statistics.mean(hit for of, hits in folds if of == seed for hit in hits.values())
            for seed in seeds
        ]
        lines.append(
            f"| {name} | {statistics.mean(accuracy):.1%} | {deviation(accuracy):.1%} "
            f"| {deviation(by_seed):.1%} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--inner", action="store_true", help="leave the test part alone")
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tensorflow-io", "scikit-learn", "av", "numpy")
    results = options.out / "results.json"
    kept = json.loads(results.read_text()) if results.exists() else {}
    made: dict[str, list[tuple[int, dict[str, bool]]]] = {}
    clips = read_index(options.clips, SUFFIXES | SOUND_SUFFIXES)
    for seed in options.seeds:
        for number, dealt in enumerate(marked(contiguous(clips, seed))[: options.folds]):
            folder = options.out / f"seed{seed}" / f"fold{number}"
            if not (folder / "clips.csv").exists():
                write_index(dealt, folder / "clips.csv")
            learnt = ("train",) if options.inner else ("train", "val")
            train = [clip for clip in dealt if clip.split in learnt]
            asked = "val" if options.inner else "test"
            test = [clip for clip in dealt if clip.split == asked]
            fold = kept.setdefault(f"seed {seed}, fold {number}, {asked}", {})
            for name, method in METHODS.items():
                if name not in fold:
                    found = method(train, test, seed, options.epochs)
                    fold[name] = {
                        "/".join(Path(clip.path).parts[-2:]): answer == clip.label
                        for clip, answer in zip(test, found, strict=True)
                    }
                    write_json(results, kept)
                made.setdefault(name, []).append((seed, fold[name]))
            print(f"after seed {seed}, fold {number}\n{table(made)}", flush=True)
            (options.out / "table.md").write_text(table(made))


if __name__ == "__main__":
    main()
