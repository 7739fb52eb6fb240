"""What a client gets from a server, as plain values and arrays."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Facts:
    """What a model says of itself.

    Args:
        labels: class names, in the order of the scores.
        frames: frames T of a clip; 1 for a detector.
        size: height and width of a frame as the network sees it, pixels.
        fit: how a picture fills that size: "stretch", "cover" or "contain".
        frame_rate: that it was trained on, frames a second.
    """

    labels: tuple[str, ...]
    frames: int
    size: tuple[int, int]
    fit: str
    frame_rate: float


@dataclass(frozen=True)
class DetectorFacts(Facts):
    """What a detector says of itself.

    Args:
        threshold: the score from which on its boxes count.
        past: frames before a frame that have a say in the boxes on it.
        remember: share of what was known of a thing that stays from frame to frame, for
            `tasks.thing_memory.ThingMemory`.
    """

    threshold: float
    past: int
    remember: float


@dataclass(frozen=True)
class Detection:
    """A thing on a frame: where it is in pixels of the frame as it was sent, and how surely."""

    label: str
    score: float
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, eq=False)
class Classification:
    """What a clip was taken for.

    Args:
        label: the class with the highest score.
        scores: {class: score}, in the model's order.
    """

    label: str
    scores: dict[str, float]


@dataclass(frozen=True, eq=False)
class Prediction(Classification):
    """What a clip was taken for, and its global vector (D,)."""

    global_vector: np.ndarray


@dataclass(frozen=True, eq=False)
class Embedding:
    """The vectors of a clip: one for each of its n frames (n, D), and the global one (D,)."""

    frame_vectors: np.ndarray
    global_vector: np.ndarray


@dataclass(frozen=True, eq=False)
class StreamAnswer:
    """What is known of a stream after a frame.

    Args:
        label: the class with the highest of the recent scores.
        recent_scores: {class: score} of the last T frames, which is what an app shows.
        scores: {class: score} of all frames so far.
        recent_vector: (D,) of the last T frames.
        global_vector: (D,) of all frames so far.
        frame_vector: (D,) of this frame.
    """

    label: str
    recent_scores: dict[str, float]
    scores: dict[str, float]
    recent_vector: np.ndarray
    global_vector: np.ndarray
    frame_vector: np.ndarray


Outputs = Mapping[str, np.ndarray]


def facts(outputs: Outputs) -> Facts:
    """From {"facts" (1,)}, JSON."""
    told = json.loads(outputs["facts"][0])
    height, width = told["size"]
    common = (tuple(told["labels"]), told["frames"], (height, width), told["fit"])
    if "threshold" in told:
        own = (told["threshold"], told["past"], told["remember"])
        return DetectorFacts(*common, told["frame_rate"], *own)
    return Facts(*common, told["frame_rate"])


def detections(outputs: Outputs, threshold: float) -> list[list[Detection]]:
    """From {"boxes" (1, n, K, 4), "box_scores" (1, n, K), "labels" (1, n, K)}, frame by frame."""
    names = ("labels", "box_scores", "boxes")
    return [
        [
            Detection(label, float(score), *box.tolist())
            for label, score, box in zip(*frame, strict=True)
            if score >= threshold and (box[2:] > 0).all()  # what lies outside has no size
        ]
        for frame in zip(*(outputs[name][0] for name in names), strict=True)
    ]


def classification(row: Sequence[tuple[str, float]]) -> Classification:
    """From the (class, score) pairs of a clip."""
    scores = named([label for label, _ in row], [score for _, score in row])
    return Classification(best(scores), scores)


def predictions(outputs: Outputs) -> list[Prediction]:
    """From {"labels" (B, C), "scores" (B, C), "global_vector" (B, D)}."""
    rows = zip(outputs["labels"], outputs["scores"], outputs["global_vector"], strict=True)
    found = [(named(labels, scores), vector) for labels, scores, vector in rows]
    return [Prediction(best(scores), scores, vector) for scores, vector in found]


def embeddings(outputs: Outputs) -> list[Embedding]:
    """From {"frame_vectors" (B, n, D), "global_vector" (B, D)}."""
    rows = zip(outputs["frame_vectors"], outputs["global_vector"], strict=True)
    return [Embedding(frames, clip) for frames, clip in rows]


def stream_answer(labels: Sequence[str], outputs: Outputs) -> StreamAnswer:
    """From the outputs of `step` for one stream."""
    recent = named(labels, outputs["recent_scores"][0])
    return StreamAnswer(
        label=best(recent),
        recent_scores=recent,
        scores=named(labels, outputs["scores"][0]),
        recent_vector=outputs["recent_vector"][0],
        global_vector=outputs["global_vector"][0],
        frame_vector=outputs["frame_vectors"][0, 0],
    )


def named(labels: Sequence[str], scores: Sequence[float] | np.ndarray) -> dict[str, float]:
    """{class: score}."""
    return {label: float(score) for label, score in zip(labels, scores, strict=True)}


def best(scores: Mapping[str, float]) -> str:
    """The class with the highest score; the first of equals."""
    return max(scores, key=lambda label: scores[label])
