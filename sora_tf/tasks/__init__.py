"""What users do with a model: name videos, embed, summarise, follow what is in them."""

from sora_tf.tasks.classify import classify_files
from sora_tf.tasks.detect import StreamingDetector
from sora_tf.tasks.embed import embed_files, embed_to_table
from sora_tf.tasks.parts import Pace
from sora_tf.tasks.pseudo_label import pseudo_label, write_coco
from sora_tf.tasks.running import running
from sora_tf.tasks.summarize import Summary, summarize
from sora_tf.tasks.summary_files import summarize_files
from sora_tf.tasks.track import track_files
from sora_tf.tasks.tracking import Tracker, TrackerSettings, tracking_metrics
from sora_tf.tasks.windows import Reading, Window, read_windows

__all__ = [
    "Pace",
    "Reading",
    "StreamingDetector",
    "Summary",
    "Tracker",
    "TrackerSettings",
    "Window",
    "classify_files",
    "embed_files",
    "embed_to_table",
    "pseudo_label",
    "read_windows",
    "running",
    "summarize",
    "summarize_files",
    "track_files",
    "tracking_metrics",
    "write_coco",
]
