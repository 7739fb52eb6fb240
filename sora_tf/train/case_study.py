"""The source paper's own case to the letter, and its CIFAR-10 listing made to run.

The case: clips of 100 frames of 28×28; two 3×3 convolutions (32 and 64 filters), each with a max
pool of 2 and the memory of the previous frame; a graph of all frames with α = 1; a 64-d global
vector; a support vector machine from scikit-learn on top.
"""

import contextlib
import os
import sys
from dataclasses import replace
from typing import Any

import numpy as np

from sora_tf._keras import keras
from sora_tf.config import ExtractorConfig, SoraConfig, micro
from sora_tf.data import make_digits
from sora_tf.models.extractor import build_spatial_feature_extractor
from sora_tf.models.relation import build_temporal_relation_model
from sora_tf.models.sora import GLOBAL_VECTOR, build_sora, embedder
from sora_tf.models.video_model import FRAMES, MASK, VideoModel

FRAMES_OF_CASE = 100
LAP = 10  # frames in which a digit goes round once: 100 frames are ten laps


def paper() -> SoraConfig:
    """`micro` with the paper's 100 frames."""
    return replace(micro(), frames=FRAMES_OF_CASE)


def moving_digits(
    clips: int = 320, epochs: int = 3, seed: int = 0, verbose: int | str = "auto"
) -> dict[str, Any]:
    """The paper's case on moving digits: what the support vector machine makes of the vectors.

    Args:
        clips: clips made; a quarter is held out, with digits of its own.
        epochs: passes over the training clips with a softmax head, which is then taken off.
        seed: decides clips and weights.
        verbose: as in `model.fit`.

    Returns:
        {"clips", "frames", "vector_length", "svm_accuracy", "untrained_svm_accuracy", "chance"}.
    """
    from sklearn.datasets import load_digits
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    images = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    held_out = clips // 4
    x, y, names = make_digits(clips - held_out, FRAMES_OF_CASE, 28, images[:1400], seed, places=LAP)
    x_test, y_test, _ = make_digits(
        held_out, FRAMES_OF_CASE, 28, images[1400:], seed + 1, places=LAP
    )
    keras.utils.set_random_seed(seed)
    model = build_sora(paper(), len(names))

    def svm_accuracy() -> float:
        vectors = embedder(model)
        train, test = (
            vectors.predict(part, batch_size=8, verbose=0)[GLOBAL_VECTOR] for part in (x, x_test)
        )
        machine = make_pipeline(StandardScaler(), SVC()).fit(train, y)
        return float(machine.score(test, y_test))

    untrained = svm_accuracy()
    # A sum over 100 frames is large, so the steps must be small.
    optimizer = keras.optimizers.Adam(2e-4, clipnorm=1.0)
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    truth = keras.utils.to_categorical(y, len(names))
    model.fit(x, truth, batch_size=8, epochs=epochs, verbose=verbose)
    return {
        "clips": clips,
        "frames": FRAMES_OF_CASE,
        "vector_length": int(embedder(model).output[GLOBAL_VECTOR].shape[-1]),
        "svm_accuracy": svm_accuracy(),
        "untrained_svm_accuracy": untrained,
        "chance": 1 / len(names),
    }


def cifar10(
    data: str | os.PathLike[str] | None = None,
    epochs: int = 5,
    seed: int = 0,
    verbose: int | str = "auto",
) -> dict[str, Any]:
    """The paper's CIFAR-10 listing: its two builders put together, every image a clip of one frame.

    Args:
        data: an .npz with x_train, y_train, x_test and y_test; None downloads by Keras's loader.
        epochs: passes over the training images.
        seed: decides the weights.
        verbose: as in `model.fit`.

    Returns:
        {"train_images", "test_images", "test_accuracy", "chance"}.

    Raises:
        ValueError: the file has other arrays.
    """
    (x, y), (x_test, y_test) = _load_cifar10(data)
    keras.utils.set_random_seed(seed)
    extractor = build_spatial_feature_extractor(
        x.shape[1:], ExtractorConfig("conv", (32, 64), (1, 1), memory=0.5, features=64)
    )
    relation = build_temporal_relation_model((None, 64), hidden_size=64)
    clip = {
        FRAMES: keras.Input((1, *x.shape[1:]), name=FRAMES),
        MASK: keras.Input((1,), name=MASK, dtype="bool"),
    }
    hidden = relation({FRAMES: extractor(clip), MASK: clip[MASK]})
    pooled = keras.layers.GlobalAveragePooling1D()(hidden)
    model = VideoModel(clip, keras.layers.Dense(10, activation="softmax")(pooled))
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[:, None], y, batch_size=64, epochs=epochs, verbose=verbose)
    _, accuracy = model.evaluate(x_test[:, None], y_test, batch_size=64, verbose=0)
    return {
        "train_images": len(x),
        "test_images": len(x_test),
        "test_accuracy": float(accuracy),
        "chance": 0.1,
    }


def _load_cifar10(data):
    if data is None:
        with contextlib.redirect_stdout(sys.stderr):  # where Keras says that it downloads
            return keras.datasets.cifar10.load_data()
    try:
        with np.load(data, allow_pickle=False) as file:
            return (file["x_train"], file["y_train"]), (file["x_test"], file["y_test"])
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"case-study: {data} must be an .npz with x_train, y_train, x_test and y_test, but: "
            f"{error}. Leave --data out to download CIFAR-10."
        ) from None
