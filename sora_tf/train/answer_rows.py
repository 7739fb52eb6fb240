"""Rows of questions about clips as what a head is trained on."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf._progress import progress
from sora_tf.config import lite
from sora_tf.data import Clip, Problems, load_clip
from sora_tf.data.beside import cues_of
from sora_tf.data.cache import clip_key
from sora_tf.models.answerer import QUESTION, AnswererConfig
from sora_tf.models.sora import build_sora
from sora_tf.models.video_model import MASK, VideoModel
from sora_tf.tasks.answer import shown
from sora_tf.tasks.places import Seen, place_maps, seen_stretch
from sora_tf.tasks.quote import Encode
from sora_tf.train.answer_table import Asked
from sora_tf.video import VideoError
from sora_tf.video.subtitles import Cue

DROPPED = 0.3  # of the frames of a training clip, others in every epoch

Place = tuple[str, float | None, float | None]


def answering_eyes(config: AnswererConfig) -> VideoModel:
    """What looks at films for a head: EfficientNet-Lite0 with ImageNet's weights, as it comes.

    Raises:
        ImportError: the package with the weights is not installed.
    """
    whole = replace(lite(), frames=config.frames, size=config.size)
    return place_maps(build_sora(whole, weights="imagenet"), whole)


def place_of(clip: Clip) -> Place:
    """The stretch of film that a clip is."""
    return clip.path, clip.start, clip.end


@dataclass(frozen=True)
class Shown:
    """A clip as a head is shown it, and where that is in the film."""

    inputs: dict[str, np.ndarray]
    seen: Seen
    said: list[Cue]


def look_at(
    clips: Sequence[Clip],
    config: AnswererConfig,
    encode: Encode,
    cache: str | os.PathLike[str],
    problems: Problems,
) -> dict[Place, Shown]:
    """What a head is shown of clips; what is seen is kept, and made where it is missing.

    Args:
        clips: any number of them, also of the same stretch.
        config: of the head.
        encode: as in `train_answers`.
        cache: folder for what is seen.
        problems: collects the clips that do not read.
    """
    eyes: list[VideoModel] = []

    def look(clip: Clip) -> Seen:
        if not eyes:
            eyes.append(answering_eyes(config))
        frames, mask, times = load_clip(clip.path, config.frames, config.size, clip.start, clip.end)
        return seen_stretch(eyes[0], frames, mask, times, clip.end)

    places = {place_of(clip): clip for clip in clips}
    found: dict[Place, Shown] = {}
    words: dict[str, list[Cue]] = {}
    for place, clip in progress(places.items(), "clips", len(places)):
        try:
            seen = _kept(clip, config, Path(cache), look)
            if clip.path not in words:
                words[clip.path] = cues_of(clip.path)
        except VideoError as error:
            problems.skip(clip.name, str(error))
            continue
        inputs, said = shown(seen, words[clip.path], encode, config)
        found[place] = Shown(inputs, seen, said)
    return found


def _kept(clip: Clip, config: AnswererConfig, cache: Path, look: Callable[[Clip], Seen]) -> Seen:
    """What is seen in a clip, out of the cache where it is there."""
    try:
        key = clip_key(clip.path, config.frames, config.size, clip.start, clip.end)
    except OSError:
        return look(clip)  # says in one sentence what is wrong with the file
    file = cache / "seen" / f"{hashlib.sha256(f'{key} {config.places}'.encode()).hexdigest()}.npz"
    try:
        with np.load(file, allow_pickle=False) as kept:
            values = {name: kept[name] for name in kept.files}
        return Seen(float(values.pop("start")), float(values.pop("end")), **values)
    except (OSError, ValueError, TypeError, KeyError):
        pass  # not there, or cut short
    seen = look(clip)
    with replacing(file) as beside, open(beside, "wb") as out:
        np.savez(
            out,
            start=seen.start,
            end=seen.end,
            times=seen.times,
            mask=seen.mask,
            places=seen.places.astype(np.float16),
            whole=seen.whole.astype(np.float16),
        )
    return seen


class Rows:
    """Rows of questions as arrays.

    Args:
        asked: the rows.
        clips: what is shown of each of their clips.
        encode: as in `train_answers`.
        answers: the answers A.
        blind: whether nothing but the question is shown.
    """

    def __init__(
        self,
        asked: Sequence[Asked],
        clips: Mapping[Place, Shown],
        encode: Encode,
        answers: Sequence[str],
        blind: bool = False,
    ):
        texts = sorted({one.question for one in asked})
        vectors = dict(zip(texts, encode(texts), strict=True))
        self.asked, self.clips, self.answers, self.blind = list(asked), clips, answers, blind
        self.questions = np.stack([vectors[one.question] for one in asked]).astype(np.float32)

    def rows(self, part: str) -> np.ndarray:
        """The numbers of the rows of a split."""
        return np.flatnonzero([one.clip.split == part for one in self.asked])

    def shown(self, row: int) -> Shown:
        """What is shown with a row's question."""
        return self.clips[place_of(self.asked[row].clip)]

    def inputs(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """What the head is given, rows in a batch."""
        shown = [self.shown(row).inputs for row in rows]
        batch = {name: np.stack([one[name] for one in shown]) for name in shown[0]}
        if self.blind:
            batch = {
                name: values if name == MASK else np.zeros_like(values)
                for name, values in batch.items()
            }
        return {**batch, QUESTION: self.questions[rows]}

    def truth(self, rows: np.ndarray) -> np.ndarray:
        """One-hot answers (N, A)."""
        places = [self.answers.index(self.asked[row].clip.label) for row in rows]
        return np.eye(len(self.answers), dtype=np.float32)[places]

    def weights(self, rows: np.ndarray) -> np.ndarray:
        """What makes every answer to a question count the same: N_q / (A_q·N_qa), (N,)."""
        pairs = Counter((self.asked[row].question, self.asked[row].clip.label) for row in rows)
        whole, kinds = Counter[str](), Counter[str]()
        for (question, _), count in pairs.items():
            whole[question] += count
            kinds[question] += 1
        return np.asarray(
            [
                whole[one.question] / (kinds[one.question] * pairs[one.question, one.clip.label])
                for one in (self.asked[row] for row in rows)
            ],
            np.float32,
        )


class Batches(keras.utils.Sequence):
    """Training rows in an order of their own in every epoch, without some of their frames.

    Args:
        table: the rows.
        batch_size: of a step.
        seed: decides the orders and the frames.
        training: False takes the rows of "val" as they are.
    """

    def __init__(self, table: Rows, batch_size: int, seed: int, training: bool):
        self.table, self.batch_size, self.training = table, batch_size, training
        self.order = table.rows("train" if training else "val")
        self.weights = dict(zip(self.order, table.weights(self.order), strict=True))
        self.rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self) -> int:
        """Steps of an epoch."""
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        """A batch: inputs, answers, weights."""
        rows = self.order[step * self.batch_size : (step + 1) * self.batch_size]
        inputs = self.table.inputs(rows)
        if self.training:
            kept = inputs[MASK] & (self.rng.random(inputs[MASK].shape) >= DROPPED)
            inputs[MASK] = np.where(kept.any(axis=1, keepdims=True), kept, inputs[MASK])
        return inputs, self.table.truth(rows), np.asarray([self.weights[row] for row in rows])

    def on_epoch_end(self) -> None:
        """Deals the rows anew."""
        if self.training:
            self.order = self.rng.permutation(self.order)
