"""What a model takes as a TFLite file: its size and its time for a frame, measured."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.export.clips import ClipSet
from sora_tf.export.errors import ExportError
from sora_tf.export.measure import measure
from sora_tf.export.receipt import size_bytes
from sora_tf.export.signature import Deployable
from sora_tf.export.tflite import FLAVOURS, write_tflite
from sora_tf.train.tune.budget import Cost

CLIPS, STREAMED = 4, 2  # of noise: what the pictures show does not change the time


@dataclass(frozen=True)
class TFLiteCost:
    """Measures models as TFLite files, on one thread, in a process of its own.

    The time is the median of the file's "step", or, where a model looks ahead and has none, that
    of "clip" divided by its frames.

    Args:
        flavour: a key of `FLAVOURS`.

    Raises:
        ValueError: there is no such flavour; from the measuring, a model does not convert or run.
    """

    flavour: str = "float32"

    def __post_init__(self) -> None:
        """Checks the flavour."""
        _checks.one_of("TFLiteCost", "flavour", self.flavour, FLAVOURS)

    @property
    def name(self) -> str:
        """What is measured."""
        return f"TFLite {self.flavour}, 1 thread"

    def __call__(self, model: keras.Model, config: SoraConfig) -> Cost:
        """The cost of a model, trained or not, that was built from `config`."""
        labels = tuple(map(str, range(model.output.shape[-1])))
        what = Deployable(model, config, labels, "stretch", 1.0)
        clips = _noise(config)
        with tempfile.TemporaryDirectory() as folder:
            path, given = Path(folder) / "model.tflite", Path(folder) / "clips.npz"
            pairs = list(zip(clips.frames, clips.mask, strict=True))
            clips.save(given)
            try:
                write_tflite(what, self.flavour, path, pairs)
                _, figures = measure(path, given)
            except ExportError as error:
                raise ValueError(str(error)) from error
            step = figures["step_ms"]
            ms = figures["clip_ms"] / config.frames if step is None else step
            return Cost(round(ms, 3), size_bytes(path) / 1e6)


def _noise(config: SoraConfig) -> ClipSet:
    shape = (CLIPS, config.frames, *config.size, 3)
    frames = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    return ClipSet(frames, np.ones(shape[:2], bool), np.zeros(CLIPS, np.int64), STREAMED)
