"""Runs exported files again, here, and holds them against their receipt."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sora_tf.export import detector_check
from sora_tf.export.clips import ClipSet
from sora_tf.export.errors import ExportError
from sora_tf.export.head_check import HEAD, verify_head
from sora_tf.export.receipt import RECEIPT, REFERENCE, Bound, check_file, judge, read_receipt
from sora_tf.train.detector_run import DETECTOR


def verify(path: Path) -> Iterator[dict[str, Any]]:
    """Verifies an artefact, or all of an export folder.

    Args:
        path: a folder with a receipt, or an artefact in one.

    Yields:
        {"path", and what was measured on the reference clips, or "error"}; of the export of a
        head {"path", "bytes", "difference"} or the error.

    Raises:
        ExportError: there is no receipt for the path.
    """
    folder, names = _find(path.resolve())
    receipt = read_receipt(folder)
    if receipt.get("kind") == HEAD:
        entries = receipt["artefacts"]
        yield from verify_head(folder, {name: entries[name] for name in names or entries})
        return
    try:
        with np.load(folder / REFERENCE, allow_pickle=False) as file:
            kept = dict(file)
    except (OSError, ValueError) as error:
        raise ExportError(
            f"{folder / REFERENCE} does not read: {error}. Export the run again."
        ) from None
    clips = ClipSet(kept["frames"], kept["mask"], kept["truth"], len(kept["frames"]))
    truth = {n.removeprefix("keras_"): v for n, v in kept.items() if n.startswith("keras_")}

    def judged(path, name, bound, scratch):
        if receipt.get("kind") == DETECTOR:
            labels = receipt["labels"]
            allowed = detector_check.Bound(**bound)
            return detector_check.judge(path, name, clips, truth, labels, allowed, scratch)
        return judge(path, name, clips, truth, Bound(**bound), scratch)

    with tempfile.TemporaryDirectory() as scratch:
        for name in names or receipt["artefacts"]:
            entry = receipt["artefacts"][name]
            try:
                check_file(folder / name, entry)
                found = judged(folder / name, name, entry["bound"], Path(scratch))
                yield {"path": name, "bytes": entry["bytes"], **found}
            except ExportError as error:
                yield {"path": name, "error": str(error)}


def _find(path: Path) -> tuple[Path, list[str]]:
    """The folder with the receipt, and the artefact's name in it; none for the folder itself."""
    if (path / RECEIPT).is_file():
        return path, []
    for folder in path.parents:
        if (folder / RECEIPT).is_file():
            name = str(path.relative_to(folder))
            if name not in read_receipt(folder)["artefacts"]:
                break
            return folder, [name]
    raise ExportError(
        f"there is no receipt for {path}. Give an artefact, or the folder, that `sora-tf export` "
        "wrote."
    )
