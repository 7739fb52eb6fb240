"""What is heard: a vector for each window of sound, and a classifier of sounds."""

from dataclasses import dataclass, field

import tensorflow as tf

from sora_tf import _checks
from sora_tf._keras import keras
from sora_tf.data.sound import MelConfig
from sora_tf.data.sound_dataset import SOUND, SOUND_MASK
from sora_tf.layers.frames import FoldFrames, UnfoldFrames
from sora_tf.layers.loudness import LoudnessPool
from sora_tf.layers.pooling import MaskedMeanPool
from sora_tf.layers.statistics import CepstrumStatistics
from sora_tf.models.convolutions import NORM_MOMENTUM, conv, norm
from sora_tf.models.sora import GLOBAL_VECTOR, SCORES

layers = keras.layers

SOUND_VECTORS = "sound_vectors"
SMALLEST = 4  # what the convolutions leave of a window's time or bands, at least


@dataclass(frozen=True)
class SoundConfig:
    """A model of sound.

    Args:
        mel: how sound becomes log-mel windows.
        channels: output channels of each 3×3 convolution; each halves time and bands.
        coefficients: K of the cepstrum; 3·K - 1 statistics of it are a part of the vectors.
        features: length D of the vector per window, above 3·K - 1.
        dropout: share of what goes into the vectors, and of the pooled one, dropped in training.
    Raises:
        ValueError: a number out of its range, or more halvings than a window has room for.
    """

    mel: MelConfig = field(default_factory=MelConfig)
    channels: tuple[int, ...] = (8, 16, 32, 64)
    coefficients: int = 20
    features: int = 128
    dropout: float = 0.3

    def __post_init__(self) -> None:
        """Checks the ranges."""
        owner = "SoundConfig"
        remedy = "20 is usual."
        _checks.between(owner, "coefficients", self.coefficients, 2, self.mel.mels, remedy)
        plain, remedy = 3 * self.coefficients - 1, "128 is usual."
        _checks.above(owner, "features", self.features, plain, "statistics", remedy)
        _checks.between(owner, "dropout", self.dropout, 0.0, 0.9, "0 turns it off.")
        least = SMALLEST * 2 ** (len(self.channels) - 1)
        if (
            not self.channels
            or min(self.channels) < 1
            or min(self.mel.frames, self.mel.mels) < least
        ):
            raise ValueError(
                f"{owner}: channels must be 1 or more, one for each halving of {self.mel.frames} "
                f"spectra of {self.mel.mels} bands, got {self.channels}. Leave some out."
            )


def sound_inputs(config: SoundConfig, windows: int | None = None) -> dict[str, tf.Tensor]:
    """Keras inputs: {"sound": (B, S, F, M) float32, "sound_mask": (B, S) bool}.

    Args:
        config: gives F and M.
        windows: S; None for any number.
    """
    shape = (windows, config.mel.frames, config.mel.mels)
    return {
        SOUND: keras.Input(shape, name=SOUND),
        SOUND_MASK: keras.Input((windows,), dtype="bool", name=SOUND_MASK),
    }


def encode_sound(windows: tf.Tensor, mask: tf.Tensor, config: SoundConfig) -> tf.Tensor:
    """Adds the encoder to a graph, shared by all windows.

    The first values of a vector are statistics of the cepstrum, standardised, which a few dozen
    sounds are enough to learn from; the others come from convolutions over time and pitch.

    Args:
        windows: (B, S, F, M) float32, as `load_sound` makes them.
        mask: (B, S) bool; only its shape is used: vectors of windows that are not real are there,
            and mean nothing.
        config: the encoder.
    Output: (B, S, D) float32.
    """
    x = FoldFrames(name="sound_fold")(windows)  # (B·S, F, M)
    x = layers.Rescaling(0.25, offset=1.0, name="sound_rescale")(x)
    plain = CepstrumStatistics(config.coefficients, name="sound_statistics")(x)
    plain = _standardised(plain)
    x = layers.Reshape((*x.shape[1:], 1), name="sound_image")(x)
    for number, channels in enumerate(config.channels):
        x = conv(x, channels, 3, strides=2, name=f"sound_{number}")
    x = layers.Reshape((x.shape[1], -1), name="sound_in_time")(x)  # (B·S, F', M'·C)
    mean = layers.GlobalAveragePooling1D(name="sound_mean")(x)
    peak = layers.GlobalMaxPooling1D(name="sound_peak")(x)
    x = layers.Concatenate(name="sound_seen")([mean, peak])
    x = layers.Dropout(config.dropout, name="sound_dropout")(x)
    learnt = config.features - plain.shape[-1]
    x = layers.Dense(learnt, use_bias=False, name="sound_projection")(x)
    x = layers.ReLU(6.0, name="sound_relu")(norm(x, "sound"))
    x = layers.Concatenate(name="sound_both")([plain, x])
    x = UnfoldFrames(name="sound_unfold")([x, mask])
    return layers.Activation("linear", name=SOUND_VECTORS, dtype="float32")(x)


def build_sound_model(
    config: SoundConfig | None = None,
    num_classes: int | None = None,
    windows: int | None = None,
    encoder: keras.Model | None = None,
    shrink: float = 0.0,
) -> keras.Model:
    """Builds a model of sound.

    Args:
        config: None is `SoundConfig()`.
        num_classes: classes to tell apart; None leaves the classifier out.
        windows: S; None for any number (a file for TFLite needs one).
        encoder: what makes vectors of windows and has learnt before, such as `build_yamnet()`; its
            vectors are standardised, and those of loud windows count more. The number and the
            shape of windows are then its own, and of `config` only the dropout is used. None
            trains one from random weights.
        shrink: what the squares of the classifier's weights add to the loss. The long vectors of
            an encoder that has learnt before tell a few dozen clips apart in many ways; 30 over
            the number of training clips is a good start.
    Returns:
        A model from {"sound": (B, S, F, M), "sound_mask": (B, S)} to scores (B, num_classes)
        that sum to 1, or to the global vector (B, D), the mean over the real windows.
    Raises:
        ValueError: there are fewer than 2 classes, or `shrink` is below 0.
    """
    _checks.at_least("build_sound_model", "shrink", shrink, 0.0, "", "0 turns it off.")
    config = config or SoundConfig()
    if encoder is None:
        heard = sound_inputs(config, windows)
        vectors = encode_sound(heard[SOUND], heard[SOUND_MASK], config)
        x = MaskedMeanPool(name="sound_pooling")([vectors, heard[SOUND_MASK]])
    else:
        heard = encoder.input
        x = FoldFrames(name="sound_fold")(encoder(heard))
        x = UnfoldFrames(name=SOUND_VECTORS)([_standardised(x), heard[SOUND_MASK]])
        x = LoudnessPool(name="sound_pooling")([x, heard[SOUND], heard[SOUND_MASK]])
    x = layers.Activation("linear", name=GLOBAL_VECTOR, dtype="float32")(x)
    if num_classes is None:
        return keras.Model(heard, x, name="sound")
    remedy = "None leaves them out."
    _checks.at_least("build_sound_model", "num_classes", num_classes, 2, "classes", remedy)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    # Random weights of so many standardised values would shout: from zeros, all are alike at first.
    logits = layers.Dense(
        num_classes,
        kernel_initializer="zeros",
        kernel_regularizer=keras.regularizers.L2(shrink) if shrink else None,
        name="logits",
        dtype="float32",
    )(x)
    return keras.Model(heard, layers.Softmax(name=SCORES, dtype="float32")(logits), name="sound")


def _standardised(x):
    return layers.BatchNormalization(
        momentum=NORM_MOMENTUM, center=False, scale=False, name="sound_standardise"
    )(x)
