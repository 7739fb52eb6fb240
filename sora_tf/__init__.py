"""Video in, representation out.

The public names are loaded when first used, so that `import sora_tf` and `sora-tf --help` do not
wait for TensorFlow.
"""

import importlib
import os

# TensorFlow reads this when its Keras is first touched; sora_tf._keras checks the outcome.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")

__version__ = "0.1.0"

# TODO(public names)
