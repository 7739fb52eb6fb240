"""The search for settings."""

from sora_tf.train.tune.budget import Budget, Cost
from sora_tf.train.tune.space import default_space
from sora_tf.train.tune.tuning import tune

__all__ = ["Budget", "Cost", "default_space", "tune"]
