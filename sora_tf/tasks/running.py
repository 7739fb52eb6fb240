"""A model that takes a film bit by bit: chunks of frames in, vectors out, what it remembers kept.

A causal model runs as its step model, and gives what one pass over the whole film would give. Any
other sees the film as a row of clips of the length it was made for, each by itself; the global
vector is the mean of theirs, weighted by their frames.
"""

from typing import Protocol

import numpy as np

from sora_tf._keras import keras
from sora_tf.data import pad
from sora_tf.models.extractor import POOLED
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR
from sora_tf.models.streaming import Stream, start, streaming
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

FEATURES = "features"
CHUNK = 32  # frames: enough for a CPU to be busy with
POOL = "pool"


class Running(Protocol):
    """What a film goes through."""

    chunk: int
    state: dict[str, np.ndarray]

    def restart(self) -> None:
        """Forgets the film before."""

    def feed(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        """The next frames (n, H, W, 3), n = `chunk` but at the film's end, as vectors.

        Returns:
            "features" (n, F) float16, of length 1: what each frame shows, before frames are
            compared; "frame_vectors" (n, D); "global_vector" (D,), of all frames so far.
        """


def running(model: keras.Model) -> Running:
    """The model, ready for films of any length.

    Args:
        model: from `build_sora`; weights are shared, not copied.
    """
    try:
        return _Causal(model)
    except ValueError:  # says which layer looks ahead
        return _Clips(model)


def _answering(model: keras.Model) -> VideoModel:
    """The model with features, frame vectors and global vector as its outputs."""
    outputs = {name: model.get_layer(name).output for name in (FRAME_VECTORS, GLOBAL_VECTOR)}
    names = {layer.name for layer in model.layers}
    # What is there, and not what moves: the mean of the maps, where the model has it.
    pooled = model.get_layer(POOL if POOL in names else POOLED).output
    folded = keras.layers.Activation("linear", name=FEATURES)(pooled)
    inputs = dict(zip(model.input_names, model.inputs, strict=True))
    return VideoModel(inputs, {**outputs, FEATURES: folded}, name="running")


def _unit(folded: np.ndarray, frames: int) -> np.ndarray:
    """(n, F) of length 1; a vector of zeros stays."""
    rows = folded.reshape(frames, -1)
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(
        np.float16
    )


class _Causal:
    chunk = CHUNK

    def __init__(self, model: keras.Model):
        self._step = streaming(_answering(model), chunk=None)
        self._stream = Stream(self._step)

    @property
    def state(self) -> dict[str, np.ndarray]:
        return {name: np.asarray(value) for name, value in self._stream.states.items()}

    @state.setter
    def state(self, value: dict[str, np.ndarray]) -> None:
        self._stream.states = value

    def restart(self) -> None:
        self._stream.states = start(self._step)

    def feed(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        found = self._stream.feed(frames[None])
        return {
            FEATURES: _unit(found[FEATURES], len(frames)),
            FRAME_VECTORS: found[FRAME_VECTORS][0],
            GLOBAL_VECTOR: found[GLOBAL_VECTOR][0],
        }


class _Clips:
    def __init__(self, model: keras.Model):
        self._model = _answering(model)
        self.chunk = (
            dict(zip(model.input_names, model.inputs, strict=True))[FRAMES].shape[1] or CHUNK
        )
        self.restart()

    def restart(self) -> None:
        self.state = {"total": np.zeros(1), "count": np.zeros(1)}

    def feed(self, frames: np.ndarray) -> dict[str, np.ndarray]:
        padded, mask = pad(frames, self.chunk)
        found = self._model.predict_on_batch({FRAMES: padded[None], MASK: mask[None]})
        total = self.state["total"] + len(frames) * found[GLOBAL_VECTOR][0].astype(np.float64)
        self.state = {"total": total, "count": self.state["count"] + len(frames)}
        return {
            FEATURES: _unit(found[FEATURES], self.chunk)[: len(frames)],
            FRAME_VECTORS: found[FRAME_VECTORS][0][: len(frames)],
            GLOBAL_VECTOR: (total / self.state["count"]).astype(np.float32),
        }
