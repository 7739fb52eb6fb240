"""Models that take vectors instead of pictures, as files that others run: SavedModel and TFLite.

Runs that fuse, that tell what is felt and that answer questions are made of such models; what
makes their vectors (a CNN, an encoder of sentences) is exported by itself or runs beside them.
"""

import logging
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._files import replacing, write_json
from sora_tf._keras import keras
from sora_tf.export import flatbuffer, serving_check, tflite
from sora_tf.export.errors import ExportError
from sora_tf.export.head_check import HEAD, SERVE, Arrays, Case, difference, write_cases
from sora_tf.export.receipt import RECEIPT, digest, size_bytes
from sora_tf.export.signature import Endpoint, write_endpoints
from sora_tf.train.run import Run, load_model

LOG = logging.getLogger(__name__)
FLAVOURS = ("float32", "float16", "dynamic")  # those that need no real inputs
LENGTH = 32  # nodes of a set that may have any number, in TFLite
CHECKS = 3  # made-up inputs compared


def export_head(
    run: Run,
    out: Path,
    name: str = "sora",
    version: int = 1,
    encoder: keras.Model | None = None,
) -> dict[str, Any]:
    """Exports the model of a run whose inputs are vectors; each file appears proved or not at all.

    The answers of each file are held against Keras's on made-up inputs, some of whose nodes are
    not there; its operations are those of stock TensorFlow and of TFLite.

    Args:
        run: a run with a functional model of named inputs.
        out: the folder for serving/NAME/VERSION, float32.tflite, float16.tflite and
            dynamic.tflite (batch 1; a set of any number of nodes has 32; the last has weights of
            8 bits), receipt.json and reference.npz, for `sora-tf verify`.
        name, version: of the SavedModel.
        encoder: model whose answer is the input of the run's model that has the name of its own
            first input; the files then hold both. None where nothing stands before it.

    Returns:
        {"artefacts": {path in `out`: {"format", "bytes", "sha256", "difference", "operations",
        "inputs", "outputs"}}, "failed": {path: why}}.

    Raises:
        RunError: there is no model in the run.
    """
    model = load_model(run.model_path)
    if encoder is not None:
        model = behind(encoder, model)
    cases = [_case(model, seed) for seed in range(CHECKS)]
    made: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as single:
        with tflite.quiet():
            write_endpoints([model], _endpoints(model, 1, LENGTH), single)
        served = out / "serving" / name / str(version)
        wanted: list[tuple[str, Path, Callable[[Path], Any]]] = [
            ("saved_model", served, partial(_saved_model, model)),
            *((f, out / f"{f}.tflite", partial(_tflite, f, single)) for f in FLAVOURS),
        ]
        for kind, target, make in wanted:
            path = str(target.relative_to(out))
            LOG.info("making and checking %s", path)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                with replacing(target) as beside:
                    operations = make(beside)
                    made[path] = {
                        "format": kind,
                        "bytes": size_bytes(beside),
                        "sha256": digest(beside),
                        "difference": difference(kind, beside, cases, path),
                        "operations": operations,
                        **_described(model),
                    }
            except ExportError as error:
                failed[path] = str(error)
    if made:
        write_cases(cases, out)
        facts = {"kind": HEAD, "model_sha256": digest(run.model_path), "artefacts": made}
        write_json(out / RECEIPT, facts)
    return {"artefacts": made, "failed": failed}


def behind(encoder: keras.Model, model: keras.Model) -> keras.Model:
    """A model with what makes one of its inputs before it.

    Args:
        encoder: from named inputs to what `model` takes under the name of the first of them; the
            others are inputs of `model` as well.
        model: from named inputs to scores.
    """
    given = {**_inputs(model), **_inputs(encoder)}
    heard = {**given, encoder.input_names[0]: encoder.output}
    scores = model({name: heard[name] for name in model.input_names})
    (output,) = model.output_names
    made = keras.layers.Activation("linear", name=output, dtype="float32")(scores)
    return keras.Model(given, made, name=model.name)


def drawn(model: keras.Model, seed: int) -> Arrays:
    """Made-up inputs of batch 1: the first node of each set is there, of the others two thirds."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, node in _inputs(model).items():
        shape = [LENGTH if size is None else size for size in node.shape[1:]]
        kind = node.dtype.as_numpy_dtype
        values: np.ndarray
        if node.dtype == tf.bool:
            values = rng.random((1, *shape)) < 2 / 3
            values[:, 0] = True
        elif node.dtype.is_integer:
            values = rng.integers(0, 2, (1, *shape))
        else:
            values = rng.normal(size=(1, *shape))
        found[name] = values.astype(kind)
    return found


def _case(model: keras.Model, seed: int) -> Case:
    """Made-up inputs, and what Keras answers."""
    given = drawn(model, seed)
    said = _function(model)({name: tf.constant(values) for name, values in given.items()})
    return given, {name: values.numpy() for name, values in said.items()}


def _saved_model(model: keras.Model, folder: Path) -> dict[str, int]:
    write_endpoints([model], _endpoints(model, None, None), folder)
    return serving_check.operations(folder)


def _tflite(flavour: str, folder: str, path: Path) -> dict[str, dict[str, int]]:
    """Converts a SavedModel of batch 1; returns its operations."""
    with tflite.quiet():
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[SERVE])
        tflite.FLAVOURS[flavour](converter, lambda: iter(()))
        content = converter.convert()
    path.write_bytes(content)
    operations = flatbuffer.operations(flatbuffer.read(content))
    flatbuffer.check_builtin(operations, f"{flavour}.tflite")
    return operations


def _inputs(model):
    return dict(zip(model.input_names, model.inputs, strict=True))


def _function(model):
    def serve(inputs):
        found = model(inputs, training=False)
        return found if isinstance(found, dict) else {model.output_names[0]: found}

    return serve


def _endpoints(model, batch, length):
    spec = {
        name: tf.TensorSpec(
            (batch, *(length if size is None else size for size in node.shape[1:])),
            node.dtype,
            name,
        )
        for name, node in _inputs(model).items()
    }
    return {SERVE: Endpoint(_function(model), [spec])}


def _described(model):
    outputs = (
        model.output if isinstance(model.output, dict) else {model.output_names[0]: model.output}
    )
    return {
        kind: {name: [*map(str, node.shape), node.dtype.name] for name, node in nodes.items()}
        for kind, nodes in (("inputs", _inputs(model)), ("outputs", outputs))
    }
