"""TFLite models: clip, embed and step in one file, in five flavours of number."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.export import flatbuffer
from sora_tf.export.signature import Deployable, clip_function, step_function, step_spec
from sora_tf.models.video_model import FRAMES, MASK

CLIP, EMBED, STEP = "clip", "embed", "step"
Clips = Sequence[tuple[np.ndarray, np.ndarray]]
Samples = Callable[[], Iterator[dict[str, np.ndarray]]]


def write_tflite(what: Deployable, flavour: str, path: Path, clips: Clips = ()) -> None:
    """Writes a TFLite file.

    The signatures are "clip" (frames (1, T, H, W, 3) uint8 and mask (1, T) bool to scores,
    global_vector and frame_vectors), "embed" (the same without scores) and, for causal models,
    "step" (a frame and states to the answers so far, the recent ones and the new states; float32
    states in every flavour). The file is a ZIP archive as well, with labels.txt and sora_tf.json.

    Args:
        what: the model.
        flavour: a key of `FLAVOURS`.
        path: where to.
        clips: frames (T, H, W, 3) uint8 and mask (T,) of real clips, to find the ranges of
            numbers from; for "int8" and "int16x8".
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        names = _write_graph(what, folder)
        parts = []
        for name in names:  # one by one: the int16 converter spoils what two graphs share
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
            FLAVOURS[flavour](converter, partial(SAMPLES[name], what, clips))
            parts.append(flatbuffer.read(converter.convert()))
    model = flatbuffer.merged(parts)
    flatbuffer.add_signature(model, EMBED, CLIP, without={"scores"})
    flatbuffer.mend_zero_scales(model)
    flatbuffer.slim(model)
    signatures = flatbuffer.signatures(model)
    files = {
        "labels.txt": "".join(f"{label}\n" for label in what.labels),
        "sora_tf.json": what.facts_json(signatures=signatures, flavour=flavour),
    }
    path.write_bytes(flatbuffer.write(model) + flatbuffer.appended(files))


def _write_graph(what: Deployable, folder: str) -> list[str]:
    """A SavedModel of batch 1 for the converter; returns its signatures."""
    archive = keras.export.ExportArchive()
    archive.track(what.model)
    size, length = what.config.size, what.config.frames
    spec = [
        tf.TensorSpec((1, length, *size, 3), tf.uint8, FRAMES),
        tf.TensorSpec((1, length), tf.bool, MASK),
    ]
    archive.add_endpoint(CLIP, clip_function(what), input_signature=spec)
    if what.step is None:
        names = [CLIP]
    else:
        # The first graph is what runtimes prepare when they load a file.
        names = [STEP, CLIP]
        archive.add_endpoint(STEP, step_function(what), input_signature=[step_spec(what, 1)])
    archive.write_out(folder)
    return names


def _clip_samples(what: Deployable, clips: Clips) -> Iterator[dict[str, np.ndarray]]:
    """Real inputs of "clip"."""
    for frames, mask in clips:
        yield {FRAMES: frames[None], MASK: mask[None]}


def _step_samples(what: Deployable, clips: Clips) -> Iterator[dict[str, np.ndarray]]:
    """Real inputs of "step", with the states that the same clips leave.

    Both graphs see the same frames and so find the same ranges: then their int8 weights and
    biases are the same bytes, which the file holds once.
    """
    run = tf.function(step_function(what))
    for frames, mask in clips:
        states = {n: np.zeros((1, *s.shape[1:]), np.float32) for n, s in what.states.items()}
        for frame in frames[mask]:
            given = {FRAMES: frame[None, None], **states}
            yield given
            found = run({name: tf.constant(value) for name, value in given.items()})
            states = {name: found[name].numpy() for name in states}


SAMPLES = {CLIP: _clip_samples, STEP: _step_samples}


def _float32(converter: Any, samples: Samples) -> None:
    pass


def _float16(converter: Any, samples: Samples) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any, samples: Samples) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _int8(converter: Any, samples: Samples) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    # Builtins in floating point are allowed for the little that has no int8 kernel, as masks.
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.TFLITE_BUILTINS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]


def _int16x8(converter: Any, samples: Samples) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = samples
    converter.target_spec.supported_ops = [
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8,
        tf.lite.OpsSet.TFLITE_BUILTINS,
    ]


# Weights and activations: float32; float16 weights; int8 weights; int8 both, per channel;
# int8 weights and int16 activations.
FLAVOURS: dict[str, Callable[[Any, Samples], None]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic": _dynamic,
    "int8": _int8,
    "int16x8": _int16x8,
}
CALIBRATED = ("int8", "int16x8")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps a page about every variable, and the converter's own notes, off the terminal."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(io.StringIO()):
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
