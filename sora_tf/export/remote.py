"""Names for files by a model on a server; `tasks.classify` is the same on this machine."""

from collections.abc import Iterator, Sequence
from typing import Any

from sora_tf.export.client import Client
from sora_tf.export.transport import ServingError

WINDOWS = 16  # of a long file, sent together


def predict_files(
    server: str,
    paths: Sequence[str],
    *,
    model: str = "sora",
    version: int | None = None,
    label: str | None = None,
    seconds: float | None = None,
    step: float | None = None,
    signature: str | None = None,
    timeout: float = 30.0,
) -> Iterator[dict[str, Any]]:
    """Names files by a model on a server, one answer a file, as they are done.

    Args:
        server, model, version, label, timeout: as in `Client`.
        paths: files or URLs.
        seconds: length of a window, s; None makes one window of every file.
        step: from one window to the next, s; None is `seconds`.
        signature: as in `Client.predict`.

    Yields:
        {"path", "label", "scores": {label: mean over the windows}, "windows": [{"start", "end" in
        s, "scores"}], "damage"}, or {"path", "error"} for a file that does not read or that the
        server refuses.

    Raises:
        ServingError: the server is not there, or has no such model.
        ValueError: an argument is out of range.
    """
    from sora_tf.tasks.classify import file_answer, window_answer
    from sora_tf.tasks.windows import Reading, Window, read_windows
    from sora_tf.video import VideoError

    with Client(server, model, version=version, label=label, timeout=timeout) as client:
        facts = client.facts()
        reading = Reading(facts.frames, facts.size, facts.fit, seconds, step)
        parts: list[dict[str, Any]] = []
        waiting: list[Window] = []
        damage = error = None
        for path, item, last in read_windows(paths, reading):
            if isinstance(item, VideoError):
                error = error or str(item)
            else:
                waiting.append(item)
                damage = damage or item.damage
            if waiting and (last or len(waiting) == WINDOWS):
                try:
                    found = client.predict(
                        [window.frames[window.mask] for window in waiting], signature=signature
                    )
                    pairs = zip(waiting, found, strict=True)
                    parts += [window_answer(window, answer.scores) for window, answer in pairs]
                except ServingError as refusal:
                    if refusal.kind not in ("bad input", "over the limit"):
                        raise
                    error = error or f"{path}: {refusal}"
                waiting = []
            if last:
                yield file_answer(path, parts, damage, error)
                parts, damage, error = [], None, None
