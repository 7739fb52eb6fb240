"""What went wrong with which clip, while the others go on."""

import logging
import threading

LOG = logging.getLogger(__name__)


class Problems:
    """Collects clips that were skipped or read only in part; each is logged once.

    Pass one to `clip_dataset` and look into it when the data have been read. Safe in threads.
    """

    def __init__(self) -> None:
        """Begins with nothing noted."""
        self._skipped: dict[str, str] = {}
        self._damaged: dict[str, str] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """How many clips were skipped."""
        return len(self._skipped)

    def skip(self, name: str, reason: str) -> None:
        """Notes that a clip gave nothing and was left out."""
        self._note(self._skipped, name, reason, "skipped")

    def damage(self, name: str, reason: str) -> None:
        """Notes that only a part of a clip could be read; the part is used."""
        self._note(self._damaged, name, reason, "damaged")

    def names(self) -> set[str]:
        """The `Clip.name` of every skipped clip."""
        return set(self._skipped)

    def lines(self) -> list[str]:
        """One line for each skipped clip: its name and the reason."""
        return [_line(name, reason) for name, reason in self._skipped.items()]

    def damaged_lines(self) -> list[str]:
        """One line for each clip of which only a part was read."""
        return [_line(name, reason) for name, reason in self._damaged.items()]

    def _note(self, notes: dict[str, str], name: str, reason: str, word: str) -> None:
        with self._lock:
            if name in notes:
                return
            notes[name] = reason
        LOG.warning("%s: %s", word, _line(name, reason))


def _line(name: str, reason: str) -> str:
    return reason if reason.startswith(name) else f"{name}: {reason}"
