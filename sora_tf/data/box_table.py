"""Boxes as a Parquet table, a row a box."""

import os
from collections.abc import Mapping, Sequence

from sora_tf._files import replacing
from sora_tf.data.boxes import NOBODY, Boxes, joined


def write_boxes(
    found: Mapping[str, Boxes], labels: Sequence[str], path: str | os.PathLike[str]
) -> None:
    """Writes the boxes of some videos, whole or not at all.

    Columns: path; frame, from 0; left, top, width, height, pixels; label, by name; score;
    identity, empty where there is none.

    Args:
        found: video → its boxes.
        labels: class names.
        path: the table.
    """
    import pyarrow
    import pyarrow.parquet as parquet

    boxes = joined(list(found.values()))
    columns = {
        "path": [video for video, own in found.items() for _ in range(len(own))],
        "frame": boxes.frames,
        **{name: boxes.boxes[:, i] for i, name in enumerate(("left", "top", "width", "height"))},
        "label": [labels[number] for number in boxes.labels],
        "score": boxes.scores,
        "identity": pyarrow.array(boxes.identities, mask=boxes.identities == NOBODY),
    }
    kinds = {"path": pyarrow.string(), "label": pyarrow.string()}
    arrays = {
        name: values
        if isinstance(values, pyarrow.Array)
        else pyarrow.array(values, kinds.get(name))
        for name, values in columns.items()
    }
    with replacing(path) as beside:
        parquet.write_table(pyarrow.table(arrays), beside)
