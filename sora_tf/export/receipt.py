"""What an artefact differs from its model, weighs and takes: measured, written down, verifiable."""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._files import replacing, write_json
from sora_tf.export.clips import ClipSet
from sora_tf.export.errors import ExportError
from sora_tf.export.measure import Arrays, measure
from sora_tf.models.video_model import clips_at_once
from sora_tf.train.run import versions

RECEIPT, REFERENCE = "receipt.json", "reference.npz"
PACKAGES = ("onnx", "onnxruntime", "tf2onnx")


@dataclass(frozen=True)
class Bound:
    """How far an artefact may be from its model.

    Args:
        scores: largest difference of a score, and of a vector's value as a share of the largest
            value there is.
        accuracy: largest loss of accuracy, as a share; on few clips, one clip where that is more.
        agreement: least share of clips with the same first label.
        cosine: least cosine of a global vector with the model's.
    """

    scores: float | None = None
    accuracy: float | None = None
    agreement: float | None = None
    cosine: float | None = None


# Float32 sums in another order. Float16 weights have 11 bits. Int8 is judged by what it is for.
EXACT = Bound(scores=1e-4)
BOUNDS = {
    "saved_model": EXACT,
    "onnx": EXACT,
    "float32": EXACT,
    "float16": Bound(scores=1e-2),
    "dynamic": Bound(accuracy=0.01, agreement=0.9, cosine=0.95),
    "int8": Bound(accuracy=0.01, agreement=0.9, cosine=0.95),
    "int16x8": Bound(accuracy=0.01, agreement=0.9, cosine=0.95),
}


def keras_answers(model: Any, clips: ClipSet) -> Arrays:
    """What the model itself says: {"scores", "global_vector", "frame_vectors"}, (N, ...) each."""
    parts = []
    _, length, height, width, _ = clips.frames.shape
    batch = clips_at_once(length, (height, width))
    for at in range(0, len(clips), batch):
        given = {
            "frames": clips.frames[at : at + batch].astype(np.float32),
            "mask": clips.mask[at : at + batch],
        }
        parts.append({name: value.numpy() for name, value in model(given).items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare(answers: Arrays, truth: Arrays, mask: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Holds an artefact's answers against its model's.

    Args:
        answers: as `measure` gives them.
        truth: as `keras_answers` gives them.
        mask: (N, T) bool, frames that are real.
        labels: (N,) int, the right labels.

    Returns:
        {"difference": {answer: {"max", "mean"}}, "agreement", "cosine", "accuracy",
        "accuracy_change"}; vectors differ as a share of the largest value of the model's.
    """
    difference: dict[str, dict[str, float]] = {}
    for name, value in answers.items():
        kind = name.removeprefix("clip_").removeprefix("step_").replace("recent_", "")
        wanted = truth[kind][: len(value)]
        gap = np.abs(value - wanted)
        if kind == "frame_vectors":
            gap = gap[mask[: len(value)]]
        scale = 1.0 if kind == "scores" else float(np.abs(truth[kind]).max()) or 1.0
        difference[name] = {"max": float(gap.max()) / scale, "mean": float(gap.mean()) / scale}
    part = "clip" if "clip_scores" in answers else "step"
    scores = answers[f"{part}_scores"]
    wanted, right = truth["scores"][: len(scores)], labels[: len(scores)]
    named, known = scores.argmax(axis=1), wanted.argmax(axis=1)
    found: dict[str, Any] = {
        "clips": len(scores),
        "difference": difference,
        "agreement": float((named == known).mean()),
        "accuracy": float((named == right).mean()),
        "accuracy_change": float((named == right).mean() - (known == right).mean()),
    }
    if f"{part}_global_vector" in answers:
        one, two = answers[f"{part}_global_vector"], truth["global_vector"][: len(scores)]
        lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        found["cosine"] = float((np.sum(one * two, axis=1) / np.maximum(lengths, 1e-12)).min())
    return found


def check(name: str, found: dict[str, Any], bound: Bound) -> None:
    """Refuses an artefact that is further from its model than its bound.

    Raises:
        ExportError: what was measured, what was allowed.
    """
    for answer, gap in found["difference"].items():
        if not all(np.isfinite(list(gap.values()))):
            raise ExportError(f"{name} gives {answer} that are no numbers. Do not use it.")
        if bound.scores is not None and gap["max"] > bound.scores:
            raise ExportError(
                f"{name} differs from its model by {gap['max']:.2g} in {answer}, more than the "
                f"{bound.scores:g} allowed. Take another format."
            )
    few = 1.0 / found["clips"]
    if bound.accuracy is not None and -found["accuracy_change"] > max(bound.accuracy, few) + 1e-9:
        raise ExportError(
            f"{name} loses {-found['accuracy_change']:.1%} of accuracy on {found['clips']} clips, "
            f"more than the {max(bound.accuracy, few):.1%} allowed. Try `sora-tf compress --qat`."
        )
    for measured in ("agreement", "cosine"):
        least = getattr(bound, measured)
        if least is not None and found.get(measured, 1.0) < least:
            raise ExportError(
                f"{name} has a {measured} of {found[measured]:.3f} with its model, less than the "
                f"{least:g} allowed. Try `sora-tf compress --qat`."
            )


def judge(
    path: Path, name: str, clips: ClipSet, truth: Arrays, bound: Bound, scratch: Path
) -> dict[str, Any]:
    """Measures an artefact and checks it.

    Args:
        path: the artefact.
        name: what to call it.
        clips: what to run it on.
        truth: `keras_answers` on them.
        bound: what is allowed.
        scratch: a folder for what is needed in between.

    Raises:
        ExportError: it does not run, or is too far from its model.
    """
    answers, figures = measured(path, clips, scratch)
    found = compare(answers, truth, clips.mask, clips.truth)
    check(name, found, bound)
    stated = {key: value for key, value in vars(bound).items() if value is not None}
    return {**found, "bound": stated, **figures}


def measured(path: Path, clips: ClipSet, scratch: Path) -> tuple[Arrays, dict[str, Any]]:
    """The answers of an artefact, as `measure` gives them, and what it takes.

    Args:
        path, clips, scratch: as in `judge`.

    Returns:
        answers, {"latency_ms": {"1 thread", "2 threads": {"clip", "step"}}, "peak_memory_bytes"}.

    Raises:
        ExportError: it does not run.
    """
    given, few = scratch / "clips.npz", scratch / "few.npz"
    if not given.exists():
        clips.save(given)
        clips.first(2).save(few)
    answers, figures = measure(path, given)
    _, two = measure(path, few, threads=2)
    return answers, {
        "latency_ms": {
            "1 thread": {"clip": figures["clip_ms"], "step": figures["step_ms"]},
            "2 threads": {"clip": two["clip_ms"], "step": two["step_ms"]},
        },
        "peak_memory_bytes": figures["memory_bytes"],
    }


def digest(path: Path) -> str:
    """SHA-256 of a file, or of all files of a folder with their names."""
    total = hashlib.sha256()
    for file in _files(path):
        total.update(str(file.relative_to(path)).encode())
        total.update(file.read_bytes())
    return total.hexdigest()


def size_bytes(path: Path) -> int:
    """What a file or folder takes, in bytes."""
    return sum(file.stat().st_size for file in _files(path))


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())


def read_receipt(folder: Path) -> dict[str, Any]:
    """The receipt in a folder; an empty one where there is none.

    Raises:
        ExportError: it does not read.
    """
    try:
        receipt: dict[str, Any] = json.loads((folder / RECEIPT).read_text(encoding="utf-8"))
        return receipt
    except FileNotFoundError:
        return {"artefacts": {}}
    except ValueError as error:
        raise ExportError(f"{folder / RECEIPT} does not read: {error}. Export again.") from None


def begun_receipt(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """The receipt that an export into a folder goes on with, and where it is made.

    Args:
        folder: of the export.
        kind: what is exported, as receipts say it; None is a classifier.
    Raises:
        ExportError: it does not read, or is of another kind.
    """
    receipt = read_receipt(folder)
    if receipt["artefacts"] and receipt.get("kind") != kind:
        raise ExportError(
            f"{folder} holds the export of a {receipt.get('kind') or 'classifier'}. Give another "
            "--out."
        )
    return receipt | surroundings() | ({} if kind is None else {"kind": kind})


def check_file(path: Path, entry: dict[str, Any]) -> None:
    """Whether a file is the one that a receipt speaks of.

    Raises:
        ExportError: it is gone, or another.
    """
    if not path.exists():
        raise ExportError(f"{path} is not there any more. Export it again.")
    if digest(path) != entry["sha256"]:
        raise ExportError(
            f"{path} is not the file of the receipt (another SHA-256). Export it again."
        )


def write_receipt(folder: Path, receipt: dict[str, Any], shown: str) -> None:
    """Writes receipt.json, and receipt.md with the table that shows its artefacts."""
    write_json(folder / RECEIPT, receipt)
    with replacing(folder / "receipt.md") as beside:
        beside.write_text(f"{shown}\n", encoding="utf-8")


def surroundings() -> dict[str, Any]:
    """The machine and the versions that measured."""
    return {
        "machine": f"{_processor()}, {os.cpu_count()} threads, {platform.system()}",
        "versions": versions(PACKAGES),
    }


def table(artefacts: dict[str, dict[str, Any]]) -> str:
    """Artefacts as a Markdown table."""
    head = (
        "artefact", "MB", "max. difference of scores", "of vectors", "same label", "accuracy",
        "change", "ms a clip (1, 2 threads)", "ms a frame", "peak MB",
    )  # fmt: skip
    rows: list[Sequence[str]] = [head, ["---"] + ["---:"] * (len(head) - 1)]
    for name, entry in artefacts.items():
        gaps = entry["difference"]
        rows.append(
            (
                name,
                f"{entry['bytes'] / 1e6:.2f}",
                _largest(gaps, "scores"),
                _largest(gaps, "vector"),
                f"{entry['agreement']:.1%}",
                f"{entry['accuracy']:.1%}",
                f"{100 * entry['accuracy_change']:+.1f}",
                milliseconds(entry, "clip"),
                milliseconds(entry, "step"),
                f"{entry['peak_memory_bytes'] / 1e6:.0f}",
            )
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _largest(gaps: dict[str, dict[str, float]], word: str) -> str:
    return f"{max(gap['max'] for name, gap in gaps.items() if word in name):.1e}"


def milliseconds(entry: dict[str, Any], part: str) -> str:
    """What a "clip" or a "step" of an artefact takes, for a table."""
    found = [value[part] for value in entry["latency_ms"].values()]
    return ", ".join("–" if value is None else f"{value:.2f}" for value in found)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
