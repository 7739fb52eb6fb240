"""From tokens of a text, whole numbers, to vectors that know their place."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class TokenVectors(keras.layers.Layer):
    """A trained vector for each token and one for its place, added.

    y[b,l] = e[x[b,l]] + p[l]

    Args:
        vocabulary: how many tokens there are.
        units: length D of a vector.
        longest: tokens of a text at most.
        scale: standard deviation of e and p at the start.
    Call arguments:
        inputs: (B, L) int32, L at most `longest`, from 0 to below `vocabulary`.
    Output: (B, L, D).
    Raises:
        ValueError: an argument is below 1.
    Reference: Devlin et al., "BERT", NAACL 2019, figure 2.
    """

    def __init__(self, vocabulary, units, longest, scale=0.02, **kwargs):
        super().__init__(**kwargs)
        owner = "TokenVectors"
        remedy = "30522 is BERT's."
        self.vocabulary = _checks.at_least(owner, "vocabulary", vocabulary, 1, "token", remedy)
        self.units = _checks.at_least(owner, "units", units, 1, "channel", "64 is usual.")
        self.longest = _checks.at_least(owner, "longest", longest, 1, "token", "512 is BERT's.")
        self.scale = scale

    def build(self, input_shape):
        """Makes the tables e and p."""
        self.vectors = self._table("vectors", self.vocabulary)
        self.places = self._table("places", self.longest)
        super().build(input_shape)

    def _table(self, name, rows):
        start = keras.initializers.TruncatedNormal(stddev=self.scale)
        return self.add_weight(name=name, shape=[rows, self.units], initializer=start)

    def call(self, inputs):
        """Looks up and adds; see the class."""
        return tf.gather(self.vectors, inputs) + self.places[: tf.shape(inputs)[1]]

    def compute_output_shape(self, input_shape):
        """(B, L) to (B, L, D)."""
        return tf.TensorShape([*input_shape, self.units])

    def get_config(self):
        """All constructor arguments."""
        return {
            **super().get_config(),
            "vocabulary": self.vocabulary,
            "units": self.units,
            "longest": self.longest,
            "scale": self.scale,
        }


@keras.utils.register_keras_serializable(package="sora_tf")
class RealTokens(keras.layers.Layer):
    """The mask of tokens that are there: those that are not 0.

    Call arguments:
        inputs: (B, L) whole numbers.
    Output: (B, L) bool.
    """

    def call(self, inputs):
        """Compares; see the class."""
        return tf.not_equal(inputs, 0)

    def compute_output_shape(self, input_shape):
        """(B, L) as it is."""
        return tf.TensorShape(input_shape)
