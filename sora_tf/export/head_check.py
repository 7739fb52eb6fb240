"""Runs exported heads and holds their answers against Keras's, now or from a file of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from sora_tf._files import replacing
from sora_tf.export.errors import ExportError
from sora_tf.export.receipt import REFERENCE, check_file, size_bytes

SERVE = "serving_default"
HEAD = "head"  # marks the receipt of one
BOUNDS = {"saved_model": 1e-4, "float32": 1e-4, "float16": 1e-2, "dynamic": 0.1}  # from Keras

Arrays = dict[str, np.ndarray]
Case = tuple[Arrays, Arrays]  # what is given, what Keras answers


def saved_model(folder: Path) -> Callable[[Arrays], Arrays]:
    """What a SavedModel answers."""
    serve = tf.saved_model.load(str(folder)).signatures[SERVE]

    def answer(inputs: Arrays) -> Arrays:
        given = {name: tf.constant(values) for name, values in inputs.items()}
        return {name: values.numpy() for name, values in serve(**given).items()}

    return answer


def tflite(path: Path) -> Callable[[Arrays], Arrays]:
    """What a TFLite file answers."""
    runner = tf.lite.Interpreter(str(path)).get_signature_runner(SERVE)
    return lambda inputs: runner(**inputs)


RUNNERS: dict[str, Callable[[Path], Callable[[Arrays], Arrays]]] = {
    "saved_model": saved_model,
    "float32": tflite,
    "float16": tflite,
    "dynamic": tflite,
}


def difference(kind: str, path: Path, cases: list[Case], name: str) -> float:
    """How far a file's answers are from Keras's, at most.

    Args:
        kind: of the file, a key of `RUNNERS`.
        path: where it is.
        cases: what it is held against.
        name: what messages call it.
    Raises:
        ExportError: too far.
    """
    answer, worst = RUNNERS[kind](path), 0.0
    for given, wanted in cases:
        said = answer(given)
        gaps = [float(np.abs(said[output] - value).max()) for output, value in wanted.items()]
        worst = max(worst, *gaps)
    if not worst <= BOUNDS[kind]:
        raise ExportError(
            f"{name} answers {worst:.2g} otherwise than Keras, at most {BOUNDS[kind]:g} is due."
        )
    return worst


def write_cases(cases: list[Case], folder: Path) -> None:
    """Keeps cases for `verify_head`."""
    arrays = {
        f"{number}/{side}/{name}": values
        for number, case in enumerate(cases)
        for side, part in enumerate(case)
        for name, values in part.items()
    }
    with replacing(folder / REFERENCE) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, **arrays)


def read_cases(folder: Path) -> list[Case]:
    """The cases that `write_cases` kept.

    Raises:
        ExportError: they do not read.
    """
    cases: dict[int, Case] = {}
    try:
        with np.load(folder / REFERENCE, allow_pickle=False) as file:
            for key in file.files:
                number, side, name = key.split("/", 2)
                cases.setdefault(int(number), ({}, {}))[int(side)][name] = file[key]
    except (OSError, ValueError, IndexError) as error:
        raise ExportError(
            f"{folder / REFERENCE} does not read: {error}. Export the run again."
        ) from None
    return list(cases.values())


def verify_head(folder: Path, entries: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Runs exported heads again.

    Args:
        folder: the export's.
        entries: of its receipt, those to verify.
    Yields:
        {"path", "bytes", "difference"} or {"path", "error"}.
    Raises:
        ExportError: the reference does not read.
    """
    cases = read_cases(folder)
    for name, entry in entries.items():
        try:
            check_file(folder / name, entry)
            gap = difference(entry["format"], folder / name, cases, name)
            yield {"path": name, "bytes": size_bytes(folder / name), "difference": gap}
        except ExportError as error:
            yield {"path": name, "error": str(error)}
