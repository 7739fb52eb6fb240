"""What frozen global vectors are good for, and how much of it bad video leaves.

python benchmarks/representation.py CLIPS --out DIR [--run RUN ...] [--seeds 3 4 5]

Vectors of `lite` with ImageNet weights and no training on these clips, of the mean over frames of
the same CNN, and of the runs given. Every seed deals the clips into five parts; probes train on
four and are tested on the fifth. Robustness: trained on clean clips, tested on spoilt ones.
DIR gets vectors.npz, table.md and tsne.png.
"""

import argparse
import io
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from _machine import print_machine
from PIL import Image, ImageFilter

from sora_tf._files import replacing
from sora_tf._progress import progress
from sora_tf.config import SoraConfig, lite
from sora_tf.data import Clip, ClipCache, collate, folds, labels_of, load_clip, read_index
from sora_tf.models.extractor import without_memory
from sora_tf.models.sora import GLOBAL_VECTOR, build_sora, embedder
from sora_tf.train.representation import (
    few_shot,
    linear_probe,
    nearest_neighbours,
    retrieval_map,
    standardised,
)
from sora_tf.train.run import Run

PARTS = 5
BATCH = 4


def each(change: Callable[[Image.Image], Image.Image]) -> Callable[[np.ndarray], np.ndarray]:
    """A change of pictures as a change of clips (T, H, W, 3) uint8."""
    return lambda frames: np.stack([np.asarray(change(Image.fromarray(f))) for f in frames])


def jpeg(picture: Image.Image) -> Image.Image:
    """JPEG of quality 10."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=10)
    return Image.open(file).convert("RGB")


def held(kept: np.ndarray) -> np.ndarray:
    """For every frame the number of the last one kept; the first always is."""
    kept = kept.copy()
    kept[0] = True
    return np.maximum.accumulate(np.where(kept, np.arange(len(kept)), 0))


def dropped(frames: np.ndarray) -> np.ndarray:
    """Half of the frames, drawn, are lost; the one before stays on the screen."""
    rng = np.random.default_rng(int(frames[0].sum()))
    return frames[held(rng.random(len(frames)) < 0.5)]


def slower(frames: np.ndarray) -> np.ndarray:
    """Every third frame alone, as of a camera of a third of the rate."""
    return frames[held(np.arange(len(frames)) % 3 == 0)]


def dark(frames: np.ndarray) -> np.ndarray:
    """A fifth of the light, and noise of 4 grey levels."""
    rng = np.random.default_rng(int(frames[0].sum()))
    return np.clip(frames * 0.2 + rng.normal(0, 4, frames.shape), 0, 255).astype(np.uint8)


SPOILT = {
    "clean": lambda frames: frames,
    "JPEG, quality 10": each(jpeg),
    "blur, 3 pixels": each(lambda picture: picture.filter(ImageFilter.GaussianBlur(3))),
    "half of the frames lost": dropped,
    "a third of the rate": slower,
    "a fifth of the light": dark,
}


def vectors_of(model, config: SoraConfig, clips: list[Clip], cache: ClipCache, fit: str, spoil):
    """Global vectors of clips, (N, D)."""
    made = []
    for start in progress(range(0, len(clips), BATCH), "vectors", -(-len(clips) // BATCH)):
        batch = []
        for clip in clips[start : start + BATCH]:
            frames, mask, _ = load_clip(
                clip.path, config.frames, config.size, clip.start, clip.end, fit, cache
            )
            batch.append((spoil(frames), mask))
        made.append(model.predict_on_batch(collate(batch))[GLOBAL_VECTOR])
    return np.concatenate(made)


def representations(runs: list[Path]):
    """Name → (embedder, config, how frames are made to fit)."""
    config = lite()
    mean = replace(config, extractor=without_memory(config.extractor), relation=None)
    yield "lite, ImageNet", embedder(build_sora(config, weights="imagenet")), config, "stretch"
    yield "frame mean, ImageNet", embedder(build_sora(mean, weights="imagenet")), mean, "stretch"
    for path in runs:
        run = Run(path)
        settings = run.read_config()
        yield path.name, embedder(run.load_model()), settings.model, settings.fit


def figures(spoilt: dict[str, np.ndarray], clips: list[Clip], seeds: list[int]) -> dict[str, str]:
    """The row of one representation: column → mean ± standard deviation over folds and seeds."""
    clean = spoilt["clean"]
    labels = labels_of(clips)
    truth = np.array([labels.index(clip.label) for clip in clips])
    place = {clip.name: number for number, clip in enumerate(clips)}
    scores: dict[str, list[float]] = {}
    for seed in seeds:
        for part in folds(clips, PARTS, seed):
            test = np.array([place[clip.name] for clip in part])
            train = np.setdiff1d(np.arange(len(clips)), test)
            given = clean[train], truth[train]
            for name, vectors in spoilt.items():
                value = linear_probe(*given, vectors[test], truth[test])
                scores.setdefault(f"linear, {name}", []).append(value)
            held_out = clean[test], truth[test]
            scores.setdefault("5 nearest", []).append(nearest_neighbours(*given, *held_out))
            for shots in (1, 5, 10):
                value, _ = few_shot(*given, *held_out, shots, seed=seed)
                scores.setdefault(f"{shots} a class", []).append(value)
            _, own = standardised(clean[train], clean[test])
            scores.setdefault("retrieval mAP", []).append(retrieval_map(own, truth[test]))
    return {
        name: f"{100 * statistics.mean(values):.1f} ± {100 * statistics.stdev(values):.1f}"
        for name, values in scores.items()
    }


def draw(vectors: np.ndarray, clips: list[Clip], path: Path) -> None:
    """A t-SNE of the vectors, a colour a class."""
    from matplotlib.figure import Figure
    from sklearn.manifold import TSNE

    (scaled,) = standardised(vectors)
    places = TSNE(perplexity=min(30, len(vectors) // 4), random_state=0).fit_transform(scaled)
    figure = Figure(figsize=(6, 5), layout="constrained")
    axes = figure.subplots()
    for label in labels_of(clips):
        chosen = np.array([clip.label == label for clip in clips])
        axes.scatter(*places[chosen].T, s=14, label=label, alpha=0.8)
    axes.set(xticks=[], yticks=[], title="t-SNE of global vectors")
    axes.legend()
    with replacing(path) as beside:
        figure.savefig(beside, dpi=150, format="png")


def main() -> None:
    """Embeds, probes and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="folder of class folders")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--run", type=Path, nargs="*", default=[], help="runs trained elsewhere")
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4, 5])
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print_machine("sora_tf", "tensorflow", "scikit-learn", "pillow", "numpy")
    clips = read_index(options.clips)
    cache = ClipCache(options.out / "cache")
    rows = {}
    for name, model, config, fit in representations(options.run):
        path = options.out / f"{name.replace(' ', '_')}.npz"
        if not path.exists():
            made = {
                kind: vectors_of(model, config, clips, cache, fit, spoil)
                for kind, spoil in SPOILT.items()
            }
            with replacing(path) as beside, open(beside, "wb") as file:
                np.savez(file, **made)
        with np.load(path) as file:
            spoilt = dict(file)
        rows[name] = figures(spoilt, clips, options.seeds)
        if len(rows) == 1:
            draw(spoilt["clean"], clips, options.out / "tsne.png")
    columns = list(next(iter(rows.values())))
    lines = [f"| probe | {' | '.join(rows)} |", f"| --- |{' ---: |' * len(rows)}"]
    lines += [f"| {c} | {' | '.join(row[c] for row in rows.values())} |" for c in columns]
    (options.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
