"""What a spectrum is like over a stretch of time, without weights to learn."""

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class CepstrumStatistics(keras.layers.Layer):
    """Mean, spread and change over time of the cepstrum of a log spectrum.

    c[t,k] = Σ_m x[t,m]·cos(π·k·(m + ½)/M)·√(2/M), k below K (for k = 0, √(1/M)): the shape of the
    spectrum from coarse to fine, hardly correlated. With μ[k] = mean_t c[t,k]:
    y = [μ[1:], √(mean_t (c[t,k] - μ[k])² + ε), mean_t |c[t,k] - c[t-1,k]|]. A louder sound, which
    adds the same to all x, moves μ[0] alone and gives the same y.

    Args:
        coefficients: K, 2 to M.
        epsilon: what is added to the variance.
    Call arguments:
        inputs: (N, F, M), F above 1.
    Output: (N, 3·K - 1).
    Raises:
        ValueError: fewer than 2 coefficients, or more than bands.
    Reference: Davis and Mermelstein 1980 (mel-frequency cepstral coefficients).
    """

    def __init__(self, coefficients=20, epsilon=1e-6, **kwargs):
        super().__init__(**kwargs)
        _checks.at_least("CepstrumStatistics", "coefficients", coefficients, 2, "", "20 is usual.")
        self.coefficients = coefficients
        self.epsilon = epsilon

    def build(self, input_shape):
        """Makes the waves that spectra are compared with, (M, K)."""
        bands, remedy = input_shape[-1], "Ask for fewer, or make more bands."
        _checks.between("CepstrumStatistics", "coefficients", self.coefficients, 2, bands, remedy)
        place = np.pi * (np.arange(bands)[:, None] + 0.5) / bands
        waves = np.cos(place * np.arange(self.coefficients)) * np.sqrt(2 / bands)
        waves[:, 0] /= np.sqrt(2)
        self.waves = waves.astype(np.float32)
        super().build(input_shape)

    def call(self, inputs):
        """Computes them; see the class."""
        c = tf.matmul(inputs, tf.cast(self.waves, inputs.dtype))  # (N, F, K)
        mean = tf.reduce_mean(c, axis=1, keepdims=True)  # (N, 1, K)
        apart = c - mean
        spread = tf.sqrt(tf.reduce_mean(apart * apart, axis=1) + self.epsilon)  # (N, K)
        change = tf.reduce_mean(tf.abs(c[:, 1:] - c[:, :-1]), axis=1)  # (N, K)
        return tf.concat([mean[:, 0, 1:], spread, change], axis=1)

    def compute_output_shape(self, input_shape):
        """(N, F, M) to (N, 3·K - 1)."""
        return tf.TensorShape([input_shape[0], 3 * self.coefficients - 1])

    def get_config(self):
        """All constructor arguments."""
        own = {"coefficients": self.coefficients, "epsilon": self.epsilon}
        return {**super().get_config(), **own}
