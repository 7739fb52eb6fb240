"""Between clips and the images they are made of: folding time into the batch and back."""

import tensorflow as tf

from sora_tf._keras import keras


def length_of(tensor: tf.Tensor, axis: int) -> int | tf.Tensor:
    """The length of an axis: a number where it is known while building, else a tensor."""
    static = tensor.shape[axis]
    return tf.shape(tensor)[axis] if static is None else static


def start_of(layer: keras.layers.Layer, inputs: list[tf.Tensor]) -> dict[str, tf.Tensor]:
    """The state of a streaming layer before the first frame: zeros as its `state_spec` says.

    Args:
        layer: has `state_spec(input_shape)`, a dict of name → (shape without B, dtype).
        inputs: what the layer is called with; the last one is the mask (B, T).
    """
    spec = layer.state_spec([tensor.shape for tensor in inputs])
    batch = length_of(inputs[-1], 0)
    return {name: tf.zeros([batch, *shape], dtype) for name, (shape, dtype) in spec.items()}


@keras.utils.register_keras_serializable(package="sora_tf")
class FoldFrames(keras.layers.Layer):
    """Lays the frames of all clips in one batch, so that image layers see plain images.

    Call arguments:
        inputs: (B, T, ...).
    Output: (B·T, ...).
    """

    def call(self, inputs):
        """Folds; see the class."""
        return tf.reshape(inputs, [-1, *inputs.shape[2:]])

    def compute_output_shape(self, input_shape):
        """(B, T, ...) to (B·T, ...)."""
        batch, frames, *rest = input_shape
        folded = None if batch is None or frames is None else batch * frames
        return tf.TensorShape([folded, *rest])


@keras.utils.register_keras_serializable(package="sora_tf")
class UnfoldFrames(keras.layers.Layer):
    """Undoes `FoldFrames`.

    Call arguments:
        inputs: [(B·T, ...), mask (B, T)]; only the mask's shape is used.
    Output: (B, T, ...).
    """

    def call(self, inputs):
        """Unfolds; see the class."""
        folded, mask = inputs
        return tf.reshape(folded, [-1, length_of(mask, 1), *folded.shape[1:]])

    def compute_output_shape(self, input_shape):
        """(B·T, ...), (B, T) to (B, T, ...)."""
        folded, mask = input_shape
        return tf.TensorShape([*mask, *folded[1:]])


@keras.utils.register_keras_serializable(package="sora_tf")
class AllFrames(keras.layers.Layer):
    """The mask that says every frame is real.

    Call arguments:
        inputs: (B, T, ...).
    Output: (B, T) bool, all True.
    """

    def call(self, inputs):
        """Makes the mask; see the class."""
        return tf.fill(tf.shape(inputs)[:2], True)

    def compute_output_shape(self, input_shape):
        """(B, T, ...) to (B, T)."""
        return tf.TensorShape(input_shape[:2])
