"""What is seen and what is heard, fused: against each alone, and against other ways to fuse.

python benchmarks/fusion.py DRONE SOUNDS --out DIR [--seeds 0 1 2] [--folds N] [--kinds KIND ...]

Every clip of DRONE (airplane, bird, drone, helicopter) is given sounds of SOUNDS of its class
(airplanes and birds: of the background, for neither drone nor helicopter is heard), from the same
fold and never across folds. Folds are of neighbouring numbers within a class. Noise is added to
the pictures. Every epoch pairs clips and sounds anew. All models learn from three parts by the same
settings, the next chooses among every fourth epoch, the fifth is tested with every sound of its
class that is dealt to it. Models that fuse are tested with both, with the sound missing and with
the pictures missing. One set alone learns a third of the epochs, as its voice does within the
fusion, or --alone-epochs N. results.json keeps what is done, table.md is printed.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
from _folds import PARTS, deviation
from _machine import print_machine
from accuracy_clips import contiguous

from sora_tf._files import replacing, write_json
from sora_tf._keras import keras
from sora_tf._progress import counting
from sora_tf.config import lite
from sora_tf.data import labels_of, load_clip, read_index
from sora_tf.data.index import SOUND_SUFFIXES
from sora_tf.data.sound import load_sound
from sora_tf.data.sound_dataset import SOUND_MASK
from sora_tf.models.fusion import FRAME, SOUND, FusionConfig, build_fusion
from sora_tf.models.sora import FRAME_VECTORS, build_sora, embedder
from sora_tf.models.sound import SoundConfig
from sora_tf.models.yamnet import MEL, build_yamnet
from sora_tf.train.fit import compile_model
from sora_tf.train.fused import usual_fused_training
from sora_tf.train.fused_run import YAMNET

HEARD = {"airplane": "background", "bird": "background"}
FUSED = ("graph", "concatenation", "cross_attention")
KINDS = ("pictures", "sound", *FUSED)
FRAMES, VIEWS = 8, 2
JUDGED_EVERY = 4  # epochs
WAYS = {"both": (), "no sound": (SOUND,), "no pictures": (FRAME,)}


def seen(clips, noise: float, path: Path) -> dict[str, np.ndarray]:
    """Frame vectors (views, N, T, D) of noisy pictures, and their times (N, T, 2) in s."""
    if path.is_file():
        with np.load(path, allow_pickle=False) as kept:
            return dict(kept)
    config = lite()
    model = embedder(build_sora(config, weights="imagenet"))
    rng = np.random.default_rng(0)
    vectors: list[list[np.ndarray]] = [[] for _ in range(VIEWS)]
    times = []
    with counting("pictures") as update:
        for done, clip in enumerate(clips, 1):
            pictures, mask, moments = load_clip(clip.path, FRAMES, config.size)
            for view in vectors:
                noisy = pictures + rng.normal(0, noise, pictures.shape)
                shown = np.zeros((1, config.frames, *config.size, 3), np.float32)
                shown[0, :FRAMES] = np.clip(noisy, 0, 255)
                real = np.zeros((1, config.frames), bool)
                real[0, :FRAMES] = mask
                given = model.predict_on_batch({"frames": shown, "mask": real})
                view.append(given[FRAME_VECTORS][0, :FRAMES].astype(np.float16))
            times.append(np.stack([moments, moments], axis=1))
            update(done, len(clips))
    made = {"vectors": np.array(vectors), "times": np.array(times, np.float32)}
    with replacing(path) as beside, open(beside, "wb") as file:
        np.savez(file, **made)
    return made


class Pairs:
    """Clips of some places with sounds of theirs.

    Args:
        sight: from `seen`.
        sounds: log-mel windows (M, S, F, M), or vectors (M, S, D), and times (S, 2) of all sounds.
        rows: the clips' places.
        choices: for each of them, the places of the sounds it may have.
        truth: (N, classes) of all clips.
    """

    def __init__(self, sight, sounds, rows, choices, truth):
        self.sight, self.sounds = sight, sounds
        self.rows, self.choices, self.truth = rows, choices, truth

    def nodes(self, rows, heard, view, lacking=()):
        """What a model takes of some clips, each with a sound."""
        mels, times = self.sounds
        mask = np.ones((len(rows), FRAMES), bool)
        found = {
            FRAME: self.sight["vectors"][view][rows].astype(np.float32),
            f"{FRAME}_mask": mask,
            f"{FRAME}_times": self.sight["times"][rows],
            SOUND: mels[heard].astype(np.float32),
            f"{SOUND}_mask": np.ones((len(rows), mels.shape[1]), bool),
            f"{SOUND}_times": np.repeat(times[None], len(rows), axis=0),
        }
        for name in lacking:
            found[f"{name}_mask"][:] = False
        return found

    def epochs(self, seed, size):
        """Batches without end: every epoch in another order, with other sounds and noise."""
        rng = np.random.default_rng(seed)
        while True:
            order = rng.permutation(len(self.rows))
            for start in range(0, len(order), size):
                places = order[start : start + size]
                heard = np.array([rng.choice(self.choices[place]) for place in places])
                rows = self.rows[places]
                yield self.nodes(rows, heard, rng.integers(VIEWS)), self.truth[rows]

    def all(self, lacking=()):
        """Every clip with every sound it may have, and the truth."""
        places = [place for place, heard in enumerate(self.choices) for _ in heard]
        rows = self.rows[places]
        return self.nodes(rows, np.concatenate(self.choices), 0, lacking), self.truth[rows]


def trained(
    kind: str, parts, shapes, classes: int, seed: int, alone_epochs: int, sound: SoundConfig | None
) -> dict[str, float]:
    """Accuracies on the test part, in each way that the model can be used."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)
    only = {"pictures": FRAME, "sound": SOUND}.get(kind)
    sets = {only: shapes[only]} if only else shapes
    config = FusionConfig() if only else FusionConfig(kind)
    model = build_fusion(sets, classes, config, sound=sound)
    learnt, chosen, tested = parts
    settings = usual_fused_training()
    if only:
        settings = replace(settings, epochs=alone_epochs)
    compile_model(model, settings, settings.steps(len(learnt.rows)))
    steps = -(-len(learnt.rows) // settings.batch_size)
    batches, best = learnt.epochs(seed, settings.batch_size), -1.0
    ways = {"both": ()} if only else WAYS
    for epoch in range(1, settings.epochs + 1):
        for _ in range(steps):
            nodes, label = next(batches)
            model.train_on_batch({name: nodes[name] for name in model.input_names}, label)
        if epoch % JUDGED_EVERY:
            continue
        good = statistics.mean(accuracy(model, *chosen.all(lacking)) for lacking in ways.values())
        if good > best:
            best, weights = good, model.get_weights()
    model.set_weights(weights)
    return {way: accuracy(model, *tested.all(lacking)) for way, lacking in ways.items()}


def accuracy(model: keras.Model, nodes: dict[str, np.ndarray], truth: np.ndarray) -> float:
    """The share of pairs that are named rightly."""
    given = {name: nodes[name] for name in model.input_names}
    scores = model.predict(given, verbose=0, batch_size=64)
    return float(np.mean(scores.argmax(axis=1) == truth.argmax(axis=1)))


def table(results: dict[str, dict[str, dict[str, float]]]) -> str:
    """Mean ± standard deviation over folds and seeds."""
    lines = ["| | both | no sound | no pictures |", "| --- | ---: | ---: | ---: |"]
    for name in KINDS:
        cells = []
        for way in WAYS:
            values = [one[name][way] for one in results.values() if way in one.get(name, {})]
            cells.append(f"{statistics.mean(values):.1%} ± {deviation(values):.1%}" if values
                         else "")  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("sounds", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(1, PARTS + 1))
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--sound-encoder", choices=("trained", YAMNET), default="trained")
    parser.add_argument("--alone-epochs", type=int, default=40, help="of one set alone")
    parser.add_argument("--noise", type=float, default=64.0, help="σ added to values 0 to 255")
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    options.out.mkdir(parents=True, exist_ok=True)
    clips = read_index(options.clips)
    sounds = read_index(options.sounds, SOUND_SUFFIXES)
    labels = labels_of(clips)
    sight = seen(clips, options.noise, options.out / f"pictures{options.noise:g}.npz")
    known = options.sound_encoder == YAMNET
    heard = [load_sound(clip.path, MEL if known else None, count=10) for clip in sounds]
    mels, times = np.stack([one.mels for one in heard]), heard[0].times.astype(np.float32)
    if known:
        real = np.stack([one.mask for one in heard])
        mels = build_yamnet(windows=10).predict({SOUND: mels, SOUND_MASK: real}, verbose=0)
    shapes = {FRAME: (FRAMES, sight["vectors"].shape[-1]), SOUND: mels.shape[1:]}
    truth = np.eye(len(labels), dtype=np.float32)[[labels.index(clip.label) for clip in clips]]
    results_path = options.out / "results.json"
    results = json.loads(results_path.read_text()) if results_path.exists() else {}
    place_of = {clip.path: place for place, clip in enumerate(clips)}
    sound_of = {clip.path: place for place, clip in enumerate(sounds)}
    for seed in options.seeds:
        both = contiguous(clips, seed), contiguous(sounds, seed)
        parts = []
        for own, ringing in zip(*both, strict=True):
            rows = np.array([place_of[clip.path] for clip in own])
            choices = [
                [sound_of[s.path] for s in ringing if s.label == HEARD.get(c.label, c.label)]
                for c in own
            ]
            parts.append((rows, choices))
        for fold in range(options.folds):
            held = (fold + 1) % PARTS
            learnt = [part for n, part in enumerate(parts) if n not in (fold, held)]
            train = (
                np.concatenate([rows for rows, _ in learnt]),
                [choice for _, choices in learnt for choice in choices],
            )
            dealt = [
                Pairs(sight, (mels, times), *of, truth) for of in (train, parts[held], parts[fold])
            ]
            done = results.setdefault(f"seed {seed}, fold {fold}", {})
            for name in options.kinds:
                if name not in done:
                    done[name] = trained(
                        name,
                        dealt,
                        shapes,
                        len(labels),
                        seed,
                        options.alone_epochs,
                        None if known else SoundConfig(),
                    )
                    write_json(results_path, results)
                    print(f"seed {seed}, fold {fold}: {name} {done[name]}", flush=True)
    (options.out / "table.md").write_text(table(results))
    print(table(results))


if __name__ == "__main__":
    main()
