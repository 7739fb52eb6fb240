"""Clips in, batches of sound for `model.fit` out."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from sora_tf import _checks
from sora_tf.data.augment import blend
from sora_tf.data.dataset import EpochOrder, label_numbers
from sora_tf.data.index import Clip
from sora_tf.data.problems import Problems
from sora_tf.data.sound import MelConfig, windows_of
from sora_tf.data.sound_augment import SoundAugment
from sora_tf.video import VideoError
from sora_tf.video.audio import LIMIT_S, Sound, read_sound

SOUND, SOUND_MASK = "sound", "sound_mask"
KEPT_BYTES = 2**30


def sound_dataset(
    clips: Sequence[Clip],
    labels: Sequence[str],
    *,
    config: MelConfig | None = None,
    seconds: float = 10.0,
    batch_size: int = 8,
    training: bool = False,
    augment: SoundAugment | None = None,
    seed: int = 0,
    workers: int | None = None,
    limit: float = LIMIT_S,
    keep: int = KEPT_BYTES,
    problems: Problems | None = None,
) -> tf.data.Dataset:
    """Batches of sounds with their labels.

    Yields ({"sound": (B, S, F, M) float32, "sound_mask": (B, S) bool}, (B, classes) float32
    one-hot), S = `config.windows(seconds)`, the last batch with the clips that are left.
    `sound_mask` is False where a window holds no sound: of a short clip, of a film without a
    track.

    For evaluation the clips come in the order given, and of a longer one its middle is heard.
    For training the order is new in every epoch, longer clips are heard from a random place on,
    and `augment` changes them. The same seed gives the same batches, epoch by epoch, whatever the
    number of workers.

    A clip that cannot be read is left out, named in the log once, and noted in `problems`.

    Args:
        clips: of films or of sound files.
        labels: class names, in the order of the one-hot vector (see `labels_of`).
        config: how sound becomes windows; None is `MelConfig()`.
        seconds: of sound, for each clip.
        batch_size: clips in a batch, B.
        training: whether to shuffle, draw places and augment.
        augment: changes to training sounds; None changes nothing.
        seed: of order, places and augmentation.
        workers: clips read at the same time; None leaves it to tf.data.
        limit: most seconds of sound in a clip.
        keep: most bytes of decoded sound that are kept from epoch to epoch.
        problems: collects the clips that were skipped.
    Raises:
        ValueError: no clips, a label that is not in `labels`, or a number out of its range.
    """
    owner = "sound_dataset"
    _checks.above(owner, "seconds", seconds, 0, "s", "10 is usual.")
    _checks.at_least(owner, "batch_size", batch_size, 1, "clip", "8 is a good start.")
    _checks.at_least(owner, "keep", keep, 0, "bytes", "0 keeps nothing.")
    if workers is not None:
        _checks.at_least(owner, "workers", workers, 1, "", "None leaves it to tf.data.")
    numbers = label_numbers(owner, clips, labels)
    mel = config or MelConfig()
    change = augment if training and augment is not None else SoundAugment.none()
    count = max(1, round(seconds * mel.rate))
    noted = Problems() if problems is None else problems
    loader = _Loader(clips, mel.rate, count, training, limit, keep, noted)

    def load(index: tf.Tensor, seed: tf.Tensor) -> tuple[tf.Tensor, ...]:
        kinds = [tf.float32, tf.bool, tf.bool]
        samples, real, read = tf.numpy_function(loader.load, [index, seed], kinds)
        samples, real = tf.ensure_shape(samples, [count]), tf.ensure_shape(real, [count])
        return samples, real, tf.one_hot(tf.gather(numbers, index), len(labels)), seed, read

    def listen(samples, real, label, seed, read):
        samples = change.change_samples(samples, real, seed)
        mels, mask = windows_of(samples, real, mel)
        return change.change_mels(mels, seed), mask, label, seed

    def finish(mels, mask, label, seed):
        if change.mixup:
            mels, label = blend([mels, label], change.mixup, tf.bitwise.invert(seed[0]))
            mask = tf.logical_or(mask, tf.roll(mask, 1, axis=0))
        return {SOUND: mels, SOUND_MASK: mask}, label

    parallel = workers or tf.data.AUTOTUNE
    signature = (tf.TensorSpec((), tf.int64), tf.TensorSpec((2,), tf.int32))
    order = EpochOrder(clips, noted, seed, shuffle=training)
    dataset = tf.data.Dataset.from_generator(order, output_signature=signature)
    dataset = dataset.map(load, num_parallel_calls=parallel)
    dataset = dataset.filter(lambda samples, real, label, seed, read: read)
    dataset = dataset.map(listen, num_parallel_calls=parallel).batch(batch_size).map(finish)
    options = tf.data.Options()
    options.deterministic = True
    return dataset.prefetch(tf.data.AUTOTUNE).with_options(options)


@dataclass
class _Loader:
    """Reads clip number `index` and cuts `count` samples out of it."""

    clips: Sequence[Clip]
    rate: int
    count: int
    anywhere: bool
    limit: float
    keep: int
    problems: Problems
    kept: dict[int, Sound] = field(default_factory=dict, init=False)
    kept_bytes: int = field(default=0, init=False)

    def load(self, index: int, seed: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.bool_]:
        """Samples (N,), where they are real (N,), and whether the clip was read."""
        sound = self._sound(int(index))
        if sound is None:
            return np.zeros(self.count, np.float32), np.zeros(self.count, bool), np.False_
        spare = len(sound.samples) - self.count
        if spare <= 0:
            return np.pad(sound.samples, (0, -spare)), np.pad(sound.real, (0, -spare)), np.True_
        at = spare // 2
        if self.anywhere:
            at = int(np.random.default_rng(seed).integers(spare + 1))
        part = slice(at, at + self.count)
        return sound.samples[part], sound.real[part], np.True_

    def _sound(self, index: int) -> Sound | None:
        if index in self.kept:
            return self.kept[index]
        clip = self.clips[index]
        try:
            sound = read_sound(
                clip.path, rate=self.rate, start=clip.start, end=clip.end, limit=self.limit
            )
        except VideoError as error:
            self.problems.skip(clip.name, str(error))
            return None
        if sound.damage:
            self.problems.damage(clip.name, sound.damage)
        size = sound.samples.nbytes + sound.real.nbytes
        if self.kept_bytes + size <= self.keep:
            self.kept[index] = sound
            self.kept_bytes += size
        return sound
