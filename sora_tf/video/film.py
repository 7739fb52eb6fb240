"""An open film: packets in, frames out, whatever the file holds."""

import time
from collections.abc import Generator, Iterator
from fractions import Fraction
from typing import IO, NamedTuple, Protocol

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from sora_tf.video.clock import Clock
from sora_tf.video.errors import VideoError
from sora_tf.video.scaler import MAX_PIXELS
from sora_tf.video.source import open_container

# Containers whose packets carry true presentation times.
STAMPED = {"mov", "matroska", "webm", "mpegts", "flv"}
MOST_BAD_PACKETS = 300  # in a row, before a film counts as undecodable (encrypted, say)


class FilmFacts(NamedTuple):
    """What a film's header says; width and height in pixels, as stored."""

    container: str
    codec: str
    width: int
    height: int
    pixel_format: str
    fps: float | None
    declared_frames: int | None
    has_audio: bool


class Reel(Protocol):
    """What reading needs of an open film."""

    name: str
    damage: str | None
    expired: bool
    shown: int

    def restart(self) -> None:
        """Goes back to the first frame."""

    def frames(self) -> Generator[tuple[float, av.VideoFrame], None, None]:
        """(time in s, frame) in the order shown."""

    def none_came(self) -> VideoError:
        """The error of a film of which nothing can be shown."""

    def measure(self) -> float:
        """Length in s, found without decoding where the header does not say."""

    def facts(self) -> FilmFacts:
        """What the header says."""

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel over its height."""

    @property
    def jumps(self) -> bool:
        """Whether the film is a `Film` whose stamps allow jumps."""

    @property
    def step(self) -> float:
        """Seconds from one frame to the next, in the mean."""

    @property
    def duration(self) -> float | None:
        """Seconds, as the header says."""

    @property
    def last(self) -> float | None:
        """Time in s of the last frame, once the film's end has been met."""


class Film:
    """A film opened for decoding; a context manager.

    Args:
        handle: an absolute path or a seekable binary file object.
        name: the film's name, for messages.
        threads: decoder threads.
        patience: seconds from now after which `packets` ends; None means no end.
    Raises:
        VideoError: it cannot be opened, has no video stream, or declares more than 2^28 pixels.
    Attributes:
        damage: what is wrong with the film, as far as it has been read; None if nothing is.
        expired: whether `patience` ran out.
        shown: frames that have come out since the film was opened or restarted.
    """

    container: InputContainer
    stream: VideoStream
    clock: Clock
    bad_packets: int
    _latest: int
    _exhausted: bool

    def __init__(
        self,
        handle: str | IO[bytes],
        name: str,
        threads: int = 1,
        patience: float | None = None,
    ):
        self.name = name
        self.threads = threads
        self.patience = patience
        self.deadline = None if patience is None else time.monotonic() + patience
        self.expired = False
        self.damage: str | None = None
        self.shown = 0
        self._handle = handle
        self._open()

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *error: object) -> None:
        self.container.close()

    def restart(self) -> None:
        """Goes back to the film's first packet, with a decoder that has seen nothing."""
        self.container.close()
        self._open()

    def packets(self) -> Generator[av.Packet, None, None]:
        """The video packets from here on that hold data; ends at the end of what can be read."""
        count = 0
        # Bad bytes surface as many exceptions here (the file object's own, too): each is the end.
        try:
            for packet in self.container.demux(self.stream):
                if self._out_of_time():
                    return
                if packet.size:
                    count += 1
                    if packet.pts is not None and packet.pts > self._latest:
                        self._latest = packet.pts
                    yield packet
        except Exception as error:
            self.hurt(error)
        self._exhausted = True
        if self._from_start and self.damage is None:
            self._check_length(count)

    def decode(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        """The frames that `packet` brings out; None brings out those the decoder still holds.

        A packet that cannot be decoded is noted in `damage` and passed over.
        """
        try:
            frames = self.stream.codec_context.decode(packet)
        except EOFError:
            return []
        except Exception as error:
            self.bad_packets += 1
            self.hurt(error)
            return []
        if frames:
            self.bad_packets = 0
            self.shown += len(frames)
        return frames

    def frames(self) -> Generator[tuple[float, av.VideoFrame], None, None]:
        """(time in s, frame) from here on in the order shown: the one decode loop."""
        for packet in self.packets():
            yield from self._timed(self.decode(packet))
            if self.bad_packets >= MOST_BAD_PACKETS:
                break
        if not self.expired:
            yield from self._timed(self.decode(None))

    def seek(self, pts: int) -> bool:
        """Jumps to a keyframe at or before `pts` as the container sees it; False if it cannot."""
        self._from_start = False
        try:
            self.container.seek(pts, stream=self.stream, backward=True)
            self.stream.codec_context.flush_buffers()
        except Exception:  # as for packets; the caller then reads from the start
            return False
        return True

    def hurt(self, error: Exception) -> None:
        """Notes damage; the first that is found stays."""
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.note(f"damaged after frame {self.shown}: {reason}")

    def note(self, damage: str) -> None:
        """Notes damage in words; the first that is found stays."""
        self.damage = self.damage or " ".join(damage.split())

    def none_came(self) -> VideoError:
        """The error of a film of which nothing can be shown."""
        if self.expired:
            detail = f"no frame within {self.patience} s"
            return VideoError(self.name, "over the limit", detail, "Give it more patience.")
        return VideoError(self.name, "no frames", self.damage or "nothing can be decoded")

    def _timed(self, frames: list[av.VideoFrame]) -> Iterator[tuple[float, av.VideoFrame]]:
        for frame in frames:
            if frame.is_corrupt:
                self.note(f"damaged at frame {self.shown}: a part of the picture is missing")
            yield self.clock.place(frame.pts, frame.dts), frame

    @property
    def duration(self) -> float | None:
        """Seconds, as the header says; None where it says nothing usable."""
        stream, container = self.stream, self.container
        if stream.duration and stream.duration > 0 and stream.time_base:
            return float(stream.duration * stream.time_base)
        if container.duration and container.duration > 0:
            return container.duration / 1e6
        return None

    def measure(self) -> float:
        """Seconds: as the header says, else from the stamps of the packets, undecoded."""
        if self.duration is not None:
            return self.duration
        stamps: list[int] = []
        count = 0
        for packet in self.packets():
            stamp = packet.pts if packet.pts is not None else packet.dts
            count += 1
            if stamp is not None:
                stamps = [min([stamp, *stamps]), max([stamp, *stamps])]
        self.restart()
        if not stamps or stamps[0] == stamps[1]:
            return count * self.step
        return (stamps[1] - stamps[0]) * self.clock.tick + self.step

    @property
    def aspect(self) -> Fraction | None:
        """Width of a pixel over its height, as the container or the codec says."""
        return self.stream.sample_aspect_ratio

    @property
    def last(self) -> float | None:
        """Time in s of the last frame, once the film's end has been met."""
        if not self._exhausted or self.clock.origin is None:
            return None
        return max(0.0, (self._latest - self.clock.origin) * self.clock.tick)

    @property
    def jumps(self) -> bool:
        """Whether the container's stamps can be relied on for jumps."""
        return bool(STAMPED & set(self.container.format.name.split(",")))

    @property
    def step(self) -> float:
        """Seconds from one frame to the next, in the mean."""
        return self.clock.step

    def facts(self) -> FilmFacts:
        """What the header says."""
        context, rate = self.stream.codec_context, self.stream.average_rate
        return FilmFacts(
            container=self.container.format.name,
            codec=context.codec.canonical_name,
            width=context.width,
            height=context.height,
            pixel_format=context.format.name if context.format else "",
            fps=float(rate) if rate else None,
            declared_frames=self.stream.frames or None,
            has_audio=bool(self.container.streams.audio),
        )

    def _open(self) -> None:
        self.container = open_container(self._handle, self.name)
        try:
            self.stream = self._pick_stream()
            self._prepare()
        except BaseException:
            self.container.close()
            raise
        self.clock = Clock(self.stream.time_base, self.stream.average_rate)
        self.shown = 0
        self.bad_packets = 0
        self._from_start = True
        self._exhausted = False
        self._latest = -(2**63)

    def _pick_stream(self) -> VideoStream:
        best = self.container.streams.best("video")
        videos = [best, *self.container.streams.video] if best else self.container.streams.video
        covers = av.stream.Disposition.attached_pic
        for stream in videos:
            if isinstance(stream, VideoStream) and not stream.disposition & covers:
                return stream
        kinds = ", ".join(sorted({stream.type for stream in self.container.streams})) or "nothing"
        raise VideoError(self.name, "no video stream", f"it holds {kinds}")

    def _prepare(self) -> None:
        context = self.stream.codec_context
        if context is None:
            raise VideoError(self.name, "cannot open", "there is no decoder for its codec")
        if context.width * context.height > MAX_PIXELS:
            size = f"{context.width} by {context.height}"
            raise VideoError(self.name, "over the limit", f"it declares {size} pixels")
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_count = self.threads
        context.thread_type = "AUTO" if self.threads > 1 else "NONE"

    def _out_of_time(self) -> bool:
        if self.deadline is not None and time.monotonic() > self.deadline:
            self.expired = True
            self.note(f"stopped after frame {self.shown}: {self.patience} s of patience are over")
        return self.expired

    def _check_length(self, count: int) -> None:
        listed = len(self.stream.index_entries)
        if count < listed:
            self.note(f"it ends after {count} of the {listed} frames that its index lists")
