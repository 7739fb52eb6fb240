"""Magnitude pruning while a model is trained: the smallest weights of its kernels become zeros.

What zeros buy is a smaller file once it is compressed: `small` in int8 takes 774 kB in gzip, 550 kB
with half of the weights and 319 kB with a fifth. Stored densely they take the room of any weight,
and TFLite's sparse storage (`Optimize.EXPERIMENTAL_SPARSITY`) makes int8 files larger at half and
smaller only beyond. They do not make these models faster: XNNPACK's sparse kernels are for
networks in floating point that begin with a 3×3 convolution of stride 2 over 3 channels, and the
first one here sees two frames.
"""

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.layers.fake_quant import kernels_of
from sora_tf.train.fake_quant import inner

# A depthwise kernel has a few weights a channel: little to gain, much to lose (Elsen, Dukhan, Gale
# and Simonyan, "Fast Sparse ConvNets", CVPR 2020).
PRUNED = ("kernel", "query_kernel", "recurrent_kernel")


def prunable(model: keras.Model) -> list[tf.Variable]:
    """The kernels to prune: all but depthwise ones and those of the first and the last layer."""
    found = []
    for layer in model.layers:
        kernels = [vars(owner)[name] for owner, name in kernels_of(inner(layer)) if name in PRUNED]
        if kernels:
            found.append(kernels)
    return [kernel for kernels in found[1:-1] for kernel in kernels]


def schedule(share: float, progress: float) -> float:
    """The share of zeros on the way: share·(1 - (1 - progress)³), progress from 0 to 1.

    Reference: Zhu and Gupta, "To prune, or not to prune", ICLR 2018 workshop, equation 1.
    """
    return share * (1.0 - (1.0 - min(max(progress, 0.0), 1.0)) ** 3)


def largest(kernel: np.ndarray, zeros: int) -> np.ndarray:
    """A mask of the kernel's shape, False at as many of its smallest magnitudes as given."""
    mask = np.ones(kernel.size, bool)
    mask[np.argsort(np.abs(kernel), axis=None, kind="stable")[:zeros]] = False
    return mask.reshape(kernel.shape)


def zero_shares(model: keras.Model) -> dict[str, float]:
    """The share of zeros in the kernels to prune, and in all weights that are trained."""

    def share(weights):
        values = [weight.numpy() for weight in weights]
        return 1.0 - sum(map(np.count_nonzero, values)) / max(1, sum(v.size for v in values))

    return {"kernels": share(prunable(model)), "model": share(model.trainable_weights)}


class Pruning(keras.callbacks.Callback):
    """Keeps the smallest weights of each kernel at zero, more of them with every step.

    A weight once zero stays so. There is no state beside the weights, so that a resumed training
    goes on as if it had not stopped, and what was pruned before stays pruned.

    Args:
        share: share of zeros in each kernel in the end; 0 adds none.
        epochs: epochs over which the share rises; from then on it is exact.
    """

    def __init__(self, share: float, epochs: int):
        super().__init__()
        self.share = share
        self.epochs = epochs

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Finds the kernels, and the zeros of an earlier start."""
        self.kernels = prunable(self.model)
        self.kept = [kernel.numpy() != 0.0 for kernel in self.kernels]

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Notes where the steps stand."""
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Sets weights to zero, as many as are due."""
        done = self.epoch + (batch + 1) / self.params["steps"]
        due = schedule(self.share, done / self.epochs)
        for number, kernel in enumerate(self.kernels):
            values = kernel.numpy() * self.kept[number]
            zeros = round(due * values.size)
            if zeros > values.size - self.kept[number].sum():
                self.kept[number] = largest(values, zeros)
            kernel.assign(values * self.kept[number])
