"""AdamW with a rate for every variable, and a step at which each begins to move."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from sora_tf._keras import keras


@keras.utils.register_keras_serializable(package="sora_tf")
class LayerwiseAdamW(keras.optimizers.AdamW):
    """AdamW in which the rate of variable i is share[i] of the schedule's, and 0 before begin[i].

    u_t = m̂_t / (√v̂_t + ε); w_t = w_{t-1} - share·η_t·(u_t + decay·w_{t-1}) from step `begin` on.

    The moments of a variable that does not move yet are those of its gradients all the same, so
    that its first steps are of the usual size. All is in the config, so that a saved model goes on.

    Args:
        rates: (share, begin, decay) of each variable, in the order of the model's trainable
            variables: share of the learning rate, first step, and weight decay.
        learning_rate, and more: as of keras.optimizers.AdamW.
    Reference: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification",
        ACL 2018, sections 3.2 and 3.3; Loshchilov and Hutter, "Decoupled Weight Decay
        Regularization", ICLR 2019.
    """

    def __init__(self, rates: Sequence[tuple[float, int, float]], learning_rate=1e-3, **kwargs):
        # The decay of each variable is its own; AdamW's is left out.
        super().__init__(learning_rate, **{**kwargs, "weight_decay": 0.0})
        self.rates = [tuple(rate) for rate in rates]

    def build(self, var_list):
        """Makes the moments.

        Raises:
            ValueError: there are not as many variables as rates.
        """
        if len(var_list) != len(self.rates):
            raise ValueError(
                f"LayerwiseAdamW: rates must be as many as variables, got {len(self.rates)} for "
                f"{len(var_list)}. Give one (share, begin, decay) for each."
            )
        super().build(var_list)

    def update_step(self, gradient, variable):
        """One variable's step; see the class."""
        share, begin, decay = self.rates[self._index_dict[self._var_key(variable)]]
        before = tf.identity(variable)
        super().update_step(gradient, variable)
        rate = tf.cast(self.learning_rate, variable.dtype)
        moves = tf.cast(self.iterations >= begin, variable.dtype)
        change = variable - before - rate * decay * before
        variable.assign(before + share * moves * change)

    def get_config(self) -> dict[str, Any]:
        """All constructor arguments."""
        return {**super().get_config(), "rates": [list(rate) for rate in self.rates]}
