"""A clip model as a step model: a few frames in, answers so far out, state carried by the caller.

Contract: a causal model gives the same numbers whether it sees a clip at once or in chunks.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.layers.frames import AllFrames
from sora_tf.layers.pooling import MaskedMeanPool, RecentMeanPool
from sora_tf.models.sora import FRAME_VECTORS, GLOBAL_VECTOR
from sora_tf.models.video_model import FRAMES, MASK
from sora_tf.models.walk import go_on, in_order, remember

layers = keras.layers

RECENT_VECTOR = "recent_vector"
RECENT_SCORES = "recent_scores"

# Stock layers that treat every frame alone, or that stand behind the pooling.
PER_FRAME = (
    layers.Activation,
    layers.Add,
    layers.BatchNormalization,
    layers.Concatenate,
    layers.Conv2D,
    layers.Dense,
    layers.DepthwiseConv2D,
    layers.Dropout,
    layers.GlobalAveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.LayerNormalization,
    layers.MaxPooling2D,
    layers.Multiply,
    layers.ReLU,
    layers.Rescaling,
    layers.Reshape,
    layers.Softmax,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
)


@keras.utils.register_keras_serializable(package="sora_tf")
class Step(keras.layers.Layer):
    """Runs a layer's `step`, so that its state is an input and an output of the graph.

    Args:
        layer: has `state_spec` and `step` (FrameMemory, RelationBlock, the pools).
    Call arguments:
        inputs: {"inputs": what the layer is called with, "state": dict of tensors}.
    Output: (outputs, new state).
    """

    def __init__(self, layer, **kwargs):
        # As the layer computes, but states, which may be sums, are not cast to it.
        super().__init__(**{"dtype": layer.dtype_policy, **kwargs}, autocast=False)
        self.layer = layer

    def build(self, input_shape):
        """Builds the layer, where a saved step model is loaded."""
        if not self.layer.built:
            self.layer.build(input_shape["inputs"])
        super().build(input_shape)

    def call(self, inputs):
        """One step; see the class."""
        given = tf.nest.map_structure(
            lambda x: tf.cast(x, self.compute_dtype) if x.dtype.is_floating else x, inputs["inputs"]
        )
        return self.layer.step(given, inputs["state"])

    def get_config(self):
        """All constructor arguments."""
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        """A step of the layer described."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)


def streaming(model: keras.Model, chunk: int | None = 1) -> keras.Model:
    """The step model of a causal clip model.

    Args:
        model: made by `build_sora` or the builders beside it, with causal edges; weights are
            shared, not copied.
        chunk: frames n in a step; None takes any number.

    Returns:
        A model from {"frames": (B, n, H, W, 3), "state_...": ...} to {"frame_vectors": (B, n, D),
        "global_vector": (B, D) of all frames so far, "scores": (B, num_classes) of it, and the new
        "state_..." under the names they have as inputs}. States are zeros at the start
        (`start`); `Stream` carries them. A model of T frames with mean pooling also gives
        "recent_vector" and "recent_scores", the same of the last T frames: what to show where a
        stream has no end. A model of several outputs by name, such as an `embedder`, gives those
        and nothing recent.

    Raises:
        ValueError: a layer looks into the future or cannot be run in steps.
    """
    if chunk is not None:
        _checks.at_least("streaming", "chunk", chunk, 1, "frame", "1 answers at every frame.")
    named = dict(zip(model.input_names, model.inputs, strict=True))
    frames = keras.Input((chunk, *named[FRAMES].shape[2:]), name=FRAMES, dtype="float32")
    table = {id(named[FRAMES]): frames, id(named[MASK]): AllFrames(name=MASK)(frames)}
    states_in: dict[str, tf.Tensor] = {}
    states_out: dict[str, tf.Tensor] = {}

    def stepped(layer, inputs):
        spec = layer.state_spec([tensor.shape for tensor in inputs])
        names = {key: f"state_{layer.name}_{key}" for key in spec}
        state = {
            key: keras.Input(shape, name=names[key], dtype=dtype)
            for key, (shape, dtype) in spec.items()
        }
        outputs, new = Step(layer, name=f"step_{layer.name}")({"inputs": inputs, "state": state})
        states_in.update({names[key]: tensor for key, tensor in state.items()})
        states_out.update({names[key]: tensor for key, tensor in new.items()})
        return outputs

    for node in in_order(model):
        args, kwargs = tf.nest.map_structure(
            lambda tensor: table.get(id(tensor), tensor), (node.call_args, node.call_kwargs)
        )
        if hasattr(node.layer, "step"):
            outputs = stepped(node.layer, args[0])
        else:
            _check_per_frame(node.layer, args)
            outputs = node.layer(*args, **kwargs)
        remember(table, node.outputs, outputs)
    wanted = dict(zip(model.output_names, model.outputs, strict=True))
    for name in (FRAME_VECTORS, GLOBAL_VECTOR):
        if any(layer.name == name for layer in model.layers):
            wanted[name] = model.get_layer(name).output
    answers = {name: table[id(tensor)] for name, tensor in wanted.items()}
    pool = _mean_pool(model)
    if pool and named[FRAMES].shape[1] is not None and not isinstance(model.output, dict):
        last = RecentMeanPool(named[FRAMES].shape[1], name="recent", dtype=pool.dtype_policy)
        recent = stepped(last, [answers[FRAME_VECTORS], table[id(named[MASK])]])
        answers |= _behind(model, pool, recent)
    return keras.Model({FRAMES: frames, **states_in}, {**answers, **states_out}, name="step")


def _mean_pool(model):
    """The layer that pools by the mean, or None."""
    return next((layer for layer in model.layers if isinstance(layer, MaskedMeanPool)), None)


def _behind(model, pool, pooled):
    """What the model makes of another mean: "recent_vector", and "recent_scores" if it scores."""
    table = {id(pool.output): pooled}
    go_on(model, table)
    vector = model.get_layer(GLOBAL_VECTOR).output
    answers = {RECENT_VECTOR: table[id(vector)]}
    if model.output is not vector:
        answers[RECENT_SCORES] = table[id(model.output)]
    return answers


def _check_per_frame(layer, args):
    own = layer.__class__.__module__.startswith("sora_tf.")
    # Flatten, and a CNN that is a model of its own, are fine on the folded images (B·T, H, W, C),
    # and mix frames on anything else.
    flat = isinstance(layer, (layers.Flatten, keras.Model)) and args[0].shape.rank == 4
    if not (own or flat or isinstance(layer, PER_FRAME)):
        raise ValueError(
            f"streaming: the layer {layer.name!r} ({layer.__class__.__name__}) may mix frames and "
            "has no step, so the model cannot run frame by frame. Use RelationBlock with "
            "edges='causal'."
        )


def start(step_model: keras.Model, batch: int = 1) -> dict[str, tf.Tensor]:
    """The states of a step model before the first frame: zeros, (B, ...) each."""
    return {
        name: tf.zeros([batch, *tensor.shape[1:]], tensor.dtype)
        for name, tensor in zip(step_model.input_names, step_model.inputs, strict=True)
        if name != FRAMES
    }


class Stream:
    """Feeds a step model and keeps its states, for one or more videos at the same pace.

    Args:
        step_model: from `streaming`.
        batch: videos B side by side.
    Attributes:
        states: what it remembers, by name; put kept ones back, and it goes on from there.
    """

    def __init__(self, step_model: keras.Model, batch: int = 1):
        self._run = tf.function(step_model, reduce_retracing=True)
        self.states = start(step_model, batch)

    def feed(self, frames: Any) -> dict[str, np.ndarray]:
        """The answers after the next frames.

        Args:
            frames: (B, n, H, W, 3), values 0 to 255.

        Returns:
            The step model's outputs but the states, as arrays.
        """
        outputs = self._run({FRAMES: tf.cast(frames, tf.float32), **self.states})
        self.states = {name: outputs[name] for name in self.states}
        return {k: v.numpy() for k, v in outputs.items() if k not in self.states}
