"""Films of squares whose boxes are known, and a small detector that learns to find them."""

import json
from dataclasses import replace

import numpy as np

from sora_tf.config import DetectorConfig, ExtractorConfig
from sora_tf.data import Augment
from sora_tf.train import TrainConfig
from sora_tf.train.detector import train_detector
from sora_tf.video import write

SIZE = (64, 96)
MODEL = DetectorConfig(
    frames=3,
    step=0.1,
    size=SIZE,
    extractor=ExtractorConfig(channels=(8, 16, 24, 32), depths=(1, 1, 1, 1), memory=0.25),
    stride=4,
    channels=16,
    blocks=1,
    most=4,
    dropout=0.0,
)
TRAINING = TrainConfig(epochs=12, batch_size=4, learning_rate=5e-3)
AUGMENT = Augment(crop=0.0, flip=True, colour=0.1, speed=0.0)
COLOURS = {"red": (220, 60, 60), "blue": (60, 60, 220)}


def write_films(folder):
    """Twenty films of 8 frames, each with a red or a blue square that moves over noise."""
    rng = np.random.default_rng(0)
    boxes = {}
    for number in range(20):
        label = list(COLOURS)[number % 2]
        frames = rng.integers(60, 140, (8, *SIZE, 3), dtype=np.uint8)
        side = int(rng.integers(12, 25))
        x, y = rng.integers(8, SIZE[1] - side - 8), rng.integers(8, SIZE[0] - side - 8)
        dx, dy = rng.integers(-1, 2, 2)
        rows = []
        for frame in range(8):
            left, top = int(x + dx * frame), int(y + dy * frame)
            frames[frame, top : top + side, left : left + side] = COLOURS[label]
            rows.append([left, top, side, side])
        path = folder / label / f"{number}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, frames, fps=10)
        boxes[f"{label}/{number}"] = rows
    (folder / "boxes.json").write_text(json.dumps(boxes))
    return folder


def train(films, out, **settings):
    """A finished run of MODEL in `out`; settings of TRAINING may be changed."""
    callbacks = settings.pop("callbacks", ())
    return train_detector(
        films, films / "boxes.json", out, model=MODEL, each=3,
        training=replace(TRAINING, **settings), augment=AUGMENT, callbacks=callbacks, verbose=0,
    )  # fmt: skip
