"""Films cut from real clips, whose every boundary is known; and long ones, by repeating them."""

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np

from sora_tf import video

DATA = Path(os.environ.get("SORA_TF_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
FPS, SIZE = 25, (240, 320)
LONGEST_S, SHORTEST_S = 12.0, 2.5  # of a segment
FIGHT_S = 1.8  # clips of fights are short


def sources() -> dict[str, list[Path]]:
    """Clips by the place they show; those of one place follow on each other only in `fight`."""
    found = {
        "fight": sorted((DATA / "fight").rglob("*.mp4")),
        "airplane": sorted((DATA / "drone" / "airplane").glob("*.mp4")),
        "bird": sorted((DATA / "drone" / "bird").glob("*.mp4")),
        "drone": sorted((DATA / "drone" / "drone").glob("*.mp4")),
        "helicopter": sorted((DATA / "drone" / "helicopter").glob("*.mp4")),
        "pets09": [DATA / "pets09" / "vtest.avi"],
        "sleap": [DATA / "sleap" / "clip.mp4"],
        "pattern": [DATA / "odd-videos" / "bipbop.mp4"],
    }
    return {name: paths for name, paths in found.items() if paths and paths[0].exists()}


def known_film(
    path: Path, seed: int, segments: int = 12, fade: float = 0.0
) -> tuple[list[float], list[str]]:
    """Writes a film of segments from different clips.

    Args:
        path: the file to write.
        seed: which clips and how long.
        segments: of the film.
        fade: s in which a segment turns into the next, in place of a cut; the boundary is halfway.
    Returns:
        The starts of the segments in s, and the end; and the clip of each.
    """
    rng = np.random.default_rng(seed)
    places, starts, clips = sources(), [0.0], []

    def frames() -> Iterator[np.ndarray]:
        count, last, blend = 0, "", round(fade * FPS)
        tail: list[np.ndarray] = []
        while len(clips) < segments:
            name = str(rng.choice([place for place in places if place != last]))
            clip = places[name][int(rng.integers(len(places[name])))]
            if str(clip) in clips and len(places[name]) > 1:
                continue
            length = np.exp(rng.uniform(np.log(SHORTEST_S), np.log(LONGEST_S)))
            wanted = round(FPS * (FIGHT_S if name == "fight" else length))
            shot = list(islice(video.frames_every(clip, 1 / FPS, size=SIZE), wanted))
            pictures = [picture for _, picture in shot]
            mixed = [
                _mix(*pair, n, blend) for n, pair in enumerate(zip(tail, pictures, strict=False))
            ]
            body = pictures[len(tail) : len(pictures) - blend]
            yield from mixed
            yield from body
            count += len(mixed) + len(body)
            last, tail = name, pictures[len(pictures) - blend :] if blend else []
            clips.append(str(clip))
            starts.append((count + blend / 2) / FPS)
        yield from tail
        starts[-1] = (count + blend) / FPS

    video.write(path, frames(), FPS, quality=23, options={"preset": "veryfast"})
    return starts, clips


def _mix(before: np.ndarray, after: np.ndarray, place: int, places: int) -> np.ndarray:
    """One picture turning into another."""
    share = (place + 1) / (places + 1)
    return (before * (1 - share) + after * share).astype(np.uint8)


def long_film(path: Path, seconds: float, seed: int = 0) -> Path:
    """Writes a film of real clips, as many as it takes."""

    def frames() -> Iterator[np.ndarray]:
        left = round(seconds * FPS)
        rng = np.random.default_rng(seed)
        clips = [clip for paths in sources().values() for clip in paths]
        while True:
            for number in rng.permutation(len(clips)):
                for _, picture in video.frames_every(clips[number], 1 / FPS, size=SIZE):
                    yield picture
                    left -= 1
                    if not left:
                        return

    video.write(path, frames(), FPS, quality=28, options={"preset": "veryfast"})
    return path


def repeated(source: Path, path: Path, times: int) -> Path:
    """Writes a film several times over, packets as they are."""
    with av.open(str(path), "w") as out:
        copy, shift = None, 0
        for _ in range(times):
            with av.open(str(source)) as film:
                stream = film.streams.video[0]
                copy = copy or out.add_stream_from_template(stream)
                end = 0
                for packet in film.demux(stream):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts += shift
                    packet.dts += shift
                    packet.stream = copy
                    out.mux(packet)
                shift += end
    return path
