"""Subtitles: what is said and when, from the film itself or a file beside it."""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import av
from av.subtitles.subtitle import AssSubtitle

from sora_tf.video.errors import VideoError
from sora_tf.video.source import handle_of, open_container

EMBEDDED = "embedded"
LONGEST_S = 6.0  # that a line stays where its end is missing or before its start
MOST_BYTES = 32 * 2**20  # of a file of subtitles
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
STYLING = re.compile(r"\{\\[^}]*\}|<[^<>\n]{1,80}>")


@dataclass(frozen=True)
class Cue:
    """A line of subtitles.

    Args:
        start, end: s since the start of the film, end above start.
        text: without styling, in one line.
    """

    start: float
    end: float
    text: str


def read_cues(path: str) -> list[Cue]:
    """The lines of an .srt, .vtt, .ass or other file of subtitles, in the order of their starts.

    UTF-8, UTF-16, GB 18030 and Windows-1252 are told apart by their bytes. An end that is missing
    or not after its start becomes the next line's start, 6 s later at most; lines without text
    and lines said twice in a row are left out.

    Raises:
        VideoError: it does not open, is no file of subtitles, or has no line with text.
        ImportError: pysubs2 is not installed.
    """
    try:
        import pysubs2
    except ImportError:
        raise ImportError(
            "read_cues: pysubs2 is not installed. Run: pip install 'sora_tf[subtitles]'."
        ) from None
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            detail = f"subtitles of more than {MOST_BYTES} bytes"
            raise VideoError(path, "over the limit", detail, "Give a file of text.")
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(path, "cannot open", reason, "Check the path.") from error
    text = decoded(content)
    if not text.strip():
        raise VideoError(path, "no subtitles", "the file is empty")
    # Bad text surfaces as many exceptions of pysubs2's parsers: all say the same.
    try:
        lines = pysubs2.SSAFile.from_string(text)
    except Exception as error:
        detail = "it is no .srt, .vtt or .ass that pysubs2 can read"
        raise VideoError(path, "no subtitles", detail) from error
    cues = (
        Cue(line.start / 1e3, line.end / 1e3, line.plaintext)
        for line in lines
        if not line.is_comment
    )
    return _needed(path, straightened(cues), "it has no line with text")


def embedded_cues(path: str, needed: bool) -> list[Cue]:
    """The lines of a film's own first subtitle track that is text.

    Args:
        path: file or URL.
        needed: whether it is an error to have none.
    Raises:
        VideoError: they are needed, and it does not open or has none.
    """
    try:
        with handle_of(path) as handle, open_container(handle, path) as container:
            cues = straightened(_decoded_lines(container))
    except VideoError:
        if needed:
            raise
        return []  # DICOM, say, which has none; what else is wrong, reading the pictures tells
    return _needed(path, cues, "the film holds no text of them") if needed else cues


def straightened(cues: Iterable[Cue]) -> list[Cue]:
    """Lines in order, with text in one line and an end after the start; see `read_cues`."""
    kept: list[Cue] = []
    for cue in sorted(cues, key=lambda cue: cue.start):
        text = " ".join(STYLING.sub("", cue.text.replace("\\N", "\n")).split())
        if text and cue.start >= 0 and (not kept or kept[-1].text != text):
            kept.append(replace(cue, text=text))
    starts = [cue.start for cue in kept[1:]] + [float("inf")]
    return [
        cue if cue.end > cue.start else replace(cue, end=_end(cue.start, following))
        for cue, following in zip(kept, starts, strict=False)
    ]


def decoded(content: bytes) -> str:
    """The text of a file in an encoding that it does not name."""
    for mark, name in MARKS:
        if content.startswith(mark):
            return content.decode(name, "replace")
    if content[:4096].count(0) > len(content[:4096]) // 8:
        odd = content[1:4096:2].count(0) >= content[:4096:2].count(0)
        return content.decode("utf-16-le" if odd else "utf-16-be", "replace")
    for name in ("utf-8", *(["gb18030"] if _in_pairs(content) else [])):
        try:
            return content.decode(name)
        except UnicodeDecodeError:
            continue
    return content.decode("cp1252", "replace")


def _in_pairs(content: bytes) -> bool:
    """Whether most bytes beyond ASCII follow on others, as those of Chinese do, and not accents."""
    runs = [len(run) for run in re.findall(rb"[\x80-\xff]+", content)]
    return sum(run for run in runs if run > 1) > sum(runs) / 2


def _end(start: float, following: float) -> float:
    return min(following, start + LONGEST_S) if following > start else start + LONGEST_S


def _needed(path: str, cues: list[Cue], otherwise: str) -> list[Cue]:
    if not cues:
        raise VideoError(path, "no subtitles", otherwise)
    return cues


def _decoded_lines(container) -> list[Cue]:
    """Lines as ffmpeg's decoders give them; a track that does not decode has none."""
    for stream in container.streams.subtitles:
        cues: list[Cue] = []
        try:
            for packet in container.demux(stream):
                if packet.size and packet.pts is not None:
                    start = float(packet.pts * packet.time_base)
                    end = start + float((packet.duration or 0) * packet.time_base)
                    cues += [Cue(start, end, text) for text in _texts(packet)]
        except (av.FFmpegError, UnicodeDecodeError, ValueError):
            pass  # what came before it stands
        if cues:
            return cues
        container.seek(0)
    return []


def _texts(packet) -> list[str]:
    lines = (line for line in packet.decode() if isinstance(line, AssSubtitle))
    return [line.dialogue.decode("utf-8", "replace") for line in lines]
