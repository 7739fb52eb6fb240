"""Models that run on video frame by frame, to stand beside ours, and their TensorFlow Lite files.

python benchmarks/streaming_peers.py --out DIR

It runs in the environment that streaming.py builds: TensorFlow's model garden has MoViNet and
needs more packages than sora_tf does. The weights are random: they do not change the time.

Reference: Kondratyuk et al., "MoViNets", CVPR 2021; Howard et al., "Searching for MobileNetV3",
ICCV 2019.
"""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from sora_tf._files import replacing
from sora_tf._keras import keras

LSTM_UNITS = 192  # the length of our frame vectors
NORM_MOMENTUM = 0.9  # ours; the peers' 0.99 and 0.999 never settle in a few hundred steps
CALIBRATION_FRAMES = 24
STEP = "step"


def movinet_backbone(shape, states):
    """MoViNet-A0 as its authors stream it (movinet_a0_stream of the model garden).

    Args:
        shape: of the input, (B, T, H, W, 3).
        states: whether the stream's states are inputs and outputs.
    """
    from official.projects.movinet.modeling import movinet

    return movinet.Movinet(
        model_id="a0",
        causal=True,
        conv_type="2plus1d",
        se_type="2plus3d",
        activation="hard_swish",
        gating_activation="hard_sigmoid",
        norm_momentum=NORM_MOMENTUM,
        use_sync_bn=False,
        stochastic_depth_drop_rate=0.2,
        use_external_states=states,
        input_specs=keras.layers.InputSpec(shape=shape),
    )


def movinet_classifier(backbone, shape, classes, states):
    """The authors' head on that: pooling over time, a hidden layer of 2048, logits."""
    from official.projects.movinet.modeling import movinet_model

    return movinet_model.MovinetClassifier(
        backbone,
        num_classes=classes,
        output_states=states,
        activation="hard_swish",
        dropout_rate=0.2,
        input_specs={"image": keras.layers.InputSpec(shape=shape)},
    )


def movinet_clip(frames, side, classes, checkpoint=None):
    """MoViNet-A0 for training: clips as ours takes them to scores.

    Args:
        frames, side: T and H = W of the clips.
        classes: how many.
        checkpoint: TensorFlow checkpoint of movinet_a0_stream (600 classes) to start from.
    """
    shape = (None, frames, side, side, 3)
    backbone = movinet_backbone(shape, states=False)
    if checkpoint:
        trained = movinet_classifier(backbone, shape, 600, states=False)
        tf.train.Checkpoint(model=trained).restore(checkpoint).assert_existing_objects_matched()
    classifier = movinet_classifier(backbone, shape, classes, states=False)
    clip = _clip_inputs(frames, side)
    x = keras.layers.Rescaling(1 / 255)(clip["frames"])
    return keras.Model(clip, keras.layers.Softmax()(classifier({"image": x})))


def mobilenet(side):
    """MobileNetV3-small as an extractor: frames (N, H, W, 3), values 0 to 255, to vectors."""
    model = keras.applications.MobileNetV3Small(
        (side, side, 3), weights=None, include_top=False, pooling="avg"
    )
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = NORM_MOMENTUM
    return model


def lstm_clip(frames, side, classes):
    """MobileNetV3-small on every frame and an LSTM over them, for training."""
    clip = _clip_inputs(frames, side)
    x = keras.layers.TimeDistributed(mobilenet(side))(clip["frames"])
    x = keras.layers.LSTM(LSTM_UNITS)(x)
    x = keras.layers.Dropout(0.2)(x)
    return keras.Model(clip, keras.layers.Dense(classes, activation="softmax")(x))


def _clip_inputs(frames, side):
    """What `clip_dataset` gives; no clip of the benchmark is padded, so the mask is not used."""
    return {
        "frames": keras.Input((frames, side, side, 3), name="frames", dtype="float32"),
        "mask": keras.Input((frames,), name="mask", dtype="bool"),
    }


def movinet_step(side, classes=2):
    """One frame and the states to logits and the new states: (model, function, its inputs)."""
    shape = (1, 1, side, side, 3)
    model = movinet_classifier(movinet_backbone(shape, True), shape, classes, states=True)
    specs = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        for name, spec in model.initial_state_specs(shape).items()
    }

    def step(inputs):
        logits, states = model(inputs, training=False)
        return {**states, "logits": logits}

    return model, step, {**specs, "image": tf.TensorSpec(shape, tf.float32, "image")}


def lstm_step(side, classes=2):
    """The same for MobileNetV3-small and one step of an LSTM."""
    features = mobilenet(side)
    image = keras.Input((side, side, 3), batch_size=1, name="image")
    states = [
        keras.Input((LSTM_UNITS,), batch_size=1, name=name) for name in ("state_h", "state_c")
    ]
    output, (h, c) = keras.layers.LSTMCell(LSTM_UNITS)(features(image), states)
    logits = keras.layers.Dense(classes)(output)
    model = keras.Model([image, *states], {"logits": logits, "state_h": h, "state_c": c})
    specs = {
        tensor.name: tf.TensorSpec(tensor.shape, tf.float32, tensor.name)
        for tensor in (image, *states)
    }
    return model, lambda inputs: model(inputs, training=False), specs


# What makes the step model, and the value of white in its pictures.
STEPS = {"movinet-a0-stream": (movinet_step, 1.0), "mobilenetv3-small-lstm": (lstm_step, 255.0)}


def calibration(step, specs, highest) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """A stream of noise up to `highest`, with the states it brings about, for int8's ranges."""
    rng = np.random.default_rng(0)
    run = tf.function(step)
    states = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in specs.items()}
    for _ in range(CALIBRATION_FRAMES):
        image = rng.uniform(0, highest, specs["image"].shape).astype(np.float32)
        inputs = {**states, "image": tf.constant(image)}
        yield STEP, {name: value.numpy() for name, value in inputs.items()}
        states |= {name: value for name, value in run(inputs).items() if name in specs}


def write_files(name: str, side: int, folder: Path) -> None:
    """Converts a peer to float32, dynamic-range and int8; a flavour that fails leaves its reason.

    Files are named PEER-SIDE-FLAVOUR.tflite, or .txt with the reason, and are not made twice.
    """
    paths = {
        flavour: folder / f"{name}-{side}-{flavour}.tflite"
        for flavour in ("float32", "dynamic", "int8")
    }
    missing = {
        flavour: path
        for flavour, path in paths.items()
        if not (path.exists() or path.with_suffix(".txt").exists())
    }
    if not missing:
        return
    make, highest = STEPS[name]
    model, step, specs = make(side)
    with tempfile.TemporaryDirectory() as saved:
        concrete = tf.function(step).get_concrete_function(specs)
        tf.saved_model.save(model, saved, signatures={STEP: concrete})
        for flavour, path in missing.items():
            converter = tf.lite.TFLiteConverter.from_saved_model(saved, signature_keys=[STEP])
            if flavour != "float32":
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            if flavour == "int8":
                converter.representative_dataset = lambda: calibration(step, specs, highest)
            try:
                made = converter.convert()
            except Exception as error:  # whatever the converter says is the finding
                path.with_suffix(".txt").write_text(f"{type(error).__name__}: {error}"[:500])
                continue
            with replacing(path) as beside:
                beside.write_bytes(made)
            print(f"{path.name} {len(made) / 1e6:.1f} MB", flush=True)


def main() -> None:
    """Writes the files of every peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, side in PEERS:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            write_files(name, side, options.out)


# Each at the picture size of its authors, and MobileNetV3 at ours too.
PEERS = (
    ("movinet-a0-stream", 172),
    ("mobilenetv3-small-lstm", 224),
    ("mobilenetv3-small-lstm", 112),
)


if __name__ == "__main__":
    main()
