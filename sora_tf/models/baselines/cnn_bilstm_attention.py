"""A CNN on every frame, an LSTM in each direction, and attention over the frames."""

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.layers.pooling import SpaceTimeAttentionPool
from sora_tf.models.baselines.classifier import classify, hidden_width
from sora_tf.models.extractor import clip_inputs, extract, without_memory
from sora_tf.models.sora import FRAME_VECTORS
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers

HEADS = 1  # one weight a frame, as in Bahdanau, Cho and Bengio, ICLR 2015, equation 6


def build_cnn_bilstm_attention(config: SoraConfig, num_classes: int) -> VideoModel:
    """The states of a bidirectional LSTM, averaged by attention.

    Padded frames are skipped: what they hold changes nothing, and a padded clip gives what the
    bare one gives. `FRAME_VECTORS` are the states of both directions side by side.

    Reference: Aktı, Tataroğlu and Ekenel, "Vision-based Fight Detection from Surveillance
        Cameras", IPTA 2019, for the design (there on Xception).
    """
    clip = clip_inputs(config.frames, (*config.size, 3))
    _, vectors = extract(clip, without_memory(config.extractor))
    lstm = layers.LSTM(hidden_width(config), return_sequences=True, name="lstm")
    states = layers.Bidirectional(lstm, name="bilstm")(vectors, mask=clip[MASK])
    states = layers.Activation("linear", name=FRAME_VECTORS, dtype="float32")(states)
    vector = SpaceTimeAttentionPool(HEADS, name="pooling")([states, clip[MASK]])
    return classify(clip, vector, config, num_classes, "cnn_bilstm_attention")
