"""One picture: what a clip's label owes to how things look."""

from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.layers.frames import AllFrames
from sora_tf.models.baselines.classifier import classify
from sora_tf.models.baselines.real_frame import RealFrame
from sora_tf.models.extractor import clip_inputs, extract, without_memory
from sora_tf.models.sora import FRAME_VECTORS
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

layers = keras.layers


def build_single_frame(config: SoraConfig, num_classes: int) -> VideoModel:
    """The vector of the middle real frame. Its `FRAME_VECTORS` are that one, (B, 1, D).

    The other frames, padded ones among them, change nothing.
    """
    clip = clip_inputs(config.frames, (*config.size, 3))
    picture = RealFrame(0.5, name="middle_picture")([clip[FRAMES], clip[MASK]])  # (B, 1, H, W, 3)
    seen = {FRAMES: picture, MASK: AllFrames(name="middle_mask")(picture)}
    _, vectors = extract(seen, without_memory(config.extractor))
    vectors = layers.Activation("linear", name=FRAME_VECTORS, dtype="float32")(vectors)
    vector = layers.Flatten(name="middle_vector")(vectors)
    return classify(clip, vector, config, num_classes, "single_frame")
