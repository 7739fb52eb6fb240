"""Finding clips that would spoil training before any time is spent on it."""

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass

import numpy as np

from sora_tf import _checks
from sora_tf.data.clip import decode
from sora_tf.data.index import Clip, is_url
from sora_tf.video import VideoError

SIZE = (64, 64)  # pixels; enough to tell clips apart, small enough to be quick
LOOKED_AT = 16  # frames of a clip
STILL = 2  # grey levels; an encoder flickers by as much on a still picture
FLAT = 2.0  # grey levels of standard deviation within a frame
BLACK = 24.0  # grey levels; black as video range stores it is 16
IMBALANCE = 3.0  # clips of the largest class for one of the smallest


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one clip.

    Args:
        name: the clip, as `Clip.name`.
        problem: "unreadable", "empty", "damaged", "short", "frozen", "black", "uniform" or
            "duplicate".
        detail: what was seen, in words.
    """

    name: str
    problem: str
    detail: str


@dataclass(frozen=True)
class CleanReport:
    """What `inspect_clips` found.

    Attributes:
        findings: in the order of the clips.
        good: the clips with nothing wrong, in their order; of duplicates the first.
        counts: label → clips, before any is left out.
    """

    findings: tuple[Finding, ...]
    good: tuple[Clip, ...]
    counts: dict[str, int]

    @property
    def imbalance(self) -> float:
        """Clips of the largest class for one of the smallest."""
        return max(self.counts.values()) / min(self.counts.values())

    def table(self) -> str:
        """The findings as lines of text, then how many clips each label has."""
        width = max((len(finding.problem) for finding in self.findings), default=0)
        lines = [f"{f.problem:<{width}}  {f.name}  ({f.detail})" for f in self.findings]
        total = sum(self.counts.values())
        lines.append(f"{len(self.good)} of {total} clips are good")
        lines += [f"{label}: {count}" for label, count in sorted(self.counts.items())]
        if self.imbalance > IMBALANCE:
            lines.append(
                f"the largest class has {self.imbalance:.1f} times the clips of the smallest: "
                "add clips to it, or weigh the classes"
            )
        return "\n".join(lines)

    def to_json(self) -> str:
        """The report as indented JSON."""
        report = {
            "findings": [asdict(finding) for finding in self.findings],
            "good": [clip.name for clip in self.good],
            "counts": self.counts,
            "imbalance": self.imbalance,
        }
        return json.dumps(report, indent=2, ensure_ascii=False)


def inspect_clips(
    clips: Sequence[Clip],
    *,
    min_frames: int = 2,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CleanReport:
    """Looks at up to 16 frames of every clip, small, and says what is wrong with which.

    A duplicate shows the same pictures as an earlier clip, in the same container or another; a
    copy that was encoded anew is not found. The detail says where it has another label or split.

    Args:
        clips: what to look at.
        min_frames: fewest frames a clip may have.
        workers: clips read at the same time; None is one for each core.
        progress: called with (clips done, clips in all).
    Raises:
        ValueError: no clips, or `min_frames` below 1.
    """
    _checks.at_least("inspect_clips", "min_frames", min_frames, 1, "frame", "2 show motion.")
    if not clips:
        raise ValueError("inspect_clips: clips must not be empty, got none. Give one or more.")
    looks: list[tuple[list[Finding], str | None]] = []
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        for look in pool.map(lambda clip: _look(clip, min_frames), clips):
            looks.append(look)
            if progress:
                progress(len(looks), len(clips))

    copies = _same_files(clips)
    first: dict[str, Clip] = {}
    findings: list[Finding] = []
    good = []
    for clip, (found, content) in zip(clips, looks, strict=True):
        for key, how in ((copies.get(clip), "file"), (content, "pictures")):
            if key is None:
                continue
            original = first.setdefault(key, clip)
            if original is not clip:
                found.append(Finding(clip.name, "duplicate", _compare(clip, original, how)))
                break
        findings += found
        if not found:
            good.append(clip)
    counts = Counter(clip.label for clip in clips)
    return CleanReport(tuple(findings), tuple(good), dict(sorted(counts.items())))


def _look(clip: Clip, min_frames: int) -> tuple[list[Finding], str | None]:
    """What is wrong with a clip by itself, and a hash of its pictures."""
    count = max(LOOKED_AT, min_frames)
    try:
        video = decode(clip.path, count, SIZE, clip.start, clip.end)
    except VideoError as error:
        empty = error.kind == "no frames" or _is_empty(clip.path)
        return [Finding(clip.name, "empty" if empty else "unreadable", error.detail)], None
    found = []
    frames = video.frames.astype(np.int16)  # (T, h, w, 3)
    if video.damage:
        found.append(Finding(clip.name, "damaged", video.damage))
    if len(frames) < min_frames:
        found.append(Finding(clip.name, "short", f"{len(frames)} frames, wanted {min_frames}"))
    if frames.std(axis=(1, 2)).max() <= FLAT:
        black = frames.mean() < BLACK
        problem, detail = ("black", "no picture") if black else ("uniform", "one colour all over")
        found.append(Finding(clip.name, problem, detail))
        return found, None
    change = int(np.abs(np.diff(frames, axis=0)).max(initial=0))
    if len(frames) > 1 and change <= STILL:
        found.append(Finding(clip.name, "frozen", f"frames differ by at most {change} of 255"))
    return found, hashlib.sha256(video.frames.tobytes()).hexdigest()


def _is_empty(path: str) -> bool:
    try:
        return not is_url(path) and os.path.getsize(path) == 0
    except OSError:
        return False


def _same_files(clips: Sequence[Clip]) -> dict[Clip, str]:
    """Hashes of whole files, for the clips whose file has the size of another's."""
    sizes: dict[int, set[str]] = defaultdict(set)
    for path in {clip.path for clip in clips if not is_url(clip.path)}:
        try:
            sizes[os.path.getsize(path)].add(path)
        except OSError:
            continue  # already reported as unreadable
    twins = [path for size, paths in sizes.items() if size and len(paths) > 1 for path in paths]
    hashes = {path: _hash_file(path) for path in twins}
    return {
        clip: f"{hashes[clip.path]} {clip.start} {clip.end}"
        for clip in clips
        if clip.path in hashes
    }


def _hash_file(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def _compare(clip: Clip, original: Clip, how: str) -> str:
    detail = f"same {how} as {original.name}"
    if clip.label != original.label:
        detail += f", which is labelled {original.label!r} and not {clip.label!r}"
    if clip.split != original.split:
        detail += f", which is in {original.split!r} and not {clip.split!r}"
    return detail
