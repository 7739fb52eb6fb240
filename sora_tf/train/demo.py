"""The whole way in a few minutes: moving digits as files, a model, a baseline, an embedding."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from sora_tf._files import write_json
from sora_tf._progress import counting
from sora_tf.config import SoraConfig, micro
from sora_tf.data import Augment, make_digits, write_digits
from sora_tf.models.extractor import without_memory
from sora_tf.tasks.embed import embed_to_table
from sora_tf.tasks.windows import Reading
from sora_tf.train.fit import train_classifier
from sora_tf.train.run import Run
from sora_tf.train.settings import TrainConfig
from sora_tf.video import write

LOG = logging.getLogger(__name__)
COUNTS = {"train": 480, "val": 120, "test": 240}
# A mirrored clip moves the other way, which is another label.
AUGMENT = replace(Augment.none(), crop=0.1, colour=0.2)


def frame_average(config: SoraConfig) -> SoraConfig:
    """The same model without memory and without relation: the mean of single frames."""
    return replace(config, extractor=without_memory(config.extractor), relation=None)


def demo(
    out: str | os.PathLike[str],
    counts: dict[str, int] | None = None,
    epochs: int = 10,
    verbose: int | str = "auto",
) -> dict[str, Any]:
    """Writes moving digits, trains `micro` and a frame average on them, and embeds a new file.

    Args:
        out: folder for clips/, run/, baseline/, new.parquet and demo.json.
        counts: clips a split; None is 480, 120 and 240.
        epochs: passes over the training clips.
        verbose: as in `model.fit`.

    Returns:
        {"accuracy", "baseline_accuracy", "chance", "run", "embedding"}, also in demo.json.
    """
    folder = Path(out)
    clips = folder / "clips"
    config = micro()
    index = clips / "index.csv"
    if not index.is_file():
        LOG.info("writing moving digits: %s", clips)
        with counting("writing clips") as update:
            write_digits(clips, counts or COUNTS, config.frames, config.size[0], progress=update)
    training = TrainConfig(epochs=epochs, batch_size=16, learning_rate=2e-3)
    accuracies = {}
    for name, model in (("run", config), ("baseline", frame_average(config))):
        LOG.info("training %s: %s", name, folder / name)
        run = train_classifier(
            index, folder / name, model=model, training=training, augment=AUGMENT,
            cache=folder / "cache", verbose=verbose,
        )  # fmt: skip
        accuracies[name] = run.read_metrics()["accuracy"]
    new = str(folder / "new.mp4")
    write(new, make_digits(1, config.frames, 56, seed=1)[0][0], fps=8.0)
    table = folder / "new.parquet"
    best = Run(folder / "run")
    list(
        embed_to_table(best.load_model(), [new], Reading(config.frames, config.size), table, "demo")
    )
    result = {
        "accuracy": accuracies["run"],
        "baseline_accuracy": accuracies["baseline"],
        "chance": 0.25,
        "run": str(best.path),
        "embedding": str(table),
    }
    write_json(folder / "demo.json", result)
    return result
