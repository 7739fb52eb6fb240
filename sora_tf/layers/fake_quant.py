"""A layer computed with the rounding that int8 brings, so that training can get used to it."""

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras

LEVELS = 127  # of a kernel, on either side of zero
# Kernel's attribute → axes at its end that are channels, each of which has a scale of its own.
KERNELS = {
    "kernel": 1,
    "query_kernel": 1,
    "recurrent_kernel": 1,
    "depthwise_kernel": 2,
    "attention": 0,
    "offsets": 0,
    "node_offsets": 0,
}


def kernels_of(layer: keras.layers.Layer) -> Iterator[tuple[keras.layers.Layer, str]]:
    """The kernels of a built layer and of the layers in it, as (owner, attribute)."""
    for owner in (layer, *layer.submodules):
        for name in KERNELS:
            if isinstance(vars(owner).get(name), tf.Variable):
                yield owner, name


def round_kernel(kernel: tf.Tensor, channel_axes: int) -> tf.Tensor:
    """The nearest values that int8 can hold, symmetric around zero, with a scale per channel.

    y = s·round(w/s), s = max|w| / 127 over each channel; the gradient of w is that of y.

    A factor per output channel, such as a batch norm's, may be multiplied in before or after: the
    levels are the same. So what is folded into a kernel at conversion need not be folded here.

    Args:
        kernel: any shape.
        channel_axes: axes at the end that are channels; 0 for one scale.
    """
    summed = range(kernel.shape.rank - channel_axes)
    largest = tf.reduce_max(tf.abs(kernel), axis=list(summed), keepdims=True)
    scale = tf.maximum(largest / LEVELS, 1e-30)
    return kernel + tf.stop_gradient(scale * tf.round(kernel / scale) - kernel)


@keras.utils.register_keras_serializable(package="sora_tf")
class FakeQuantized(keras.layers.Layer):
    """Runs a layer with its kernels and its outputs on the levels that int8 has for them.

    Kernels are rounded as in `round_kernel`. Outputs are rounded to 256 levels from low to high,
    with zero among them; beyond that they are clipped and have no gradient. In training the range
    takes in a batch's extremes at once and draws back to them slowly, as the converter takes the
    extremes of all it is shown:
    high = max(batch, momentum·high + (1 - momentum)·batch), and low alike. Before it has seen a
    batch it leaves outputs as they are.

    Args:
        layer: has one float output; its weights are shared, not copied.
        round_outputs: False where the converter fuses the next layer (a norm, an activation)
            with this one, so that nothing is rounded in between.
        momentum: how slowly the range draws back, from 0 to 1.
        fixed_norm: a batch norm uses its moving mean and variance, which are what the converter
            folds, in training too, and leaves them as they are.
    Call arguments:
        inputs, mask: what the layer is called with.
    Output: as the layer's.
    Raises:
        ValueError: `momentum` is out of range.
    Reference: Jacob et al., "Quantization and Training of Neural Networks for Efficient
        Integer-Arithmetic-Only Inference", CVPR 2018, section 3.
    """

    def __init__(self, layer, round_outputs=True, momentum=0.95, fixed_norm=True, **kwargs):
        super().__init__(**{"name": layer.name, "dtype": layer.dtype_policy, **kwargs})
        remedy = "0.95 is a good start."
        self.momentum = _checks.between("FakeQuantized", "momentum", momentum, 0.0, 1.0, remedy)
        self.layer = layer
        self.round_outputs = round_outputs
        self.fixed_norm = fixed_norm

    def build(self, input_shape):
        """Builds the layer, and the range of its outputs."""
        if not self.layer.built:
            several = isinstance(input_shape[0], (list, tuple, tf.TensorShape))
            # Keras takes a list of numbers, as files have it, for several shapes.
            self.layer.build(input_shape if several else tf.TensorShape(input_shape))
        if self.round_outputs:
            self.low, self.high = (
                self.add_weight(
                    name=name,
                    shape=[],
                    dtype=tf.float32,
                    initializer="zeros",
                    trainable=False,
                    aggregation=tf.VariableAggregation.MEAN,
                    experimental_autocast=False,
                )
                for name in ("low", "high")
            )
        super().build(input_shape)

    def call(self, inputs, mask=None, training=None):
        """Runs the layer; see the class."""
        given = {} if mask is None else {"mask": mask}
        if self.fixed_norm and isinstance(self.layer, keras.layers.BatchNormalization):
            given["training"] = False
        with self._rounded_kernels():
            outputs = self.layer(inputs, **given)
        if not self.round_outputs:
            return outputs
        exact = tf.cast(outputs, tf.float32)
        if training:
            self._widen(exact)
        seen = self.high > self.low
        high = tf.where(seen, self.high, self.low + 1.0)  # an empty range divides by zero
        rounded = tf.quantization.fake_quant_with_min_max_vars(exact, self.low, high)
        return tf.cast(tf.where(seen, rounded, exact), outputs.dtype)

    @contextmanager
    def _rounded_kernels(self):
        """Puts rounded kernels in the places of the variables, past Keras's tracking."""
        found = [(owner, name, vars(owner)[name]) for owner, name in kernels_of(self.layer)]
        try:
            for owner, name, kernel in found:
                rounded = round_kernel(tf.cast(kernel, tf.float32), KERNELS[name])
                vars(owner)[name] = tf.cast(rounded, owner.compute_dtype)
            yield
        finally:
            for owner, name, kernel in found:
                vars(owner)[name] = kernel

    def _widen(self, outputs):
        lowest = tf.minimum(tf.reduce_min(outputs), 0.0)  # zero is a level, for padding
        highest = tf.maximum(tf.reduce_max(outputs), 0.0)
        kept = self.momentum
        self.low.assign(tf.minimum(lowest, kept * self.low + (1.0 - kept) * lowest))
        self.high.assign(tf.maximum(highest, kept * self.high + (1.0 - kept) * highest))

    def compute_output_shape(self, input_shape):
        """As the layer's."""
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        """All constructor arguments."""
        layer = keras.saving.serialize_keras_object(self.layer)
        layer.pop("build_config", None)  # it is built with this one
        return {
            **super().get_config(),
            "layer": layer,
            "round_outputs": self.round_outputs,
            "momentum": self.momentum,
            "fixed_norm": self.fixed_norm,
        }

    @classmethod
    def from_config(cls, config):
        """The layer described, around the layer in it."""
        config = dict(config)
        return cls(keras.saving.deserialize_keras_object(config.pop("layer")), **config)
