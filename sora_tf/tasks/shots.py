"""Shots by PySceneDetect, from the extra "shots"."""

import os
from typing import Any

from sora_tf.video import VideoError


def pyscenedetect() -> Any:
    """PySceneDetect.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import scenedetect
    except ImportError:
        raise ImportError(
            "summarize: PySceneDetect is not installed. Run: pip install 'sora_tf[shots]'."
        ) from None
    return scenedetect


def shot_times(path: str | os.PathLike[str]) -> list[float]:
    """The times, in s, at which a new shot begins, without 0.

    PySceneDetect's AdaptiveDetector as it comes: a jump of hue, saturation and brightness that
    stands out from those of the frames around it.

    Raises:
        ImportError: PySceneDetect is not installed.
        VideoError: it cannot read the file.
    """
    scenedetect = pyscenedetect()
    try:
        scenes = scenedetect.detect(os.fspath(path), scenedetect.AdaptiveDetector())
    except (OSError, scenedetect.VideoOpenFailure) as error:
        raise VideoError(os.fspath(path), "cannot open", f"PySceneDetect: {error}") from error
    return [start.seconds for start, _ in scenes[1:]]
