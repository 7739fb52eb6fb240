"""AdamW whose weight decay is for kernels alone, after a file as before it."""

from typing import Any

from sora_tf._keras import keras

SPARED = ("bias", "gamma", "beta")  # in the names of variables that do not decay


@keras.utils.register_keras_serializable(package="sora_tf")
class KernelDecayAdamW(keras.optimizers.AdamW):
    """AdamW that lets biases and the scales and offsets of norms be as large as they like.

    Keras has `exclude_from_weight_decay` for it, but no saved model remembers that.

    Args:
        those of keras.optimizers.AdamW.
    Reference: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.exclude_from_weight_decay(var_names=list(SPARED))
