"""A CNN on every frame and an LSTM over the frames."""

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.models.baselines.classifier import classify, hidden_width
from sora_tf.models.baselines.real_frame import RealFrame
from sora_tf.models.extractor import clip_inputs, extract, without_memory
from sora_tf.models.sora import FRAME_VECTORS
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers


def build_cnn_lstm(config: SoraConfig, num_classes: int) -> VideoModel:
    """The state of an LSTM after the last real frame.

    Padded frames are skipped: what they hold changes nothing, and a padded clip gives what the
    bare one gives. `FRAME_VECTORS` are the states after each frame.

    Reference: Donahue et al., "Long-term Recurrent Convolutional Networks for Visual Recognition
        and Description", CVPR 2015; there the scores of all frames are averaged.
    """
    clip = clip_inputs(config.frames, (*config.size, 3))
    _, vectors = extract(clip, without_memory(config.extractor))
    lstm = layers.LSTM(hidden_width(config), return_sequences=True, name="lstm")
    states = lstm(vectors, mask=clip[MASK])
    states = layers.Activation("linear", name=FRAME_VECTORS, dtype="float32")(states)
    last = RealFrame(1.0, name="last_state")([states, clip[MASK]])
    vector = layers.Flatten(name="last_vector")(last)
    return classify(clip, vector, config, num_classes, "cnn_lstm")
