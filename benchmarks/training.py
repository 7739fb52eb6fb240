"""Training throughput: ours beside what Keras alone offers and the baselines, at equal input.

python benchmarks/training.py [--batch 8] [--frames 16] [--side 112] [--rounds 5]

One training step of every model on the same batch, the models in turn, several rounds; one thread.
`lite` is shown twice: making the features of its frozen CNN, which is done once, and an epoch on
them, which is what is repeated.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import _machine

_machine.pin()

import numpy as np  # noqa: E402

from sora_tf._keras import keras  # noqa: E402
from sora_tf.config import lite, small  # noqa: E402
from sora_tf.models.baselines import BASELINES  # noqa: E402
from sora_tf.models.sora import build_sora, head_of, pooled_features  # noqa: E402
from sora_tf.models.video_model import FRAMES, MASK  # noqa: E402
from sora_tf.train.fit import compile_model  # noqa: E402
from sora_tf.train.settings import TrainConfig, usual_training  # noqa: E402

layers = keras.layers
CLASSES = 2
STEPS = 1000  # of the whole training, for the schedule alone


def keras_cnn_lstm(frames: int, side: int) -> keras.Model:
    """What Keras alone offers: MobileNetV2 on every frame by TimeDistributed, and an LSTM."""
    cnn = keras.applications.MobileNetV2(
        input_shape=(side, side, 3), alpha=0.5, include_top=False, weights=None, pooling="avg"
    )
    return keras.Sequential(
        [
            keras.Input((frames, side, side, 3)),
            layers.Rescaling(1 / 127.5, offset=-1.0),
            layers.TimeDistributed(cnn),
            layers.LSTM(256),
            layers.Dense(CLASSES, activation="softmax"),
        ]
    )


def keras_c3d(frames: int, side: int) -> keras.Model:
    """C3D's first five convolutions at half width, of Keras's own layers."""
    model = keras.Sequential([keras.Input((frames, side, side, 3)), layers.Rescaling(1 / 255)])
    for channels, pool in ((32, (1, 2, 2)), (64, 2), (128, 2), (256, 2), (256, 2)):
        model.add(layers.Conv3D(channels, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling3D(pool))
    model.add(layers.GlobalAveragePooling3D())
    model.add(layers.Dense(CLASSES, activation="softmax"))
    return model


def steps_of(options: argparse.Namespace) -> dict[str, Callable[[], None]]:
    """Name → one training step on the batch."""
    rng = np.random.default_rng(0)
    shape = (options.batch, options.frames, options.side, options.side, 3)
    clip = {
        FRAMES: rng.integers(0, 256, shape).astype(np.float32),
        MASK: np.ones(shape[:2], bool),
    }
    truth = keras.utils.to_categorical(rng.integers(0, CLASSES, options.batch), CLASSES)
    config = replace(small(), frames=options.frames, size=shape[2:4])
    lite_config = replace(lite(), frames=options.frames, size=shape[2:4])

    def trained(model, inputs, settings=None):
        compile_model(model, settings or TrainConfig(), STEPS)
        return lambda: model.train_on_batch(inputs, truth)

    whole = build_sora(lite_config, CLASSES)
    extractor = pooled_features(whole)
    features = {FRAMES: extractor.predict(clip, verbose=0), MASK: clip[MASK]}
    return {
        "small": trained(build_sora(config, CLASSES), clip),
        "Keras CNN-LSTM": trained(keras_cnn_lstm(*shape[1:3]), clip[FRAMES]),
        "Keras C3D": trained(keras_c3d(*shape[1:3]), clip[FRAMES]),
        "our CNN with an LSTM": trained(BASELINES["cnn_lstm"](config, CLASSES), clip),
        "C3D, 1 M": trained(BASELINES["c3d"](config, CLASSES), clip),
        "SlowFast, 1 M": trained(BASELINES["slowfast"](config, CLASSES), clip),
        "lite, features (once)": lambda: extractor.predict_on_batch(clip),
        "lite, on features": trained(head_of(whole), features, usual_training(lite())),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--side", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    _machine.print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    steps = steps_of(options)
    spent: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(options.rounds + 1):
        for name, step in steps.items():
            begun = time.process_time()
            step()
            if number:  # the first traces
                spent[name].append(time.process_time() - begun)
    against = statistics.median(spent["Keras CNN-LSTM"])
    print(f"\nbatches of {options.batch} clips, {options.frames} frames, {options.side} px")
    print("| model | clips a second of processor | time over Keras CNN-LSTM's |")
    print("| --- | ---: | ---: |")
    for name, values in spent.items():
        middle = statistics.median(values)
        print(f"| {name} | {options.batch / middle:.1f} | {middle / against:.3f} |")


if __name__ == "__main__":
    main()
