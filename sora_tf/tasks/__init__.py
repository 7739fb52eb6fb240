"""What users do with a model: name videos, turn them into vectors, summarise them."""

from sora_tf.tasks.classify import classify_files
from sora_tf.tasks.embed import embed_files, embed_to_table
from sora_tf.tasks.parts import Pace
from sora_tf.tasks.running import running
from sora_tf.tasks.summarize import Summary, summarize
from sora_tf.tasks.summary_files import summarize_files
from sora_tf.tasks.windows import Reading, Window, read_windows

__all__ = [
    "Pace",
    "Reading",
    "Summary",
    "Window",
    "classify_files",
    "embed_files",
    "embed_to_table",
    "read_windows",
    "running",
    "summarize",
    "summarize_files",
]
