"""A clip as nodes of three sets: what is seen, heard and said in it, and when."""

import hashlib
import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf._files import replacing
from sora_tf._keras import keras
from sora_tf.data import is_url, pad
from sora_tf.data.beside import subtitles_beside
from sora_tf.data.clip import decode
from sora_tf.data.fused import FusedClip
from sora_tf.data.sentences import clip_sentences
from sora_tf.data.sound import MelConfig, load_sound
from sora_tf.data.sound_dataset import SOUND_MASK
from sora_tf.models.fusion import FRAME, SENTENCE, SOUND
from sora_tf.models.minilm import UNITS, SentenceEncoder
from sora_tf.models.sora import FRAME_VECTORS, embedder
from sora_tf.models.video_model import FRAMES, MASK

WINDOWS, SENTENCES = 16, 16  # of a clip


class NodeReader:
    """Reads clips as nodes.

    Args:
        frames: model from `build_sora`, whose frame vectors are taken; None reads no pictures.
        fit: how a picture fills its size.
        mel: how sound becomes windows; None reads no sound.
        encoder: of sentences; None reads no words.
        key: what names the weights of `frames`.
        folder: where nodes are kept, a file a clip; None keeps none.
        hearing: model from such windows to their vectors, which are then the nodes, such as
            `build_yamnet()`; None takes the windows as they are.
    """

    def __init__(
        self,
        frames: keras.Model | None,
        fit: str,
        mel: MelConfig | None,
        encoder: SentenceEncoder | None,
        key: str = "",
        folder: Path | None = None,
        hearing: keras.Model | None = None,
    ):
        self.frames = frames and embedder(frames)
        self.fit, self.mel, self.encoder, self.folder = fit, mel, encoder, folder
        self.key, self.hearing = key, hearing
        self._names: dict[FusedClip, str] = {}  # what lies beside a film is looked up once

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of the nodes of each set that is read, for `build_fusion`."""
        found: dict[str, tuple[int, ...]] = {}
        if self.frames is not None:
            vectors = self.frames.output[FRAME_VECTORS]
            found[FRAME] = (vectors.shape[1], vectors.shape[2])
        if self.mel is not None:
            found[SOUND] = (WINDOWS, self.mel.frames, self.mel.mels)
            if self.hearing is not None:
                found[SOUND] = self.hearing.output_shape[1:]
        if self.encoder is not None:
            found[SENTENCE] = (SENTENCES, UNITS)
        return found

    def read(self, item: FusedClip) -> dict[str, np.ndarray]:
        """The nodes of a clip, out of the folder where they are there.

        Returns:
            {NAME: (n, ...) float16, NAME_mask: (n,) bool, NAME_times: (n, 2) float32 in s} of
            every set that is read; a film without sound or words has nodes that are not real.

        Raises:
            VideoError: the film, or a file that is named beside it, cannot be read.
        """
        path = None if self.folder is None else self._path(item, self.folder)
        if path is not None and path.is_file():
            with np.load(path, allow_pickle=False) as kept:
                return dict(kept)
        found: dict[str, np.ndarray] = {}
        if self.frames is not None:
            _add(found, FRAME, *self._seen(item, self.frames))
        if self.mel is not None:
            _add(found, SOUND, *self._heard(item))
        if self.encoder is not None:
            _add(found, SENTENCE, *self._said(item, self.encoder))
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as beside, open(beside, "wb") as file:
                np.savez(file, **found)
        return found

    def _seen(self, item, frames):
        clip = item.clip
        count, *size = frames.input_shape[FRAMES][1:4]
        video = decode(clip.path, count, tuple(size), clip.start, clip.end, self.fit)
        pictures, mask = pad(video.frames, count)
        moments, _ = pad(video.times, count)
        given = frames.predict_on_batch({FRAMES: pictures[None], MASK: mask[None]})
        return given[FRAME_VECTORS][0], mask, np.stack([moments, moments], axis=1)

    def _heard(self, item):
        clip = item.clip
        heard = load_sound(item.sound or clip.path, self.mel, clip.start, clip.end, count=WINDOWS)
        nodes = heard.mels
        if self.hearing is not None:
            windows = {SOUND: heard.mels[None], SOUND_MASK: heard.mask[None]}
            nodes = self.hearing.predict_on_batch(windows)[0]
        return nodes, heard.mask, heard.times

    def _said(self, item, encoder):
        clip = item.clip
        texts, times = clip_sentences(
            clip.path,
            clip.start,
            clip.end,
            subtitles=item.subtitles,
            caption=item.caption,
            most=SENTENCES,
        )
        vectors = np.zeros((SENTENCES, UNITS), np.float32)
        spans = np.zeros((SENTENCES, 2), np.float32)
        if texts:
            vectors[: len(texts)] = encoder.encode(texts)
            spans[: len(texts)] = times
        return vectors, np.arange(SENTENCES) < len(texts), spans

    def _path(self, item, folder):
        if item not in self._names:
            self._names[item] = self._name(item)
        return folder / f"{self._names[item]}.npz"

    def _name(self, item):
        """Names nodes by all that decides them."""
        clip = item.clip
        caption = Path(clip.path).with_suffix(".txt")
        files = [clip.path, item.sound, str(caption)]
        if self.encoder is not None:
            files.append(item.subtitles or subtitles_beside(clip.path))
        facts: list[Any] = [
            self.key,
            self.fit,
            self.mel and asdict(self.mel),
            self.encoder is not None,
        ]
        facts += [clip.start, clip.end, item.caption, {n: list(s) for n, s in self.shapes.items()}]
        facts += [[file, _version(file)] for file in files if file]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:40]


def stacked(nodes: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Nodes of several clips as a batch."""
    return {name: np.stack([one[name] for one in nodes]) for name in nodes[0]}


def _add(found, name, vectors, mask, times):
    found[name] = np.asarray(vectors, np.float16)
    found[f"{name}_mask"] = np.asarray(mask, bool)
    found[f"{name}_times"] = np.asarray(times, np.float32)


def _version(path):
    """Size and date of a file on this machine; None where there is none."""
    if is_url(path):
        return None
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]
