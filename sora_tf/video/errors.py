"""The one exception a reader of videos raises for a bad file."""

from typing import Literal

Kind = Literal[
    "cannot open",
    "no video stream",
    "no frames",
    "no sound",
    "no subtitles",
    "too short",
    "damaged",
    "over the limit",
]

REMEDIES: dict[str, str] = {
    "cannot open": "Check that the path is right and the file is a video.",
    "no video stream": "Leave this file out, or give one with a picture.",
    "no frames": "Leave this file out, or fetch it again.",
    "no sound": "Leave this file out, or give one with sound in it.",
    "no subtitles": "Give a file of them (.srt, .vtt, .ass), or leave --subtitles out.",
    "too short": "Leave this file out, or give a longer one.",
    "damaged": "Fetch the file again, or make it anew.",
    "over the limit": "Ask for fewer frames, a smaller size, or a higher limit.",
}


class VideoError(Exception):
    """A file that cannot be read as asked. Its text is one line: what, which file, what to do.

    Args:
        path: the file as the caller named it.
        kind: what went wrong, one of the keys of `REMEDIES`.
        detail: what was found.
        remedy: what to do; None takes the usual advice for this kind.
    """

    def __init__(self, path: str, kind: Kind, detail: str, remedy: str | None = None):
        self.path = path
        self.kind = kind
        self.detail = " ".join(detail.split())
        self.remedy = remedy or REMEDIES[kind]
        super().__init__(f"{path}: {kind}: {self.detail.rstrip('.')}. {self.remedy}")

    def __reduce__(self):
        """Lets the error travel between processes."""
        return type(self), (self.path, self.kind, self.detail, self.remedy)
