"""A trained run as files that others run: TensorFlow Serving, TFLite, ONNX, each with a receipt."""
