"""Random changes to training clips, the same for every frame of a clip."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf import _checks

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma


@dataclass(frozen=True)
class Augment:
    """How strongly training clips are varied; the values given suit real video.

    Where left and right mean something (gestures, moving digits), set `flip=False`.

    Args:
        crop: largest share of the picture's side that is cut off, 0 to 0.9. What is left, at a
            random place, is scaled back to the full size.
        flip: whether half of the clips are mirrored left to right.
        turn: whether clips are turned by a random number of quarter turns, or, where pictures are
            not square, of half turns: for cameras that look straight down.
        colour: largest change of brightness, contrast and saturation, each drawn by itself as a
            factor from 1 - colour to 1 + colour; 0 to 1.
        speed: largest share of the clip's time that is left out, 0 to 0.9. The rest is played at
            the same number of frames, so at 0.5 up to twice as slowly.
        time_jitter: how far a frame may move from the middle of its segment of the clip; 0 stays
            in the middle, 1 may reach the segment's edges.
        erase: largest side of one box painted over with the clip's mean grey, as a share of the
            picture's side; 0 to 1.
        mixup: alpha of Beta(alpha, alpha), from which the blend of two clips and of their labels
            is drawn; 0 blends nothing, 0.2 is usual, 10 at most.
    Raises:
        ValueError: a number out of its range.
    Reference: mixup: Zhang, Cisse, Dauphin, Lopez-Paz 2018, equation 1; erase: Zhong et al. 2020;
        time_jitter: the segment sampling of Wang et al. 2016 (TSN).
    """

    crop: float = 0.25
    flip: bool = True
    turn: bool = False
    colour: float = 0.2
    speed: float = 0.25
    time_jitter: float = 1.0
    erase: float = 0.0
    mixup: float = 0.0

    def __post_init__(self) -> None:
        """Checks the ranges."""
        highest = {"crop": 0.9, "speed": 0.9, "mixup": 10.0}
        for name in ("crop", "colour", "speed", "time_jitter", "erase", "mixup"):
            high = highest.get(name, 1.0)
            _checks.between("Augment", name, getattr(self, name), 0.0, high, "0 turns it off.")

    @classmethod
    def none(cls) -> "Augment":
        """Leaves pictures, time and labels as they are."""
        return cls(0.0, False, False, 0.0, 0.0, 0.0, 0.0, 0.0)

    def to_dict(self) -> dict[str, Any]:
        """The fields as a dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Augment":
        """The Augment of such a dict; fields left out have their usual values.

        Raises:
            ValueError: a field of another name.
        """
        for name in values:
            _checks.one_of("Augment", "field", name, [field.name for field in fields(cls)])
        return cls(**values)

    def choose(self, available: int, frames: int, rng: np.random.Generator) -> np.ndarray:
        """Picks frames of a clip: one of each of `frames` equal segments of a random window.

        Args:
            available: frames there are, N.
            frames: frames wanted, T.
            rng: source of the window and of the places in the segments.
        Output: (min(N, T),) int64, rising.
        """
        if available <= frames:
            return np.arange(available)
        window = available * (1 - self.speed * rng.random())
        length = max(frames, round(window))
        edges = np.arange(frames + 1) * length // frames + rng.integers(available - length + 1)
        place = 0.5 + self.time_jitter * (rng.random(frames) - 0.5)
        return edges[:-1] + (place * np.diff(edges)).astype(int)

    def apply(self, frames: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Changes the pictures of one clip, all alike: crop, flip and turn; colour; erase.

        Args:
            frames: (T, H, W, 3) uint8.
            seed: (2,) int32; the same seed makes the same change.
        Output: (T, H, W, 3) uint8.
        """
        u = _draws(seed)
        change = frames
        if self.crop or self.flip:
            change = self._crop(change, self.part(seed))  # (T, H, W, 3) float32
        if self.turn:
            turned = tf.image.rot90(change, self.turns(seed, frames.shape[1:3]))
            change = tf.ensure_shape(turned, frames.shape)
        if self.colour:
            change = self._colour(change, u[4:7])
        if self.erase:
            change = self._erase(change, u[7], u[8:10])
        if change.dtype == tf.uint8:
            return change
        return tf.cast(tf.clip_by_value(tf.round(change), 0.0, 255.0), tf.uint8)

    def part(self, seed: tf.Tensor) -> tf.Tensor:
        """What `apply` keeps of the picture: top, left, bottom, right, in shares of its sides.

        A mirrored picture is read from right to left: left is the greater then.

        Args:
            seed: (2,) int32, as in `apply`.
        Output: (4,) float32.
        """
        u = _draws(seed)
        side = 1 - self.crop * u[0]
        top, left = tf.unstack(u[1:3] * (1 - side))
        right = left + side
        flipped = tf.logical_and(self.flip, u[3] < 0.5)
        sides = [top, tf.where(flipped, right, left), top + side, tf.where(flipped, left, right)]
        return tf.stack(sides)

    def turns(self, seed: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
        """By how many quarter turns, against the clock, `apply` turns what `part` keeps.

        Args:
            seed: (2,) int32, as in `apply`.
            size: height and width of the pictures.
        Output: () int32, 0 to 3; 0 or 2 where they are not square.
        """
        least = 1 if size[0] == size[1] else 2
        drawn = tf.cast(_draws(seed)[10] * (4 // least), tf.int32) * least
        return drawn if self.turn else tf.zeros_like(drawn)

    def _crop(self, frames: tf.Tensor, part: tf.Tensor) -> tf.Tensor:
        count, size = tf.shape(frames)[0], tf.shape(frames)[1:3]
        boxes = tf.repeat(part[None], count, axis=0)
        cut = tf.image.crop_and_resize(frames, boxes, tf.range(count), size)
        return tf.ensure_shape(cut, frames.shape)

    def _colour(self, frames: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
        bright, contrast, saturation = tf.unstack(1 + self.colour * (2 * u - 1))
        pixels = tf.cast(frames, tf.float32)
        grey = tf.constant(GREY)[:, None]  # (3, 1)
        mean = tf.reduce_sum(tf.reduce_mean(pixels, axis=(0, 1, 2)) * grey[:, 0])
        mix = saturation * tf.eye(3) + (1 - saturation) * tf.tile(grey, [1, 3])  # (3, 3)
        flat = tf.reshape(pixels, [-1, 3]) @ (bright * contrast * mix)
        changed = tf.reshape(flat + bright * (1 - contrast) * mean, tf.shape(frames))
        # A later step must see what a uint8 picture would have held.
        return tf.clip_by_value(tf.ensure_shape(changed, frames.shape), 0.0, 255.0)

    def _erase(self, frames: tf.Tensor, u: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
        pixels = tf.cast(frames, tf.float32)
        size = tf.cast(tf.shape(frames)[1:3], tf.float32)
        box = tf.round(self.erase * u * size)
        low = tf.round(at * (size - box))

        def inside(axis: int) -> tf.Tensor:
            line = tf.range(size[axis])
            return tf.logical_and(line >= low[axis], line < low[axis] + box[axis])

        hole = tf.logical_and(inside(0)[:, None], inside(1)[None, :])[..., None]  # (H, W, 1)
        return tf.where(hole, tf.reduce_mean(pixels), pixels)


def _draws(seed: tf.Tensor) -> tf.Tensor:
    return tf.random.stateless_uniform([11], seed)


def mixup(
    frames: tf.Tensor, mask: tf.Tensor, labels: tf.Tensor, alpha: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Blends every clip of a batch with the one before it, the first with the last.

    x'[b] = λ[b]·x[b] + (1 - λ[b])·x[b-1], the same for the labels; λ ~ Beta(alpha, alpha), the
    greater of λ and 1 - λ. A frame is real where it is in either clip.

    Args:
        frames: (B, T, H, W, 3) uint8.
        mask: (B, T) bool.
        labels: (B, classes) float32.
        alpha: above 0.
        seed: (2,) int32.
    Output: the same three, the labels still adding up to 1.
    Reference: Zhang, Cisse, Dauphin, Lopez-Paz 2018, equation 1.
    """
    mixed, labels = blend([frames, labels], alpha, seed)
    mixed = tf.cast(tf.round(mixed), tf.uint8)
    return mixed, tf.logical_or(mask, tf.roll(mask, 1, axis=0)), labels


def blend(batches: Sequence[tf.Tensor], alpha: float, seed: tf.Tensor) -> list[tf.Tensor]:
    """Blends the items of a batch as `mixup` does: each (B, ...), in float32."""
    draws = tf.random.stateless_gamma([2, tf.shape(batches[0])[0]], seed, alpha)
    share = draws[0] / tf.maximum(draws[0] + draws[1], 1e-30)  # Beta out of two gammas
    share = tf.maximum(share, 1 - share)

    def mixed(values: tf.Tensor) -> tf.Tensor:
        weight = tf.reshape(share, [-1] + [1] * (values.shape.rank - 1))
        values = tf.cast(values, tf.float32)
        return weight * values + (1 - weight) * tf.roll(values, 1, axis=0)

    return [mixed(values) for values in batches]


AUGMENTS = {
    "none": Augment.none(),
    "default": Augment(),
    "strong": Augment(crop=0.5, colour=0.4, speed=0.5, erase=0.4, mixup=0.2),
}
