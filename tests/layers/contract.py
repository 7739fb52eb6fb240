"""What every layer of the project keeps to; `check_layer` is run on each."""

import inspect
import json
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras


def check_layer(layer, inputs, input_shapes=None, tolerance=1e-6):
    """Checks the contract of a layer, which builds it.

    All constructor arguments come back from get_config, as JSON; the twin from the config with the
    same weights gives the same output; so does a functional model after a `.keras` round trip;
    compute_output_shape tells the truth; what masked frames hold changes no real frame's output.

    Args:
        layer: not yet built.
        inputs: an array, or the list [x, mask] with a bool mask (B, T) that has both values.
        input_shapes: shapes of the functional model's inputs without B; those of `inputs` if None.
        tolerance: largest difference allowed.
    """
    arrays = inputs if isinstance(inputs, list) else [inputs]
    outputs = layer(inputs).numpy()
    check_config(layer)
    _check_shape(layer, inputs, outputs)
    twin = type(layer).from_config(layer.get_config())
    twin(inputs)
    twin.set_weights(layer.get_weights())
    np.testing.assert_allclose(twin(inputs).numpy(), outputs, atol=tolerance, rtol=0)
    _check_file(layer, arrays, outputs, input_shapes, tolerance)
    if len(arrays) == 2 and arrays[1].dtype == bool:
        _check_mask(layer, *arrays, outputs, tolerance)


def check_config(layer):
    """Checks that all constructor arguments come back from get_config, as JSON."""
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters.values()
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    named = {p.name for p in parameters if p.kind not in kinds} - {"self"}
    if type(layer).__init__ is keras.layers.Layer.__init__:
        named = set()  # it takes no arguments of its own
    assert named <= set(config), f"get_config lacks {sorted(named - set(config))}"
    assert type(layer).from_config(json.loads(json.dumps(config))).get_config() == config


def _check_shape(layer, inputs, outputs):
    shape = [x.shape for x in inputs] if isinstance(inputs, list) else inputs.shape
    assert tuple(layer.compute_output_shape(shape)) == outputs.shape


def _check_file(layer, arrays, outputs, input_shapes, tolerance):
    shapes = input_shapes or [x.shape[1:] for x in arrays]
    nodes = [
        keras.Input(shape, dtype=tf.as_dtype(x.dtype))
        for shape, x in zip(shapes, arrays, strict=True)
    ]
    model = keras.Model(nodes, layer(nodes if len(nodes) > 1 else nodes[0]))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        model.save(path)
        loaded = keras.models.load_model(path, safe_mode=True)
    made = loaded(arrays if len(arrays) > 1 else arrays[0]).numpy()
    np.testing.assert_allclose(made, outputs, atol=tolerance, rtol=0)


def _check_mask(layer, x, mask, outputs, tolerance):
    assert mask.any(), "the mask must have real frames"
    assert not mask.all(), "the mask must have masked frames"
    other = x.copy()
    other[_frames(x, ~mask)] = 7.0
    made = layer([other, mask]).numpy()
    kept = _frames(made, mask)
    np.testing.assert_allclose(made[kept], outputs[kept], atol=tolerance, rtol=0)


def _frames(values, mask):
    """What picks some frames of (B, T, ...) or (B·T, ...); everything where there are no frames."""
    if values.shape[:2] == mask.shape:
        return mask
    return mask.reshape(-1) if len(values) == mask.size else ...
