"""Exports a run as ONNX, clip and step: python export/onnx.py RUN."""

import sys

from sora_tf.cli import main

sys.exit(main(["export", "--to", "onnx", *sys.argv[1:]]))
