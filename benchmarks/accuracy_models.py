"""The models of accuracy.py's tables, each with how it is trained; the first of each is ours."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from sora_tf.config import SoraConfig, lite, micro, small
from sora_tf.data import Augment
from sora_tf.models.baselines import BASELINES
from sora_tf.models.extractor import without_memory
from sora_tf.models.sora import build_sora
from sora_tf.models.video_model import VideoModel
from sora_tf.train.demo import AUGMENT as DIGITS_AUGMENT
from sora_tf.train.settings import TrainConfig, usual_training

Build = Callable[[SoraConfig, int], VideoModel]


@dataclass(frozen=True)
class Entry:
    """A model of the table.

    Args:
        build: (config, classes) to the model.
        config: what it is built from.
        training: how it is trained.
        augment: how its clips are varied; None stands on frozen features, of clips as they are.
    """

    build: Build
    config: SoraConfig
    training: TrainConfig
    augment: Augment | None = None


def on_features(config: SoraConfig | None = None, build: Build = build_sora) -> Entry:
    """A model on the frozen features of EfficientNet-Lite."""
    return Entry(build, config or lite(), usual_training(lite()))


def on_pixels(build: Build, config: SoraConfig) -> Entry:
    """A model that learns from pixels."""
    return Entry(build, config, usual_training(config), Augment())


def on_digits(build: Build = build_sora, config: SoraConfig | None = None) -> Entry:
    """A model that learns moving digits from pixels, as `sora-tf demo` does."""
    training = TrainConfig(epochs=10, batch_size=16, learning_rate=2e-3)
    return Entry(build, config or micro(), training, DIGITS_AUGMENT)


def micro_with(memory: bool = True, **other: object) -> SoraConfig:
    """`micro` with something else, with or without memory."""
    config = micro()
    extractor = config.extractor if memory else without_memory(config.extractor)
    return replace(config, extractor=extractor, **other)


def lite_with(change: bool = True, **relation: object) -> SoraConfig:
    """`lite` with another relation model, and with or without changes."""
    config = lite()
    extractor = config.extractor if change else without_memory(config.extractor)
    return replace(config, extractor=extractor, relation=replace(config.relation, **relation))


def weighted(alpha: str, **relation: object) -> SoraConfig:
    """`lite` with a trained round of messages behind the contrasts, on vectors of 256."""
    config = lite_with(alpha=alpha, blocks=1, units=256, dropout=0.2, **relation)
    return replace(config, extractor=replace(config.extractor, features=256))


def bare(change: bool = True, **other: object) -> SoraConfig:
    """`lite` without a relation model."""
    return replace(lite_with(change), relation=None, **other)


FILM = {
    "lite": on_features(),
    "no relation": on_features(bare()),
    "no memory": on_features(lite_with(change=False)),
    "frame mean": on_features(bare(change=False)),
    "single frame": on_features(bare(change=False, frames=1)),
    "CNN-LSTM": on_features(build=BASELINES["cnn_lstm"]),
    "CNN-BiLSTM-attention": on_features(build=BASELINES["cnn_bilstm_attention"]),
    "transformer": on_features(build=BASELINES["transformer"]),
    "contrast 1": on_features(lite_with(contrast=1)),
    "contrast 4": on_features(lite_with(contrast=4)),
    "not standardised": on_features(replace(lite(), standardise=False)),
    "+ attention": on_features(weighted("attention")),
    "+ gcn": on_features(weighted("gcn")),
    "+ learned": on_features(weighted("learned")),
    "+ similarity": on_features(weighted("similarity")),
    "+ attention, full edges": on_features(weighted("attention", edges="full")),
    "small": on_pixels(build_sora, small()),
    "C3D": on_pixels(BASELINES["c3d"], small()),
    "SlowFast": on_pixels(BASELINES["slowfast"], small()),
}


def large(config: SoraConfig, block: str = "lite0", peak: bool = True) -> SoraConfig:
    """The same model on `drone`'s large pictures of small things, on that Lite."""
    extractor = replace(config.extractor, block=block, peak=peak)
    return replace(config, size=(512, 640), extractor=extractor)


DRONE = {
    "lite": on_features(large(lite())),
    "no relation": on_features(large(bare())),
    "no memory": on_features(large(lite_with(change=False))),
    "no peaks": on_features(large(lite(), peak=False)),
    "frame mean": on_features(large(bare(change=False), peak=False)),
    "frame mean and peaks": on_features(large(bare(change=False))),
    "single frame": on_features(large(bare(change=False, frames=1), peak=False)),
    "CNN-LSTM": on_features(large(lite(), peak=False), BASELINES["cnn_lstm"]),
    "CNN-LSTM, peaks": on_features(large(lite()), BASELINES["cnn_lstm"]),
    "CNN-BiLSTM-attention": on_features(
        large(lite(), peak=False), BASELINES["cnn_bilstm_attention"]
    ),
    "transformer": on_features(large(lite(), peak=False), BASELINES["transformer"]),
    "lite2": on_features(large(lite(), "lite2")),
}
DIGITS = {
    "micro": on_digits(),
    "no relation": on_digits(config=micro_with(relation=None)),
    "no memory": on_digits(config=micro_with(memory=False)),
    "frame mean": on_digits(BASELINES["frame_mean"]),
    "single frame": on_digits(BASELINES["single_frame"]),
    "CNN-LSTM": on_digits(BASELINES["cnn_lstm"]),
    "CNN-BiLSTM-attention": on_digits(BASELINES["cnn_bilstm_attention"]),
    "transformer": on_digits(BASELINES["transformer"]),
    "C3D": on_digits(BASELINES["c3d"]),
    "SlowFast": on_digits(BASELINES["slowfast"]),
}
ENTRIES = {"fight": FILM, "drone": DRONE, "digits": DIGITS}
