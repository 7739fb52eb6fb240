"""The only place that picks Keras. TensorFlow GNN needs Keras 2, which is the package tf_keras.

Import it as `from sora_tf._keras import keras`.
"""

import os

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import tensorflow as tf
import tf_keras as keras

if tf.keras.Model is not keras.Model:
    raise ImportError(
        "sora_tf needs Keras 2 (tf_keras), but tf.keras was already used as Keras 3 in this "
        "process. Import sora_tf first, or set TF_USE_LEGACY_KERAS=1 before Python starts."
    )

__all__ = ["keras"]
