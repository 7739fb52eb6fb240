"""The model that a verb is given: a run's, or `lite` with weights that come with the package."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from sora_tf.cli.common import digest

if TYPE_CHECKING:
    from sora_tf.config import SoraConfig


class Given(NamedTuple):
    """A model.

    Attributes:
        model: the model.
        key: what names its weights.
        config: what it is made from.
        fit: how pictures fill its size.
    """

    model: Any
    key: str
    config: "SoraConfig"
    fit: str

    @property
    def pretrained(self) -> bool:
        """Whether its CNN is one of ImageNet's."""
        from sora_tf.config import APPLICATIONS
        from sora_tf.models.backbones import LITE

        return self.config.extractor.block in (*LITE, *APPLICATIONS)


def given_model(
    verb: str, files: list[str], weights: str | None = None, size: tuple[int, int] | None = None
) -> tuple[Given, list[str]]:
    """The model and the files that a command line names.

    Args:
        verb: for messages.
        files: maybe a run, then files.
        weights: where there is no run; None are those that come with the package.
        size: pixels of a frame where there is no run; None are those of `lite`.
    Raises:
        ValueError: weights beside a run, no file after a run, or a name that is nothing.
    """
    if not os.path.isdir(files[0]):
        _check_there(files[0])
        return _of_package(weights, size), files
    if weights:
        raise ValueError(f"{verb}: {files[0]} has weights of its own. Leave --weights out.")
    if len(files) < 2:
        raise ValueError(f"{verb}: no file after the run {files[0]}. Name one or more.")
    return _of_run(files[0]), files[1:]


def _of_run(path: str) -> Given:
    from sora_tf.train.run import Run

    run = Run(path)
    config = run.read_config()
    return Given(run.load_model(), digest(run.model_path), config.model, config.fit)


def _of_package(weights: str | None, size: tuple[int, int] | None) -> Given:
    from dataclasses import replace

    from sora_tf.config import lite
    from sora_tf.models.shipped import ARRAYS, FOLDER, SHIPPED, load_shipped
    from sora_tf.models.sora import build_sora

    weights = weights or SHIPPED[0]
    config = replace(lite(), size=size or lite().size)
    model = build_sora(config, weights="imagenet")
    if weights not in SHIPPED:
        return Given(model, weights, config, "stretch")
    load_shipped(model, weights)
    return Given(model, digest(FOLDER / weights / ARRAYS), config, "stretch")


def _check_there(path: str) -> None:
    """Refuses a first name that is nothing, which may have been meant for a run's."""
    from sora_tf.data.index import is_url

    if not is_url(path) and not os.path.exists(path):
        raise ValueError(f"{path}: there is no such run or file. Correct the name.")
