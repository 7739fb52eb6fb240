"""The sound of a film or a sound file, on the film's clock: mono samples at one rate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import av
import numpy as np
from av.audio.stream import AudioStream

from sora_tf import _checks
from sora_tf.video.dicom import is_dicom
from sora_tf.video.errors import VideoError
from sora_tf.video.film import MOST_BAD_PACKETS, STAMPED, Film
from sora_tf.video.opening import film_on
from sora_tf.video.resample import resample
from sora_tf.video.source import Source, handle_of, name_of, open_container

RATE = 16_000
LIMIT_S = 600.0
RATES = (1_000, 192_000)  # samples per s that a file may have
SILENCE = 2.0**-15  # of full scale: below one step of 16 bits
LOUDEST = 2.0**31  # times full scale; more is not sound
SLIP_S = 0.05  # between time stamps and samples counted, before the stamps are believed
MARGIN_S = 0.05  # read before and after, so that filters have no edge where the clip has one
JUMP_S = 5.0  # before this, decoding from the beginning is as quick as a jump
ROLL_S = 1.0  # decoded ahead of a clip that is jumped to: what a decoder carries over
JUMPING = STAMPED | {"wav", "flac", "ogg"}  # containers whose jumps land where they should


@dataclass(frozen=True)
class Sound:
    """The sound of a stretch of a film.

    Attributes:
        samples: (N,) float32, mono, full scale from -1 to 1; 0 where there is none.
        real: (N,) bool, False where the track had not begun, had ended, or had a gap, where a
            sample was no number, and everywhere where the track is missing or silent.
        rate: samples per s.
        start: s on the film's clock (0 is its first picture) of the first sample.
        damage: what was wrong with the track, None where nothing was.
    """

    samples: np.ndarray
    real: np.ndarray
    rate: int
    start: float
    damage: str | None = None

    @property
    def present(self) -> bool:
        """Whether there is anything to hear."""
        return bool(self.real.any())


def read_sound(
    source: Source,
    *,
    rate: int = RATE,
    start: float | None = None,
    end: float | None = None,
    limit: float = LIMIT_S,
) -> Sound:
    """Reads the sound of a film, or of a sound file, between two times.

    The clock is that of the pictures: 0 is the first one shown, or the first sample where there
    are no pictures. A film without a track, with a silent one or with one that cannot be decoded
    gives zeros, none of them real. Channels are averaged. In Matroska, whose stamps are whole
    milliseconds, a clip may lie half of one beside what the whole film has there.

    Args:
        source: a local path, a URL (through fsspec) or a binary file object.
        rate: samples per s of the answer.
        start, end: s; None are the beginning and the end of the pictures, or of the sound where
            there are no pictures.
        limit: most seconds of sound, whatever the file says it holds.
    Returns:
        N = round((end - start)·rate) samples.
    Raises:
        VideoError: the file cannot be opened, is longer than `limit`, or holds neither pictures
            nor, between the two times, any sound.
        ValueError: an argument is out of its range.
    """
    owner = "read_sound"
    _checks.between(owner, "rate", rate, *RATES, "16000 is usual.")
    _checks.above(owner, "limit", limit, 0, "s", "Leave it out for ten minutes.")
    begin = 0.0 if start is None else start
    _checks.at_least(owner, "start", begin, 0, "s", "Leave it out for the beginning.")
    if end is not None:
        _checks.above(owner, "end", end, begin, "s (the start)", "Give an end after the start.")
    name = name_of(source)
    if end is not None and end - begin > limit:
        raise _too_long(name, limit)
    with handle_of(source) as handle:
        if is_dicom(handle, name):
            with film_on(handle, name) as film:
                last = film.measure() if end is None else end
            if last - begin > limit:
                raise _too_long(name, limit)
            return _fitted([], rate, rate, begin, max(last, begin), None)
        with _Track(handle, name) as track:
            pieces, last = track.read(begin, end, limit)
            sound = _fitted(pieces, track.rate or rate, rate, begin, last, track.damage)
            if track.has_picture or sound.present or pieces:
                return sound
            raise VideoError(name, "no sound", track.damage or "no sample of it can be decoded")


def declared_length(source: Source) -> float | None:
    """What the header of a film or a sound file says of its length, s; None where it says nothing.

    Raises:
        VideoError: the file cannot be opened.
    """
    name = name_of(source)
    with handle_of(source) as handle, open_container(handle, name) as container:
        return container.duration / av.time_base if container.duration else None


class _Track:
    """The first sound of an open file; a context manager.

    Attributes:
        has_picture: whether the file is a film.
        rate: samples per s, once one has been decoded; the header is not asked.
        damage: what is wrong, as far as it has been read.
    """

    def __init__(self, handle: str | IO[bytes], name: str):
        self.name = name
        self.rate = 0
        self.damage: str | None = None
        self._resampler: av.AudioResampler | None = None
        self._form: tuple[str, str, int] | None = None
        shown = _first_picture(handle, name)
        self.container = open_container(handle, name)
        self.has_picture = shown is not None
        self._picture = None if shown is None else self.container.streams[shown[0]]
        self._origin = None if shown is None else shown[1]
        self._sound = self._pick()

    def __enter__(self) -> "_Track":
        return self

    def __exit__(self, *error: object) -> None:
        self.container.close()

    def read(
        self, begin: float, end: float | None, limit: float
    ) -> tuple[list[tuple[int, np.ndarray]], float]:
        """What the file holds of a stretch.

        Returns:
            pieces (place of the first sample since time 0, mono samples), and the end in s.
        Raises:
            VideoError: with no `end`, the stretch is longer than `limit`.
        """
        pieces: list[tuple[int, np.ndarray]] = []
        heard = shown = begin
        if end is not None and self._sound is None:
            return pieces, end
        until = math.inf if end is None else end + MARGIN_S
        place: int | None = None
        for time, samples in self._decoded(begin, counting_pictures=end is None):
            if samples is None:  # a picture, which ends then
                shown = max(shown, time)
            else:
                stamped = time * self.rate
                # A stamp ahead of the samples counted is a gap; one behind them is wrong.
                if place is None or stamped - place > SLIP_S * self.rate:
                    place = round(stamped)
                after = place + len(samples)
                low, high = begin - MARGIN_S, begin + limit + MARGIN_S
                if after > low * self.rate and place < high * self.rate:
                    pieces.append((place, samples))
                heard, place = max(heard, after / self.rate), after
                if place >= until * self.rate:
                    break
            if end is None and max(shown, 0.0 if self.has_picture else heard) - begin > limit:
                raise _too_long(self.name, limit)
        if end is not None:
            return pieces, end
        return pieces, shown if self.has_picture else heard

    def _decoded(
        self, begin: float, counting_pictures: bool
    ) -> Iterator[tuple[float, np.ndarray | None]]:
        """(time in s on the film's clock, mono samples), or (end of a picture in s, None)."""
        self._jump(begin)
        last = None
        for found in self._frames(counting_pictures):
            if isinstance(found, float):
                yield found - (self._origin or 0.0), None
                continue
            samples = self._mono(found)
            if samples is None:
                continue
            time = (last or 0.0) if found.pts is None else found.pts * _tick(found)
            last = time + len(samples) / self.rate
            if self._origin is None:
                self._origin = time
            yield time - self._origin, samples

    def _frames(self, counting_pictures: bool) -> Iterator[av.AudioFrame | float]:
        """Frames of sound, and ends of pictures in s, in the order of the file."""
        picture = self._picture if counting_pictures else None
        streams = [stream for stream in (self._sound, picture) if stream is not None]
        if not streams:
            return
        bad = 0
        # As for pictures: bad bytes surface as many exceptions here, and each is the end.
        try:
            for packet in self.container.demux(streams):
                if not packet.size:
                    continue
                if packet.stream is picture:
                    if packet.pts is not None:
                        yield (packet.pts + (packet.duration or 0)) * _tick(packet)
                    continue
                frames = self._decode(packet)
                bad = 0 if frames else bad + 1
                if bad >= MOST_BAD_PACKETS and picture is None:
                    return
                yield from frames
        except Exception as error:
            self._hurt(error)
        if self._sound is not None:
            yield from self._decode(None)

    def _decode(self, packet: av.Packet | None) -> list[av.AudioFrame]:
        assert self._sound is not None
        try:
            return self._sound.codec_context.decode(packet)
        except EOFError:
            return []
        except Exception as error:
            self._hurt(error)
            return []

    def _mono(self, frame: av.AudioFrame) -> np.ndarray | None:
        """The mean of the channels, at the rate of the first frame; None where nothing comes out.

        PyAV's own way to one channel adds up to 3.4 times the level of 5.1 channels, and reading
        8 of them that lie apart ends the process: so they are put side by side first.
        """
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        try:
            if self._resampler is None or form != self._form:
                self._set_rate(frame.sample_rate)
                self._form = form
                self._resampler = av.AudioResampler("flt", frame.layout, self.rate)
            channels = frame.layout.nb_channels
            frames = self._resampler.resample(frame)
            made = [out.to_ndarray().reshape(-1, channels) for out in frames]
        except VideoError:
            raise
        except Exception as error:
            self._hurt(error)
            return None
        if not made:
            return None
        return np.concatenate(made).mean(axis=1, dtype=np.float64).astype(np.float32)

    def _set_rate(self, rate: int) -> None:
        low, high = RATES
        if not low <= rate <= high:
            raise VideoError(
                self.name,
                "over the limit",
                f"its sound has {rate} samples per s",
                f"Give one of {low} to {high} samples per s.",
            )
        self.rate = self.rate or rate

    def _pick(self) -> AudioStream | None:
        best = self.container.streams.best("audio")
        for stream in [best, *self.container.streams.audio] if best else []:
            if isinstance(stream, AudioStream) and stream.codec_context is not None:
                return stream
        if self.container.streams.audio:
            self.damage = "there is no decoder for its sound"
        return None

    def _jump(self, begin: float) -> None:
        names = set(self.container.format.name.split(","))
        if begin < JUMP_S or self._sound is None or not JUMPING & names:
            return
        tick = _tick(self._sound)
        if self._origin is None:
            self._origin = (self._sound.start_time or 0) * tick
        wanted = int((self._origin + begin - ROLL_S) / tick)
        try:
            self.container.seek(wanted, stream=self._sound, backward=True)
        except Exception:  # it stays where it was, at the beginning
            return

    def _hurt(self, error: Exception) -> None:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        self.damage = self.damage or " ".join(f"the sound is damaged: {reason}".split())


def _tick(timed: av.Packet | av.AudioFrame | AudioStream) -> float:
    """Seconds of a unit of its stamps."""
    return float(timed.time_base or 0)


def _first_picture(handle: str | IO[bytes], name: str) -> tuple[int, float] | None:
    """Number of the stream of pictures and the time in s of the first one; None without any."""
    try:
        with Film(handle, name) as film:
            if next(film.frames(), None) is None:
                return None
            return film.stream.index, (film.clock.origin or 0) * film.clock.tick
    except VideoError:
        return None  # what is wrong with the file, opening its sound will tell


def _fitted(
    pieces: list[tuple[int, np.ndarray]],
    own: int,
    rate: int,
    begin: float,
    end: float,
    damage: str | None,
) -> Sound:
    """Pieces at a rate of their own, laid between two times at the rate wanted."""
    count = round((end - begin) * rate)
    first = math.floor((begin - MARGIN_S) * own)  # place of the first sample of `line`
    length = math.ceil((end + MARGIN_S) * own) - first
    line = np.zeros(length, np.float32)
    real = np.zeros(length, bool)
    for place, samples in pieces:
        low, high = max(place, first), min(place + len(samples), first + length)
        if low < high:
            line[low - first : high - first] = samples[low - place : high - place]
            real[low - first : high - first] = True
    sound = np.abs(line) <= LOUDEST  # not so of what is no number
    if not sound.all():
        damage = damage or f"{int((~sound).sum())} samples are no numbers"
        line, real = np.where(sound, line, np.float32(0)), real & sound
    ahead = begin - first / own  # s of margin
    if not real.any() or np.abs(line).max() < SILENCE:
        return Sound(np.zeros(count, np.float32), np.zeros(count, bool), rate, begin, damage)
    nearest = np.round((ahead + np.arange(count) / rate) * own).astype(int)
    kept = real[np.minimum(nearest, length - 1)]
    skipped = round(ahead * rate)
    made = resample(line, own, rate)[skipped : skipped + count]
    made = np.pad(made, (0, count - len(made)))
    return Sound(np.where(kept, made, np.float32(0)), kept, rate, begin, damage)


def _too_long(name: str, limit: float) -> VideoError:
    detail = f"more than {limit:g} s of sound"
    return VideoError(name, "over the limit", detail, "Give a start and an end, or a higher limit.")
