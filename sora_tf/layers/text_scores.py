"""How well texts suit a clip."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class TextScores(keras.layers.Layer):
    """Compares vectors with those of K texts, which stay as they are.

    logit_k = cos(v, t_k) / temperature + b; "sigmoid": y_k = sigmoid(logit_k), each text by
    itself; "softmax": y = softmax(logit), one text among K.

    Args:
        count: texts K.
        temperature: above 0; small ones tell more sharply.
        activation: "sigmoid" or "softmax".
    Call arguments:
        inputs: v (B, D) of length 1.
    Output: (B, K).
    Raises:
        ValueError: an argument is out of range.
    Reference: Zhai et al., "Sigmoid Loss for Language Image Pre-Training", ICCV 2023 (sigmoid);
        Radford et al., "Learning Transferable Visual Models From Natural Language Supervision",
        ICML 2021 (softmax).
    """

    def __init__(self, count, temperature=0.05, activation="softmax", **kwargs):
        super().__init__(**kwargs)
        owner = "TextScores"
        self.count = _checks.at_least(owner, "count", count, 1, "text", "Give one or more.")
        self.temperature = _checks.above(owner, "temperature", temperature, 0, "", "0.05 is usual.")
        self.activation = _checks.one_of(owner, "activation", activation, ACTIVATIONS)

    def build(self, input_shape):
        """Makes room for the texts' vectors (K, D), `set_texts` fills it; and the bias."""
        shape = [self.count, input_shape[-1]]
        self.texts = self.add_weight(name="texts", shape=shape, trainable=False)
        # Most pairs of a clip and a text do not belong together: a start that says so.
        start = keras.initializers.Constant(-0.5 / self.temperature)
        self.bias = self.add_weight(name="bias", shape=[], initializer=start)
        super().build(input_shape)

    def set_texts(self, vectors):
        """Sets the texts' vectors, (K, D) of length 1."""
        self.texts.assign(vectors)

    def call(self, inputs):
        """Compares; see the class."""
        logits = tf.matmul(inputs, self.texts, transpose_b=True) / self.temperature + self.bias
        return ACTIVATIONS[self.activation](logits)

    def compute_output_shape(self, input_shape):
        """(B, D) to (B, K)."""
        return tf.TensorShape([input_shape[0], self.count])

    def get_config(self):
        """All constructor arguments."""
        return {
            **super().get_config(),
            "count": self.count,
            "temperature": self.temperature,
            "activation": self.activation,
        }


ACTIVATIONS = {"sigmoid": tf.nn.sigmoid, "softmax": tf.nn.softmax}
