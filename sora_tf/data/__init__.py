"""From folders and tables of clips to batches: index, split, cache, augmentation, cleaning."""

from sora_tf.data.augment import AUGMENTS, Augment, mixup
from sora_tf.data.box_dataset import box_dataset
from sora_tf.data.box_files import read_boxes
from sora_tf.data.boxes import Annotated, Boxes
from sora_tf.data.cache import ClipCache, clip_key
from sora_tf.data.clean import CleanReport, Finding, inspect_clips
from sora_tf.data.clip import collate, decode, load_clip, pad
from sora_tf.data.dataset import clip_dataset
from sora_tf.data.digits import make_digits, write_digits
from sora_tf.data.index import Clip, is_url, labels_of, read_index, write_index
from sora_tf.data.problems import Problems
from sora_tf.data.sound import MelConfig, SoundWindows, load_sound, sound_windows
from sora_tf.data.sound_augment import SoundAugment
from sora_tf.data.sound_dataset import sound_dataset
from sora_tf.data.splits import folds, split

__all__ = [
    "AUGMENTS",
    "Annotated",
    "Augment",
    "Boxes",
    "CleanReport",
    "Clip",
    "ClipCache",
    "Finding",
    "MelConfig",
    "Problems",
    "SoundAugment",
    "SoundWindows",
    "box_dataset",
    "clip_dataset",
    "clip_key",
    "collate",
    "decode",
    "folds",
    "inspect_clips",
    "is_url",
    "labels_of",
    "load_clip",
    "load_sound",
    "make_digits",
    "mixup",
    "pad",
    "read_boxes",
    "read_index",
    "sound_dataset",
    "sound_windows",
    "split",
    "write_digits",
    "write_index",
]
