"""What all verbs share: exit codes, how answers and complaints are printed."""

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse

    from sora_tf.tasks.windows import Reading
    from sora_tf.train.run import RunConfig

    Verb = Callable[["argparse.Namespace"], int]
    # Adds a verb by its name and its function, whose docstring is its help.
    AddVerb = Callable[[str, Verb], "argparse.ArgumentParser"]

OK, FAILED, SOME_FAILED, INTERRUPTED = 0, 1, 3, 130


def reading_of(config: "RunConfig", seconds: float | None, step: float | None) -> "Reading":
    """How a run reads files."""
    from sora_tf.tasks.windows import Reading

    return Reading(config.model.frames, config.model.size, config.fit, seconds, step)


def verbosity(args: "argparse.Namespace") -> int:
    """Keras's: a bar in a terminal, a line an epoch elsewhere, nothing with --json."""
    if args.json:
        return 0
    return 1 if sys.stdout.isatty() else 2


def print_json(value: Any, indent: int | None = 2) -> None:
    """Prints a value for machines."""
    print(json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False), flush=True)


def complain(text: str) -> None:
    """Says what went wrong, on standard error, in one line whatever a file's name holds."""
    print("sora-tf: " + text.replace("\n", "\\n"), file=sys.stderr, flush=True)


def complain_of_damage(answer: dict[str, Any]) -> None:
    """Says what was wrong with a file that was answered all the same, if anything was."""
    damage, path = answer["damage"], answer["path"]
    if damage:
        complain(damage if damage.startswith(path) else f"{path}: {damage}")


def reason_of(error: Exception) -> str:
    """What an error says, in one line."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split()) or type(error).__name__


def digest(path: str | os.PathLike[str]) -> str:
    """What names a file by what is in it, and a folder by where it is."""
    if os.path.isdir(path):
        return os.path.abspath(path)
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def print_answers(
    answers: Iterable[dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
    args: argparse.Namespace,
) -> int:
    """Prints answers as they come, a file each; returns the exit code."""
    failed = 0
    for answer in answers:
        failed += "error" in answer
        if args.json:
            print_json(answer, indent=None)
        elif "error" in answer:
            complain(answer["error"])
        else:
            show(answer)
    return code(failed, len(args.files))


def code(failed: int, total: int) -> int:
    """The exit code of a batch."""
    if not failed:
        return OK
    return FAILED if failed == total else SOME_FAILED


def report(metrics: dict[str, Any], path: Any, args: argparse.Namespace) -> int:
    """Prints what a run scored; returns the exit code."""
    if args.json:
        print_json(metrics)
    else:
        print(
            f"{metrics['part']}: {metrics['accuracy']:.1%} of {metrics['clips']} clips right, "
            f"macro F1 {metrics['macro_f1']:.3f}; {len(metrics['skipped'])} skipped"
        )
        for label, row in metrics["per_class"].items():
            print(
                f"  {label}: precision {row['precision']:.3f}, recall {row['recall']:.3f}, "
                f"F1 {row['f1']:.3f} ({row['clips']} clips)"
            )
        print(f"run: {path} (metrics.json, predictions.csv, curves.png, confusion.png)")
    return SOME_FAILED if metrics["skipped"] else OK
