"""What users do with a model: name videos, turn them into vectors."""

from sora_tf.tasks.classify import classify_files
from sora_tf.tasks.embed import embed_files, embed_to_table
from sora_tf.tasks.windows import Reading, Window, read_windows

__all__ = ["Reading", "Window", "classify_files", "embed_files", "embed_to_table", "read_windows"]
