"""TFLite models: clip, embed and step in one file, in five flavours of number."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.export import flatbuffer
from sora_tf.export.signature import (
    Deployable,
    Endpoint,
    Steps,
    clip_function,
    clip_spec,
    step_function,
    step_spec,
    write_endpoints,
)
from sora_tf.models.streaming import start
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
    found = _endpoints(what)
    samples = {name: partial(SAMPLES[name], what, clips) for name in found}
    model = converted(what.networks, found, flavour, samples)
    flatbuffer.add_signature(model, EMBED, CLIP, without={"scores"})
    write_file(model, what, flavour, path)


def write_file(model: Any, what: Steps, flavour: str, path: Path) -> None:
    """Writes a model of `converted` as a TFLite file that says how to feed it."""
    flatbuffer.mend_zero_scales(model)
    flatbuffer.slim(model)
    signatures = flatbuffer.signatures(model)
    files = {
        "labels.txt": what.labels_text,
        "sora_tf.json": what.facts_json(signatures=signatures, flavour=flavour),
    }
    path.write_bytes(flatbuffer.write(model) + flatbuffer.appended(files))


def converted(
    networks: Sequence[keras.Model],
    found: Mapping[str, Endpoint],
    flavour: str,
    samples: Mapping[str, Samples],
) -> Any:
    """Graphs of some networks as one TFLite model, for `flatbuffer`; the first is what loads first.

    Args:
        networks: what holds the weights.
        found: the graphs by the names of their signatures.
        flavour: a key of `FLAVOURS`.
        samples: real inputs of each.
    """
    with tempfile.TemporaryDirectory() as folder, quiet():
        write_endpoints(networks, found, folder)
        parts = []
        for name in found:  # one by one: the int16 converter spoils what two graphs share
            converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[name])
            FLAVOURS[flavour](converter, samples[name])
            parts.append(flatbuffer.read(converter.convert()))
    return flatbuffer.merged(parts)


def _endpoints(what: Deployable) -> dict[str, Endpoint]:
    """The graphs of the file, of batch 1; the first is what runtimes prepare when they load it."""
    found = {CLIP: Endpoint(clip_function(what), clip_spec(what, 1))}
    if what.step is None:
        return found
    return {STEP: Endpoint(step_function(what), [step_spec(what, 1)]), **found}


def _clip_samples(what: Deployable, clips: Clips) -> Iterator[dict[str, np.ndarray]]:
    """Real inputs of "clip"."""
    for frames, mask in clips:
        yield {FRAMES: frames[None], MASK: mask[None]}


def _step_samples(what: Deployable, clips: Clips) -> Iterator[dict[str, np.ndarray]]:
    """Real inputs of "step", with the states that the same clips leave.

    Both graphs see the same frames and so find the same ranges: then their int8 weights and
    biases are the same bytes, which the file holds once.
    """
    yield from step_samples(step_function(what), what.step, clips)


def step_samples(
    function: Callable[[dict[str, tf.Tensor]], dict[str, tf.Tensor]],
    step: keras.Model,
    clips: Clips,
) -> Iterator[dict[str, np.ndarray]]:
    """Frames of clips one by one, with the states that those before them leave.

    Args:
        function: a step, of {frames (1, 1, H, W, 3) uint8, states}.
        step: the model in it, from `streaming`.
        clips: as in `write_tflite`.
    """
    run = tf.function(function)
    for frames, mask in clips:
        states = start(step)
        for frame in frames[mask]:
            given = {FRAMES: tf.constant(frame[None, None]), **states}
            yield {name: value.numpy() for name, value in given.items()}
            found = run(given)
            states = {name: found[name] for name in states}


SAMPLES = {CLIP: _clip_samples, STEP: _step_samples}


def _float32(converter: Any, samples: Samples) -> None:
    pass


def _float16(converter: Any, samples: Samples) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def _dynamic(converter: Any, samples: Samples) -> None:
    converter.optimizations = [tf.lite.Optimize.DEFAULT]


def _calibrated(kernels: tf.lite.OpsSet) -> Callable[[Any, Samples], None]:
    def flavour(converter: Any, samples: Samples) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = samples
        # Builtins in floating point are allowed for the little that has no such kernel, as masks.
        converter.target_spec.supported_ops = [kernels, tf.lite.OpsSet.TFLITE_BUILTINS]

    return flavour


# Weights and activations: float32; float16 weights; int8 weights; int8 both, per channel;
# int8 weights and int16 activations.
FLAVOURS: dict[str, Callable[[Any, Samples], None]] = {
    "float32": _float32,
    "float16": _float16,
    "dynamic": _dynamic,
    "int8": _calibrated(tf.lite.OpsSet.TFLITE_BUILTINS_INT8),
    "int16x8": _calibrated(
        tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    ),
}
CALIBRATED = ("int8", "int16x8")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps the converter's own notes off the terminal."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
