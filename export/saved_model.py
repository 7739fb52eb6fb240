"""Exports a run as a SavedModel for TensorFlow Serving: python export/saved_model.py RUN."""

import sys

from sora_tf.cli import main

sys.exit(main(["export", "--to", "saved_model", *sys.argv[1:]]))
