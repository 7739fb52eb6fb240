"""What lies beside a film with its name: files of subtitles."""

from pathlib import Path

from sora_tf.data.index import is_url
from sora_tf.video.subtitles import EMBEDDED, Cue, embedded_cues, read_cues

ENDINGS = (".srt", ".vtt", ".ass", ".ssa")


def subtitles_beside(path: str) -> str | None:
    """The file of subtitles with the film's name, or with a language between, as `film.en.srt`."""
    if is_url(path):
        return None
    film = Path(path)
    plain = [film.with_name(film.stem + ending) for ending in ENDINGS]
    try:
        tongues = sorted(
            file
            for file in film.parent.iterdir()
            if file.suffix.lower() in ENDINGS and Path(file.stem).stem == film.stem
        )
    except OSError:
        return None
    return next((str(file) for file in (*plain, *tongues) if file.is_file()), None)


def cues_of(path: str, subtitles: str | None = None, needed: bool = False) -> list[Cue]:
    """The lines of a film's subtitles, in the order of their starts; none where it has none.

    Args:
        path: the film, file or URL.
        subtitles: a file of them, "embedded" where the film must hold them, or None for those
            beside the film and else inside it.
        needed: whether it is an error to have none.
    Raises:
        VideoError: subtitles that are asked for, or lie beside it, do not read; or they are needed
            and there are none.
        ImportError: pysubs2 is not installed and a file is to be read.
    """
    if subtitles == EMBEDDED:
        return embedded_cues(path, needed=True)
    beside = subtitles or subtitles_beside(path)
    return read_cues(beside) if beside else embedded_cues(path, needed)
