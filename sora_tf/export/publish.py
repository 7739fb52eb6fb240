"""From a run to the files that others run: made beside, proved, then put in place."""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sora_tf._files import replacing
from sora_tf.export import flatbuffer
from sora_tf.export.clips import REFERENCE as KEPT
from sora_tf.export.clips import ClipSet, gather
from sora_tf.export.errors import ExportError
from sora_tf.export.measure import Arrays
from sora_tf.export.onnx import onnx_operations, write_onnx
from sora_tf.export.receipt import (
    BOUNDS,
    REFERENCE,
    begun_receipt,
    digest,
    judge,
    keras_answers,
    size_bytes,
    table,
    write_receipt,
)
from sora_tf.export.saved_model import check_saved_model, write_saved_model
from sora_tf.export.signature import Deployable
from sora_tf.export.tflite import CALIBRATED, FLAVOURS, write_tflite
from sora_tf.train.run import Run

LOG = logging.getLogger(__name__)
TFLITE = tuple(FLAVOURS)
FORMATS = ("saved_model", "onnx", *TFLITE)
GROUPS = {"all": FORMATS, "tflite": TFLITE}


def formats_named(names: Sequence[str]) -> tuple[str, ...]:
    """Formats by name, with groups spelled out.

    Raises:
        ExportError: there is no such format.
    """
    found: dict[str, None] = {}
    for name in names:
        if name not in FORMATS and name not in GROUPS:
            raise ExportError(
                f"there is no format {name!r}. Choose from {', '.join((*GROUPS, *FORMATS))}."
            )
        found |= dict.fromkeys(GROUPS.get(name, (name,)))
    return tuple(found)


def export_run(
    run: Run,
    formats: Sequence[str],
    out: Path,
    *,
    name: str = "sora",
    version: int | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Exports a run; each artefact appears proved or not at all.

    Args:
        run: a run with a model.
        formats: of `FORMATS` or `GROUPS`.
        out: the folder for the artefacts and their receipt.
        name: what TensorFlow Serving calls the model.
        version: its version; None is one more than the last.
        cache: folder of decoded clips; None decodes afresh.
        progress: called with (clips read, clips in all).

    Returns:
        {"artefacts": {path in `out`: what was measured}, "failed": {format: why}}.

    Raises:
        ExportError: a format that is none, or no clip to calibrate and judge with.
        RunError: no run, or no model in it.
    """
    wanted = formats_named(formats)
    receipt = begun_receipt(out)
    what = Deployable.of(run)
    if what.why_no_step:
        LOG.info("exported without a step: %s", what.why_no_step)
    calibrate = any(name in CALIBRATED for name in wanted)
    calibration, clips, skipped = gather(run, what, calibrate, cache, progress)
    truth = keras_answers(what.clip, clips)
    receipt["clips"] = {"calibration": len(calibration), "judged": len(clips), "skipped": skipped}
    return publish(
        [t for k in wanted for t in _targets(k, what, out, calibration, name, version)],
        lambda path, name, kind, scratch: judge(path, name, clips, truth, BOUNDS[kind], scratch),
        run,
        out,
        receipt,
        (clips, truth),
        table,
    )


@dataclass(frozen=True)
class Target:
    """A file to make.

    Args:
        format: of `FORMATS`.
        path: where it goes.
        write: writes it to a path, and returns facts about it.
    """

    format: str
    path: Path
    write: Callable[[Path], dict[str, Any]]


def publish(
    targets: Sequence[Target],
    judged: Callable[[Path, str, str, Path], dict[str, Any]],
    run: Run,
    out: Path,
    receipt: dict[str, Any],
    shown: tuple[ClipSet, Arrays],
    draw: Callable[[dict[str, dict[str, Any]]], str],
) -> dict[str, Any]:
    """Makes files beside, proves them, puts them in place and writes their receipt.

    Args:
        targets: the files.
        judged: measures a file of some name and format with a folder for what is needed in
            between; an ExportError where it is not good.
        run: what they are made of.
        out: the folder that they are named within.
        receipt: from `begun_receipt`; takes what is made.
        shown: the clips they are judged on, and what Keras says of them; the first are kept, for
            `sora-tf verify`.
        draw: shows artefacts as Markdown.

    Returns:
        {"artefacts": {path in `out`: what was measured}, "failed": {path: why}}.
    """
    made: dict[str, Any] = {}
    failed: dict[str, str] = {}
    model_digest = digest(run.model_path)
    with tempfile.TemporaryDirectory() as scratch:
        for target in targets:
            name = str(target.path.relative_to(out))
            LOG.info("making and checking %s", name)
            try:
                with replacing(target.path) as beside:
                    facts = target.write(beside)
                    found = judged(beside, name, target.format, Path(scratch))
                    made[name] = {
                        "format": target.format,
                        "bytes": size_bytes(beside),
                        "sha256": digest(beside),
                        "model_sha256": model_digest,
                        **found,
                        **facts,
                    }
            except ExportError as error:
                failed[name] = str(error)
    if made:
        receipt["artefacts"] |= made
        kept, truth = shown[0].first(KEPT), shown[1]
        with replacing(out / REFERENCE) as beside:
            kept.save(beside, **{f"keras_{n}": v[: len(kept)] for n, v in truth.items()})
        write_receipt(out, receipt, draw(receipt["artefacts"]))
    return {"artefacts": made, "failed": failed}


def _targets(kind, what, out, calibration, name, version):
    """The files of a format."""
    if kind == "saved_model":
        yield Target(kind, version_folder(out, name, version), partial(_saved_model, what))
    elif kind == "onnx":
        for part in ("clip", "step") if what.step is not None else ("clip",):
            yield Target(kind, out / f"{part}.onnx", partial(_onnx, what, part))
    else:
        write = partial(_tflite, what, kind, calibration)
        yield Target(kind, out / f"{kind}.tflite", write)


def _saved_model(what: Deployable, path: Path) -> dict[str, Any]:
    write_saved_model(what, path)
    return check_saved_model(path)


def _onnx(what: Deployable, part: str, path: Path) -> dict[str, Any]:
    write_onnx(what, part, path)
    return {"operations": onnx_operations(path)}


def _tflite(what: Deployable, kind: str, calibration: ClipSet, path: Path) -> dict[str, Any]:
    clips = list(zip(calibration.frames, calibration.mask, strict=True)) if len(calibration) else []
    write_tflite(what, kind, path, clips)
    return tflite_facts(path, kind)


def tflite_facts(path: Path, kind: str) -> dict[str, Any]:
    """The operations and signatures of a TFLite file.

    Raises:
        ExportError: an operation that is not built in, or that phones do not run.
    """
    model = flatbuffer.read(path.read_bytes())
    found = flatbuffer.operations(model)
    flatbuffer.check_builtin(found, f"{kind}.tflite")
    rank = flatbuffer.largest_convolution_rank(model)
    if rank > 4:
        raise ExportError(f"{kind}.tflite has convolutions over {rank} dimensions, 4 at most run.")
    return {"operations": found, "signatures": flatbuffer.signatures(model)}


def version_folder(out: Path, name: str, version: int | None) -> Path:
    """Where TensorFlow Serving looks for a version of a model; None is one more than the last."""
    home = out / "serving" / name
    numbers = (
        [int(p.name) for p in home.glob("[0-9]*") if p.name.isdigit()] if home.is_dir() else []
    )
    return home / str(version or max(numbers, default=0) + 1)
