"""Exports a run as TFLite in all five flavours: python export/tflite.py RUN."""

import sys

from sora_tf.cli import main

sys.exit(main(["export", "--to", "tflite", *sys.argv[1:]]))
