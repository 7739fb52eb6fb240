"""The only place that picks Keras. TensorFlow GNN needs Keras 2, which is the package tf_keras.

Import it as `from sora_tf._keras import keras`.
"""

import os
import random
import types

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tf_keras as keras
from tf_keras.src.utils import tf_utils

if tf.keras.Model is not keras.Model:
    raise ImportError(
        "sora_tf needs Keras 2 (tf_keras), but tf.keras was already used as Keras 3 in this "
        "process. Import sora_tf first, or set TF_USE_LEGACY_KERAS=1 before Python starts."
    )


class _WholeRandom(random.Random):
    """Takes 1e9 for a whole number, as Python did before 3.12."""

    def randint(self, low, high):
        return super().randint(int(low), int(high))


# tf_keras 2.17 draws its seeds with randint(1, 1e9), which Python 3.12 refuses: no layer could be
# built there after `keras.utils.set_random_seed`.
tf_utils.random = types.SimpleNamespace(
    seed=random.seed,
    Random=_WholeRandom,
    randint=lambda low, high: random.randint(int(low), int(high)),
)

__all__ = ["keras"]
