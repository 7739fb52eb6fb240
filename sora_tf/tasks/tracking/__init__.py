"""Identities over the frames of a video: linking, counting, drawing, measuring."""

from sora_tf.tasks.tracking.counting import Counts
from sora_tf.tasks.tracking.files import read_mot, write_mot
from sora_tf.tasks.tracking.marks import Line, Marks, Zone, read_marks
from sora_tf.tasks.tracking.metrics import tracking_metrics
from sora_tf.tasks.tracking.tracker import Tracker, TrackerSettings

__all__ = [
    "Counts",
    "Line",
    "Marks",
    "Tracker",
    "TrackerSettings",
    "Zone",
    "read_marks",
    "read_mot",
    "tracking_metrics",
    "write_mot",
]
