"""The real clips an export is made and judged with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sora_tf.data import Clip, ClipCache, Problems, load_clip, read_index
from sora_tf.export.errors import ExportError
from sora_tf.export.signature import Deployable
from sora_tf.train.run import Run
from sora_tf.video import VideoError

CALIBRATION = 48  # clips that int8 ranges are found from
JUDGED = 200  # clips at most that an artefact is compared on
REFERENCE = 4  # clips kept beside the artefacts, for `sora-tf verify`
STREAMED = 8  # clips that are also given frame by frame


@dataclass(frozen=True)
class ClipSet:
    """Clips as a model takes them.

    Args:
        frames: (N, T, H, W, 3) uint8.
        mask: (N, T) bool.
        truth: (N,) int, numbers of the right labels.
        streamed: how many are also given frame by frame.
    """

    frames: np.ndarray
    mask: np.ndarray
    truth: np.ndarray
    streamed: int = 0

    def __len__(self) -> int:
        return len(self.frames)

    def first(self, count: int) -> "ClipSet":
        """The first clips, all of them streamed as well."""
        return ClipSet(self.frames[:count], self.mask[:count], self.truth[:count], count)

    def save(self, path: Path, **more: np.ndarray) -> None:
        """Writes an .npz file."""
        with open(path, "wb") as file:
            np.savez(
                file,
                frames=self.frames,
                mask=self.mask,
                truth=self.truth,
                streamed=np.array(self.streamed),
                **more,
            )


def gather(
    run: Run,
    what: Deployable,
    calibrate: bool,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[ClipSet, ClipSet, list[str]]:
    """Reads clips of a run: some it was trained on, to calibrate; those held out, to judge.

    Args:
        run: the run.
        what: its model.
        calibrate: whether any format needs calibration.
        cache: folder of decoded clips; None decodes afresh.
        progress: called with (clips done, clips in all).

    Returns:
        calibration clips (none unless asked for), judged clips (of the splits "val" and "test";
        of "train" where there are none), and a line for each clip that does not read.

    Raises:
        ExportError: not one clip reads.
    """
    clips = read_index(run.path / "split.csv")
    trained = [clip for clip in clips if clip.split == "train"]
    held = [clip for clip in clips if clip.split in ("val", "test")] or trained
    chosen = spread(trained or held, CALIBRATION) if calibrate else []
    judged = spread(held, JUDGED)
    problems = Problems()
    store = None if cache is None else ClipCache(cache)
    total = len(chosen) + len(judged)

    def read(part: Sequence[Clip], done: int) -> ClipSet:
        frames, masks, truth, unread = [], [], [], {}
        for number, clip in enumerate(part, done + 1):
            try:
                pictures, mask, _ = load_clip(
                    clip.path, what.config.frames, what.config.size, clip.start, clip.end,
                    what.fit, store,
                )  # fmt: skip
            except VideoError as error:
                unread[clip.name] = str(error)
            else:
                frames.append(pictures)
                masks.append(mask)
                truth.append(what.labels.index(clip.label))
            if progress:
                progress(number, total)
        if part and not frames:
            raise ExportError(
                f"not one of {len(part)} clips of the run in {run.path} can be read. Put them back "
                f"where split.csv says they are. The first: {next(iter(unread.values()))}"
            )
        for name, reason in unread.items():
            problems.skip(name, reason)
        if not frames:
            return ClipSet(np.zeros((0,)), np.zeros((0,)), np.zeros((0,)))
        return ClipSet(np.stack(frames), np.stack(masks), np.array(truth), STREAMED)

    calibration = read(chosen, 0)
    return calibration, read(judged, len(chosen)), problems.lines()


def spread(clips: Sequence[Clip], count: int) -> list[Clip]:
    """Up to `count` of the clips, evenly spread."""
    if len(clips) <= count:
        return list(clips)
    return [clips[(2 * i + 1) * len(clips) // (2 * count)] for i in range(count)]
