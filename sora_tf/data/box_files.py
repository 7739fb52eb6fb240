"""From a file of boxes and a list of clips to the boxes of each video."""

import logging
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sora_tf.data.box_formats import Row, read_rows
from sora_tf.data.boxes import NOBODY, Annotated, Boxes
from sora_tf.data.index import Clip
from sora_tf.video import VideoError, probe

LOG = logging.getLogger(__name__)
THING = "object"  # the class of boxes where neither file nor clip names one
MOST_LOST = 0.5  # of a video's boxes outside its picture, before they count as another video's
# Ultralytics writes the boxes of frame 12 of NAME.mp4 to NAME_12.txt; others pad the number.
NUMBERED = re.compile(r"(?P<video>.+?)_?(?P<frame>\d+)")


def read_boxes(
    source: str | os.PathLike[str], clips: Sequence[Clip], labels: Sequence[str] | None = None
) -> tuple[dict[str, Annotated], tuple[str, ...]]:
    """What a file knows of the clips' videos, and the names of its classes.

    COCO's JSON ("images" of "videos" with a "frame_id", or each a file of its own); a JSON
    {"video": [for each frame null, a box, or a list of boxes]}, a box being [left, top, width,
    height] in pixels and, where wanted, its class; MOT's text (frames from 1), one file for one
    video, or a folder of VIDEO.txt or VIDEO/gt/gt.txt; a folder of YOLO's texts, one a frame,
    VIDEO_12.txt for frame 12, from 0 if there is a frame 0 and from 1 otherwise. Class names of
    texts stand in classes.txt beside them. Where the file has no classes, the clip's label is its
    boxes' class.

    A video is found by the name that the file calls it, with or without folders and extension.
    What hangs out of the picture is cut off; boxes wholly outside are left out. A frame is known
    to have no box where JSON says so or YOLO's text of it is empty; MOT cannot say so.

    Args:
        source: the file, or the folder of texts.
        clips: of the videos; one without boxes in the file is not among what is returned.
        labels: class names to label boxes by, boxes of others being left out; None takes all
            there are, sorted.

    Returns:
        {path of a video: its boxes, and the frames whose boxes are known}; and the class names by
        whose place boxes are labelled.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is of no known form, a row is wrong, no clip's video is in it, or most of
            the boxes of a video lie outside its picture.
    """
    rows = read_rows(Path(source))
    videos = {clip.path: clip for clip in clips}
    places = _Places(list(videos))
    found: dict[str, list[Row]] = defaultdict(list)
    lacking: set[str] = set()
    for row in rows:
        path, frame = places.of(row.video)
        if path is None:
            lacking.add(str(row.video))
        else:
            found[path].append(row if frame is None else replace(row, frame=frame))
    if not found:
        raise ValueError(
            f"read_boxes: {source} must hold boxes of the clips, but none of its {len(lacking)} "
            f"videos ({', '.join(sorted(lacking)[:3])}, ...) is among them. Check the names."
        )
    if lacking:
        LOG.warning(
            "%s: %d videos are not among the clips, %s first", source, len(lacking), min(lacking)
        )
    return _labelled(source, found, videos, labels)


class _Places:
    """Which of some files a name means, and which frame of it."""

    def __init__(self, paths: Sequence[str]):
        self.names: dict[str, set[str]] = defaultdict(set)
        for path in paths:
            parts = Path(path).with_suffix("").parts
            for start in range(len(parts)):
                self.names["/".join(parts[start:])].add(path)
        self.paths = paths

    def of(self, name: str | None) -> tuple[str | None, int | None]:
        """The path, None where there is none; and the frame, None where the name has no number."""
        if name is None:
            return self._only(), None
        whole = name.strip("/")
        for key in (whole, str(Path(whole).with_suffix(""))):
            if path := self._one(key):
                return path, None
        match = NUMBERED.fullmatch(Path(whole).stem)
        path = match and self._one(match["video"])
        return (path, int(match["frame"])) if match and path else (None, None)

    def _only(self):
        if len(self.paths) != 1:
            raise ValueError(
                f"read_boxes: the text names no video, so there must be one, got "
                f"{len(self.paths)}. Give a folder with a text for each video."
            )
        return self.paths[0]

    def _one(self, key):
        paths = self.names.get(key, ())
        if len(paths) > 1:
            raise ValueError(
                f"read_boxes: {key!r} may be {' or '.join(sorted(paths)[:2])}. Name its folder too."
            )
        return next(iter(paths), None)


def _labelled(source, found, videos, labels):
    """Rows of each video as boxes, with the names of all classes."""
    names = {
        row.label or _class_of(videos[path])
        for path, rows in found.items()
        for row in rows
        if row.box is not None
    }
    labels = tuple(sorted(names)) if labels is None else tuple(labels)
    made = {}
    for path, rows in found.items():
        try:
            info = probe(path)
        except VideoError as error:
            LOG.warning("%s is left out: %s", path, error)
            continue
        made[path] = _boxes(source, path, rows, labels, _class_of(videos[path]), info)
    return made, labels


def _class_of(clip):
    return clip.label if clip.label != "-" else THING


def _boxes(source, path, rows, labels, usual, info):
    size = np.array([info.width, info.height] * 2, np.float64)
    # YOLO's frames count from 1 if there is no frame 0.
    first = min(min(row.frame for row in rows), 1) if any(row.relative for row in rows) else 0
    frames = np.unique([row.frame - first for row in rows]).astype(np.int64)
    boxed = [row for row in rows if row.box is not None and (row.label or usual) in labels]
    kept = []
    for row in boxed:
        box = np.array(row.box) * (size if row.relative else 1.0)
        low, high = np.clip(box[:2], 0, size[:2]), np.clip(box[:2] + box[2:], 0, size[:2])
        if (high > low).all():
            kept.append((row, np.concatenate([low, high - low])))
    lost = len(boxed) - len(kept)
    if lost > MOST_LOST * len(boxed):
        raise ValueError(
            f"read_boxes: {source}: {lost} of the {len(boxed)} boxes of {path} lie outside its "
            f"picture of {info.width} × {info.height} pixels. Are they of another video?"
        )
    if lost:
        LOG.warning("%s: %d of %d boxes lie outside the picture or have no size", path, lost,
                    len(boxed))  # fmt: skip
    boxes = Boxes(
        np.array([row.frame - first for row, _ in kept]),
        np.array([box for _, box in kept]),
        np.array([labels.index(row.label or usual) for row, _ in kept]),
        identities=np.array([NOBODY if r.identity is None else r.identity for r, _ in kept]),
    )
    return Annotated(boxes, frames)
