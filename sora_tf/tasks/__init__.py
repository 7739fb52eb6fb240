"""What users do with a model: name videos, turn them into vectors, follow what is in them."""

from sora_tf.tasks.classify import classify_files
from sora_tf.tasks.embed import embed_files, embed_to_table
from sora_tf.tasks.pseudo_label import pseudo_label, write_coco
from sora_tf.tasks.track import track_files
from sora_tf.tasks.tracking import Tracker, TrackerSettings, tracking_metrics
from sora_tf.tasks.windows import Reading, Window, read_windows

__all__ = [
    "Reading",
    "Tracker",
    "TrackerSettings",
    "Window",
    "classify_files",
    "embed_files",
    "embed_to_table",
    "pseudo_label",
    "read_windows",
    "track_files",
    "tracking_metrics",
    "write_coco",
]
