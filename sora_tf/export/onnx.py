"""ONNX models through tf2onnx: the clip and the step, with an open batch dimension."""

import logging
from collections import Counter
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import onnx
import tensorflow as tf

from sora_tf.export.errors import ExportError
from sora_tf.export.runtimes import NEXT
from sora_tf.export.signature import Deployable, clip_function, clip_spec, step_function, step_spec

OPSET = 17


def write_onnx(what: Deployable, part: str, path: Path) -> None:
    """Writes an ONNX file.

    Its metadata_props hold "labels" (a line each) and "sora_tf" (JSON, as `Deployable.facts_json`).

    Args:
        what: the model.
        part: "clip" (frames (B, T, H, W, 3) uint8 and mask (B, T) bool to scores, global_vector
            and frame_vectors) or "step" (see `models.streaming`; "next_state_…" becomes
            "state_…" of the next call), for causal models.
        path: where to.
    """
    if part == "clip":
        convert(clip_function(what), clip_spec(what, None), _told(what), path)
    else:
        convert(
            distinct(step_function(what), what.states), [step_spec(what, None)], _told(what), path
        )


def _told(what: Deployable) -> dict[str, str]:
    return {"labels": "\n".join(what.labels), "sora_tf": what.facts_json()}


def distinct(step: Callable[..., Any], states: Container[str]) -> Callable[..., Any]:
    """A step whose new states have names of their own: no two values of an ONNX graph share one."""
    return lambda inputs: {NEXT + n if n in states else n: v for n, v in step(inputs).items()}


def convert(
    function: Callable[..., Any], signature: list[Any], told: dict[str, str], path: Path
) -> None:
    """Writes a function as an ONNX file, with texts that it tells of itself."""
    import tf2onnx

    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    traced = tf.function(function, input_signature=signature)
    model, _ = tf2onnx.convert.from_function(traced, signature, opset=OPSET)
    onnx.helper.set_model_props(model, told)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def onnx_operations(path: Path) -> dict[str, int]:
    """How often each operation is used.

    Raises:
        ExportError: one that is not ONNX's own.
    """
    nodes = onnx.load(str(path), load_external_data=False).graph.node
    foreign = sorted({f"{node.domain}:{node.op_type}" for node in nodes if node.domain})
    if foreign:
        raise ExportError(
            f"the ONNX file uses {', '.join(foreign)}, which are not ONNX's own. Leave the layers "
            "that bring them out of the model."
        )
    return dict(sorted(Counter(node.op_type for node in nodes).items()))
