"""Names for clips by what is seen, heard and said in them."""

from collections.abc import Iterator, Sequence
from typing import Any

from sora_tf._keras import keras
from sora_tf.data.fused import FusedClip
from sora_tf.tasks.nodes import NodeReader, stacked
from sora_tf.video import VideoError


def classify_fused(
    model: keras.Model, labels: Sequence[str], items: Sequence[FusedClip], reader: NodeReader
) -> Iterator[dict[str, Any]]:
    """Classifies clips, one answer a clip, as they are done.

    Args:
        model: from nodes to scores, see `build_fusion`.
        labels: its class names.
        items: the clips; their labels are not looked at.
        reader: reads the nodes that the model takes.

    Yields:
        {"path", "label", "scores": {label: score}, "known": the sets that the clip has, "windows":
        [], "damage": None}, or {"path", "error"} for a clip that does not read.
    """
    for item in items:
        path = item.clip.name
        try:
            nodes = stacked([reader.read(item)])
        except VideoError as error:
            yield {"path": path, "error": str(error)}
            continue
        scores = model.predict_on_batch(nodes)[0]
        yield {
            "path": path,
            "label": labels[int(scores.argmax())],
            "scores": {label: float(p) for label, p in zip(labels, scores, strict=True)},
            "known": [name for name in reader.shapes if nodes[f"{name}_mask"].any()],
            "windows": [],
            "damage": None,
        }
