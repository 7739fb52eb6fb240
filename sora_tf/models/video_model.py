"""VideoModel: a Keras functional model that takes a clip with or without its padding mask."""

import tensorflow as tf

from sora_tf._keras import keras

FRAMES = "frames"
MASK = "mask"
PIXELS = 2**21  # at once; a CNN's maps take some 2 kB for each


def clips_at_once(frames: int, size: tuple[int, int]) -> int:
    """Clips whose maps fit a few GB of memory together, for running without training; 1 or more."""
    return max(1, PIXELS // (frames * size[0] * size[1]))


@keras.utils.register_keras_serializable(package="sora_tf")
class VideoModel(keras.Model):
    """A functional model over {"frames": (B, T, ...), "mask": (B, T) bool}.

    The mask is True where a frame is real and False where it pads a short clip. A bare array of
    frames will do as well, and then every frame is real, so `model.fit(clips, labels)` and
    `model.predict(clips)` work as with any Keras model.
    """

    input_spec = None  # Keras would refuse a bare array for a model of two inputs

    def call(self, inputs, training=None, mask=None):
        """Runs the graph.

        Args:
            inputs: frames (B, T, ...), or {"frames": ..., "mask": ...}, or [frames, mask].
            training: as in Keras.
            mask: as in Keras; not the padding mask.
        """
        if isinstance(inputs, dict):
            inputs = dict(inputs)
        elif isinstance(inputs, (list, tuple)):
            inputs = dict(zip((FRAMES, MASK), inputs, strict=True))
        else:
            inputs = {FRAMES: inputs}
        if MASK not in inputs:
            inputs[MASK] = tf.fill(tf.shape(inputs[FRAMES])[:2], True)
        return super().call(inputs, training=training, mask=mask)
