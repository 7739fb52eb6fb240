"""Which frames and which regions of a clip counted, for its scores or its global vector."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from sora_tf._keras import keras
from sora_tf.models.sora import GLOBAL_VECTOR
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

LENGTH = 16  # frames, where a model takes any
POOLS = ("pool", "flatten")  # the layers that the last maps go into


class Attention(NamedTuple):
    """What counted in a clip.

    Attributes:
        frames: (T,), the share of each; they sum to 1, or are all 0 where nothing counted.
        regions: (T, h, w), the share of each region of the last maps; they sum to `frames`.
    """

    frames: np.ndarray
    regions: np.ndarray


class Attend:
    """Says what of a clip counted, by gradient times activation on the extractor's last maps.

    r[t,s] = max(0, Σ_c A[t,s,c]·∂y/∂A[t,s,c]), divided by its sum over t and s

    where A are the maps and y the score of a class, or half the squared length of the global
    vector, whose gradient is the vector itself: what it is made of.

    Args:
        model: from `build_sora`; weights are shared, not copied.
        label: number of the class; None asks about the global vector.
    Attributes:
        length: frames T of a clip that the model was made for.
    Raises:
        ValueError: the model gives no scores, or not for that class.
    Reference: Selvaraju et al., "Grad-CAM", ICCV 2017, with the gradient kept per region as in
        Draelos and Carin, "Use HiResCAM instead of Grad-CAM", 2020, equation 5.
    """

    def __init__(self, model: keras.Model, label: int | None = None):
        classes = model.output.shape[-1] if model.output.shape.rank == 2 else 0
        scored = model.layers[-1].name == "scores"
        if label is not None and not (scored and 0 <= label < classes):
            what = f"{classes} classes" if scored else "no classes"
            raise ValueError(
                f"Attend: label must be one of the model's, got {label} and {what}. Leave it out "
                "for the global vector."
            )
        self._label = label
        names = {layer.name for layer in model.layers}
        maps = model.get_layer(next(name for name in POOLS if name in names)).input
        asked = model.get_layer(GLOBAL_VECTOR).output if label is None else model.output
        inputs = dict(zip(model.input_names, model.inputs, strict=True))
        self.length = inputs[FRAMES].shape[1] or LENGTH
        self._model = VideoModel(inputs, [maps, asked], name="attend")

    def __call__(self, frames: np.ndarray, mask: np.ndarray | None = None) -> Attention:
        """What counted in a clip.

        Args:
            frames: (T, H, W, 3), values 0 to 255.
            mask: (T,) bool, True where a frame is real; None means all are.
        """
        mask = np.ones(len(frames), bool) if mask is None else mask
        maps, gradient = self._gradient(tf.cast(frames[None], tf.float32), tf.constant(mask[None]))
        found = np.maximum((maps * gradient).numpy().sum(axis=-1), 0.0)  # (T, h, w)
        found *= mask[:, None, None]
        regions = found / max(float(found.sum()), 1e-12)
        return Attention(regions.sum(axis=(1, 2)), regions)

    def _gradient(self, frames: tf.Tensor, mask: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(frames)
            maps, asked = self._model({FRAMES: frames, MASK: mask}, training=False)
            if self._label is None:
                target = 0.5 * tf.reduce_sum(tf.square(asked))
            else:
                target = asked[0, self._label]
        return maps, tape.gradient(target, maps)


def overlay(picture: np.ndarray, regions: np.ndarray, strength: float = 0.55) -> np.ndarray:
    """A picture (H, W, 3) uint8 with what counted in it (h, w) laid over in red."""
    from PIL import Image

    share = regions / max(float(regions.max()), 1e-12)
    small = Image.fromarray((255 * share).astype(np.uint8))
    height, width = picture.shape[:2]
    heat = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) / 255.0
    weight = (strength * heat)[..., None]
    grey = picture.mean(axis=-1, keepdims=True) * 0.5 + picture * 0.5
    return (grey * (1 - weight) + np.asarray([235, 60, 40]) * weight).astype(np.uint8)
