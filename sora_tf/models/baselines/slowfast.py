"""Two networks of 3-D convolutions: few frames and many channels beside all frames and few."""

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.models.baselines.classifier import classify
from sora_tf.models.baselines.volume import ZeroMasked, convolve, pictures, pool
from sora_tf.models.extractor import clip_inputs
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers

# Feichtenhofer et al., section 3 and table 1, at half the width and without res5: pictures of half
# the side end in maps of the same size. About 1 M weights.
ALPHA = 4  # frames of the fast pathway for one of the slow; theirs is 8, with twice the frames
INVERSE_BETA = 8  # channels of the slow pathway for one of the fast
STEM = 32
WIDTHS = (32, 64, 128)  # inside the bottlenecks of res2, res3, res4; four times as many outside
EXPANSION = 4
DEPTHS = (1, 1, 2)
SLOW_KERNELS = (1, 1, 3)  # frames; the slow pathway looks over time only where it sees far
FAST_KERNELS = (3, 3, 3)
LATERAL_KERNEL = 5  # frames
LATERAL_WIDTH = 2  # channels of a lateral connection for one of the fast pathway


@keras.utils.register_keras_serializable(package="sora_tf")
class TakeEvery(keras.layers.Layer):
    """Takes the first of every `step` frames.

    Args:
        step: 1 or more, in frames.
    Call arguments:
        inputs: (B, T, ...), frames or their mask.
    Output: (B, ⌈T / step⌉, ...).
    Raises:
        ValueError: `step` is below 1.
    """

    def __init__(self, step=4, **kwargs):
        super().__init__(**kwargs)
        self.step = _checks.at_least("TakeEvery", "step", step, 1, "frame", "4 is usual.")

    def call(self, inputs):
        """Takes the frames; see the class."""
        return inputs[:, :: self.step]

    def compute_output_shape(self, input_shape):
        """(B, T, ...) to (B, ⌈T / step⌉, ...)."""
        batch, frames, *rest = input_shape
        taken = None if frames is None else -(-frames // self.step)
        return tf.TensorShape([batch, taken, *rest])

    def get_config(self):
        """All constructor arguments."""
        return {**super().get_config(), "step": self.step}


def build_slowfast(config: SoraConfig, num_classes: int) -> VideoModel:
    """A small SlowFast; the global vector is both pathways side by side, (B, 576).

    Of the config it takes the frames, the size and the dropout; it has no vectors of frames. Padded
    frames are zeros throughout: what they hold changes nothing, and a clip padded at its end gives
    what the bare one gives, exactly once trained; in training the norms count them. Where frames
    are missing inside a clip, the slow pathway goes without those it would have taken.

    Reference: Feichtenhofer et al., "SlowFast Networks for Video Recognition", ICCV 2019.
    """
    clip = clip_inputs(config.frames, (*config.size, 3))
    fast_mask = clip[MASK]
    slow_mask = TakeEvery(ALPHA, name="slow_mask")(fast_mask)
    fast = pictures(clip)
    slow = TakeEvery(ALPHA, name="slow_pictures")(fast)
    slow = _stem(slow, slow_mask, STEM, 1, "slow_stem")
    fast = _stem(fast, fast_mask, STEM // INVERSE_BETA, 5, "fast_stem")
    plan = zip(WIDTHS, DEPTHS, SLOW_KERNELS, FAST_KERNELS, strict=True)
    for stage, (width, depth, slow_kernel, fast_kernel) in enumerate(plan):
        beside = _lateral(fast, slow_mask, f"lateral{stage}")
        slow = layers.Concatenate(name=f"fuse{stage}")([slow, beside])
        for block in range(depth):
            name = f"stage{stage}_block{block}"
            strides = 2 if stage > 0 and block == 0 else 1
            slow = _bottleneck(slow, slow_mask, width, slow_kernel, strides, f"slow_{name}")
            thin = width // INVERSE_BETA
            fast = _bottleneck(fast, fast_mask, thin, fast_kernel, strides, f"fast_{name}")
    ends = [pool(slow, slow_mask, "slow_pool"), pool(fast, fast_mask, "fast_pool")]
    vector = layers.Concatenate(name="both")(ends)
    return classify(clip, vector, config, num_classes, "slowfast")


def _stem(x, mask, channels, frames, name):
    x = convolve(x, channels, (frames, 7, 7), (1, 2, 2), name=name)
    x = layers.MaxPooling3D((1, 3, 3), strides=(1, 2, 2), padding="same", name=f"{name}_pool")(x)
    return ZeroMasked(name=f"{name}_real")([x, mask])


def _bottleneck(x, mask, width, frames, strides, name):
    """Over time and into the bottleneck, over space, out of it; beside it a shortcut."""
    wide = EXPANSION * width
    branch = convolve(x, width, (frames, 1, 1), name=f"{name}_into")
    branch = convolve(branch, width, (1, 3, 3), (1, strides, strides), name=f"{name}_space")
    branch = convolve(branch, wide, 1, activation=False, name=f"{name}_out")
    if strides > 1 or x.shape[-1] != wide:
        x = convolve(x, wide, 1, (1, strides, strides), activation=False, name=f"{name}_shortcut")
    x = layers.Add(name=f"{name}_add")([x, branch])
    x = layers.ReLU(name=f"{name}_relu")(x)
    return ZeroMasked(name=f"{name}_real")([x, mask])


def _lateral(fast, slow_mask, name):
    """What the fast pathway tells the slow: a convolution centred on each slow frame."""
    # Padding of its own: where "same" begins depends on T, so that a padded clip would differ.
    x = layers.ZeroPadding3D((LATERAL_KERNEL // 2, 0, 0), name=f"{name}_margin")(fast)
    x = convolve(
        x,
        LATERAL_WIDTH * fast.shape[-1],
        (LATERAL_KERNEL, 1, 1),
        (ALPHA, 1, 1),
        padding="valid",
        name=name,
    )
    return ZeroMasked(name=f"{name}_real")([x, slow_mask])
