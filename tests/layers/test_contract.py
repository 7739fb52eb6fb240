"""The contract notices layers that break it."""

import numpy as np
import pytest
import tensorflow as tf
from contract import check_layer

from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf_tests")
class Scale(keras.layers.Layer):
    """x·by with one fault, or none."""

    def __init__(self, by=2.0, fault=None, **kwargs):
        super().__init__(**kwargs)
        self.by = by
        self.fault = fault

    def call(self, inputs):
        x, mask = inputs
        real = tf.cast(mask, x.dtype)[..., None]
        return x * self.by + (tf.reduce_sum(x) if self.fault == "mask" else 0.0 * real)

    def compute_output_shape(self, input_shape):
        return input_shape[1] if self.fault == "shape" else input_shape[0]

    def get_config(self):
        config = {**super().get_config(), "fault": self.fault}
        if self.fault == "twin":
            return {**config, "by": 1.0}
        return config if self.fault == "config" else {**config, "by": self.by}


@pytest.mark.parametrize("fault", [None, "config", "twin", "shape", "mask"])
def test_faults_are_found(fault):
    x = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    mask = np.array([[True, True, False], [True, True, True]])
    if fault is None:
        check_layer(Scale(3.0), [x, mask])
        return
    with pytest.raises(AssertionError):
        check_layer(Scale(3.0, fault), [x, mask])
