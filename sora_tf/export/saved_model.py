"""A SavedModel for TensorFlow Serving, proved in a clean process before it is published."""

import os
import tempfile
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf.export import serving_check
from sora_tf.export.errors import ExportError
from sora_tf.export.signature import (
    ASKED,
    FACTS,
    Deployable,
    Endpoint,
    Steps,
    endpoints,
    write_endpoints,
)
from sora_tf.models.video_model import FRAMES

WARMUP = Path("assets.extra") / "tf_serving_warmup_requests"


def write_saved_model(what: Deployable, folder: Path) -> None:
    """Writes a SavedModel with its signatures, assets and warmup requests.

    Args:
        what: the model.
        folder: the version folder; must not exist.
    Raises:
        ExportError: the extra "serving" is not installed.
    """
    write_served(what, endpoints(what), folder)


def write_served(what: Steps, found: Mapping[str, Endpoint], folder: Path) -> None:
    """Writes a SavedModel of these signatures, with what a server and its users want beside it.

    Args:
        what: the model.
        found: its signatures, all of which `example_request` knows.
        folder: the version folder; must not exist.
    Raises:
        ExportError: the extra "serving" is not installed.
    """
    with tempfile.TemporaryDirectory() as notes:
        write_endpoints(what.networks, found, folder, _notes(what, Path(notes)))
    _write_warmup(folder, found, what)


def check_saved_model(folder: Path) -> dict[str, Any]:
    """Proves a SavedModel: its operations, and every warmup request replayed from disk.

    Returns:
        {"operations": {name: count}, "warmup": requests replayed}.

    Raises:
        ExportError: an operation that a stock server does not have, or a request that fails.
    """
    return {
        "operations": serving_check.operations(folder),
        "warmup": serving_check.replay_warmup(folder, folder / WARMUP),
    }


def example_request(what: Steps, name: str) -> dict[str, np.ndarray]:
    """A made-up clip as a request: a bright square that moves, nobody's footage."""
    if name == FACTS:
        return {ASKED: np.array([b""], object)}
    size = what.config.size
    clip = np.zeros((what.config.frames, *size, 3), np.uint8)
    for t, frame in enumerate(clip):
        left = t * max(size[1] - size[1] // 4, 1) // len(clip)
        frame[size[0] // 4 : size[0] // 2 + 1, left : left + size[1] // 4 + 1] = 255
    if name in ("jpeg", "classify"):
        texts = [tf.io.encode_jpeg(frame).numpy() for frame in clip]
        if name == "jpeg":
            return {FRAMES: np.array([texts], object)}
        feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=texts))
        example = tf.train.Example(features=tf.train.Features(feature={FRAMES: feature}))
        return {"inputs": np.array([example.SerializeToString()], object)}
    if name == "step":
        taken = what.taken(1).items()
        states = {name: np.zeros(of.shape, of.dtype.as_numpy_dtype) for name, of in taken}
        return {**states, FRAMES: clip[None, :1]}
    return {FRAMES: clip[None]}


def _notes(what: Steps, folder: Path) -> list[Path]:
    """The files a SavedModel carries: labels, how to feed it, the licence."""
    texts = {
        "labels.txt": what.labels_text,
        "config.json": what.facts_json(),
        "LICENSE": _licence(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def _licence() -> str:
    """The licence of this package, from what is installed."""
    files = metadata.files("sora_tf") or []
    for file in files:
        if file.name == "LICENSE":
            return file.read_text()
    return "Apache-2.0. https://www.apache.org/licenses/LICENSE-2.0\n"


def _write_warmup(folder: Path, names: Iterable[str], what: Steps) -> None:
    """A PredictionLog for every signature, which a server replays before it says AVAILABLE."""
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ImportError:
        raise ExportError(
            "a SavedModel's warmup needs tensorflow-serving-api. Install it with "
            "pip install 'sora_tf[serving]'."
        ) from None
    os.makedirs(folder / WARMUP.parent, exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / WARMUP)) as writer:
        for name in names:
            request = example_request(what, name)
            log = prediction_log_pb2.PredictionLog()
            if name == "classify":
                sent = log.classify_log.request
                sent.model_spec.signature_name = name
                for text in request["inputs"]:
                    sent.input.example_list.examples.add().ParseFromString(text)
            else:
                sent = log.predict_log.request
                sent.model_spec.signature_name = name
                for key, value in request.items():
                    sent.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            writer.write(log.SerializeToString())
