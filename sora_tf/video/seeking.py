"""Frames on screen at given times: by jumps from keyframe to keyframe where that is safe."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from itertools import islice

import av

from sora_tf.video.film import Film, Reel

Shown = tuple[int, float, av.VideoFrame]

TOLERANCE_S = 1e-5  # a time this little before a frame's own still means that frame
TRIAL_S = 3.0  # without an index a jump is tried only for targets this far ahead
MOST_TRIALS = 3
REORDER = 16  # frames: the most that any codec shows out of their coded order
BACK_OFF_S = (0.0, 1.0, 4.0, 16.0)
MOST_PACKETS_TO_KEY = 2000
INDEXED = {"mov"}  # the index of these lists every packet before any is read
# Codecs where a frame marked as unused for reference is truly used by no other.
DROPPABLE = {"h264", "mpeg2video"}


class _Distrust(Exception):
    """The film does not keep what its packets promise: read it in order instead."""


def frames_at(film: Reel, times: Sequence[float], snap: float = 0.0) -> Iterator[Shown]:
    """For each time, the frame on screen: (place in `times`, the frame's own time in s, frame).

    Jumps by keyframes where the film's stamps can be relied on, and turns to decoding in order,
    from the start, when anything disagrees. Ends early where the film's patience does.

    Args:
        film: just opened.
        times: s since the first frame, increasing, none below 0.
        snap: a keyframe within this many s of the time asked will do as well.
    """
    done = 0
    if isinstance(film, Film) and film.jumps:
        try:
            for place, time, frame in _Hopper(film, times, snap).run():
                done = place + 1
                yield place, time, frame
            return
        except _Distrust:
            film.damage = None
            film.restart()
    for place, time, frame in frames_in_order(film, times[done:]):
        yield done + place, time, frame


def frames_in_order(film: Reel, times: Sequence[float]) -> Iterator[Shown]:
    """As `frames_at`, by decoding all frames up to the last time."""
    frames = film.frames()
    current = following = next(frames, None)
    if current is None:
        return
    for place, time in enumerate(times):
        while following is not None and following[0] <= time + TOLERANCE_S:
            current = following
            following = next(frames, None)
        if film.expired:
            return
        yield place, *current


def frames_from(film: Reel, start: float) -> Iterator[tuple[float, av.VideoFrame]]:
    """(time in s, frame) in order, from a frame at or before `start` on.

    Args:
        film: just opened.
        start: s since the first frame.
    """
    frames = film.frames()
    first = next(frames, None)
    if first is None:
        return
    if not isinstance(film, Film) or not film.jumps or start < TRIAL_S:
        yield first
        yield from frames
        return
    origin, tick = film.clock.origin or 0, film.clock.tick
    for back in BACK_OFF_S:
        frames.close()
        if not film.seek(origin + int((start + TOLERANCE_S - back) / tick)):
            break
        film.clock.resume()
        frames = film.frames()
        sound = islice(frames, MOST_PACKETS_TO_KEY)
        key = next((shown for shown in sound if _is_key(shown[1])), None)
        if key is not None and key[0] <= start + TOLERANCE_S:
            yield key
            yield from frames
            return
    film.damage = None
    film.restart()
    yield from film.frames()


def _is_key(frame: av.VideoFrame) -> bool:
    return bool(frame.key_frame) and frame.pict_type == 1


class _Hopper:
    """One pass over the targets in increasing order.

    Packets are looked at before they are decoded. Once enough of them are known to say which
    frame a target falls on, the frames that no target and no other frame needs are dropped
    undecoded, and when the next target lies behind a keyframe ahead, the decoder jumps there.
    """

    def __init__(self, film: Film, times: Sequence[float], snap: float):
        self.film = film
        self.snap = snap
        self.latest = [time + TOLERANCE_S for time in times]
        self.claimed = bytearray(len(times))
        self.unclaimed = 0  # the first target that no packet has been found for
        self.given = 0  # the first target whose frame has not been given out
        self.considered = -1  # the last target for which a jump was weighed
        self.trials = 0
        self.indexed = bool(INDEXED & set(film.container.format.name.split(",")))
        self.handed: list[Shown] = []
        self.slack = int(REORDER * film.clock.step / film.clock.tick)
        self.lead = 0  # ticks from a keyframe's place in the index to its showing, the most so far
        self.origin: int | None = None
        self.tick = film.clock.tick
        self.droppable = film.stream.codec_context.name in DROPPABLE
        self.ended = False
        self._begin(None)

    def run(self) -> Iterator[Shown]:
        packets = self.film.packets()
        while self.origin is None or self.unclaimed < len(self.latest):
            landing = self._landing()
            if landing is not None:
                self._drain()
                packets.close()
                packets = self._land(*landing)
            elif not self._skip() and not self._step():
                packet = next(packets, None)
                if packet is not None:
                    self._see(packet)
                elif self.film.expired:
                    break
                elif self.ended:
                    raise _Distrust
                else:
                    self.ended = True
            yield from self._ready()
        self._drain()
        yield from self._ready()

    def _begin(self, key: int | None) -> None:
        """Forgets the stretch read so far; the next one starts at keyframe `key`."""
        self.key = key
        self.seen: list[int] = []
        self.queue: deque[av.Packet] = deque()
        self.out: deque[av.VideoFrame] = deque()
        self.claims: dict[int, list[int]] = {}
        self.newest: int | None = None
        self.last: int | None = None
        self.ended = False

    def _time(self, pts: int) -> float:
        assert self.origin is not None
        return (pts - self.origin) * self.tick

    def _see(self, packet: av.Packet) -> None:
        if packet.pts is None:
            raise _Distrust
        if packet.dts is not None:
            self.newest = packet.dts
            if packet.is_keyframe and self.indexed:
                self.lead = max(self.lead, packet.pts - packet.dts)
        if not packet.is_discard:
            insort(self.seen, packet.pts)
        self.queue.append(packet)

    def _step(self) -> bool:
        """Decodes the packet at the head of the queue, if its use is known."""
        if not self.queue:
            return False
        packet = self.queue[0]
        pts = packet.pts
        assert pts is not None
        if self.origin is not None:
            if packet.is_keyframe:
                self._claim_near(pts)
            known = packet.is_discard or pts in self.claims or self._decide(pts)
            if not known:
                return False
            if self.droppable:
                used = pts in self.claims or packet.is_keyframe
                self.film.stream.codec_context.skip_frame = "DEFAULT" if used else "NONREF"
        self._feed(self.queue.popleft())
        return True

    def _skip(self) -> bool:
        """Drops what is queued before a keyframe that the next target lies behind."""
        if self.origin is None or len(self.queue) < 2:
            return False
        for place in range(len(self.queue) - 1, 0, -1):
            packet = self.queue[place]
            assert packet.pts is not None
            if packet.is_keyframe and self._time(packet.pts) <= self.latest[self.unclaimed]:
                self._drain()
                self.film.stream.codec_context.flush_buffers()
                for _ in range(place):
                    self.queue.popleft()
                self.key, self.last = packet.pts, None
                return True
        return False

    def _feed(self, packet: av.Packet | None) -> None:
        for frame in self.film.decode(packet):
            if frame.pts is None or (self.last is not None and frame.pts <= self.last):
                raise _Distrust
            self.last = frame.pts
            if self.origin is None:
                self.film.clock.place(frame.pts, frame.dts)
                self.origin = frame.pts
            if self.key is not None:
                if frame.pts < self.key:  # it leans on frames before the jump
                    continue
                if frame.pts != self.key or not _is_key(frame):
                    raise _Distrust
                self.key = None
            if frame.is_corrupt:
                raise _Distrust
            self.out.append(frame)
        if self.film.bad_packets:
            raise _Distrust

    def _drain(self) -> None:
        """Brings out what the decoder holds; every frame claimed so far must be among it."""
        if self.droppable:
            self.film.stream.codec_context.skip_frame = "DEFAULT"
        self._feed(None)
        self.key = None
        for frame in self.out:
            assert frame.pts is not None
            self._hand_out(frame.pts, frame)
        self.out.clear()
        if self.claims:
            raise _Distrust

    def _decide(self, pts: int) -> bool:
        """Claims the targets that fall on the packet shown at `pts`; False if not known yet."""
        place = bisect_right(self.seen, pts)
        following = self.seen[place] if place < len(self.seen) else None
        low = bisect_left(self.latest, self._time(pts))
        if following is None:
            high = len(self.latest)
            final = self.ended
        else:
            high = bisect_left(self.latest, self._time(following))
            final = self.ended or (self.newest is not None and self.newest - self.slack > following)
        open_targets = [k for k in range(low, high) if not self.claimed[k]]
        if not open_targets:
            return final or low == high or pts in self.claims
        if not final:
            return False
        self._claim(pts, open_targets)
        return True

    def _claim_near(self, pts: int) -> None:
        if self.snap <= 0:
            return
        near = []
        for k in range(self.unclaimed, len(self.latest)):
            if abs(self._time(pts) - self.latest[k]) > self.snap:
                break
            near.append(k)
        if near:
            self._claim(pts, near)

    def _claim(self, pts: int, targets: list[int]) -> None:
        self.claims.setdefault(pts, []).extend(targets)
        for k in targets:
            self.claimed[k] = 1
        while self.unclaimed < len(self.latest) and self.claimed[self.unclaimed]:
            self.unclaimed += 1

    def _ready(self) -> Iterator[Shown]:
        """The frames that may go out: claimed by targets, and no other target can claim them."""
        while self.out and self.origin is not None:
            pts = self.out[0].pts
            assert pts is not None
            if not self._decide(pts):
                break
            self._hand_out(pts, self.out.popleft())
        yield from self.handed
        self.handed = []

    def _hand_out(self, pts: int, frame: av.VideoFrame) -> None:
        for k in self.claims.pop(pts, ()):
            if k != self.given:
                raise _Distrust
            self.given += 1
            self.handed.append((k, self._time(pts), frame))

    def _landing(self) -> tuple[int, int] | None:
        """(stamp to jump to, the latest keyframe that will do), or None to read on."""
        if self.origin is None or self.newest is None or self.unclaimed == self.considered:
            return None
        self.considered = self.unclaimed
        target = self.origin + int(self.latest[self.unclaimed] / self.tick)
        reach = int(self.snap / self.tick)
        entries = self.film.stream.index_entries
        after = entries.search_timestamp(target - self.lead, backward=False)
        before = entries.search_timestamp(target - self.lead, backward=True)
        marks = [entries[i].timestamp + self.lead for i in (before, after) if i >= 0]
        ahead = [mark for mark in marks if mark - self.lead > self.newest]
        near = [mark for mark in ahead if abs(mark - target) <= reach]
        if near:
            return min(near, key=lambda mark: abs(mark - target)), target + reach
        if before >= 0 and marks[0] in ahead:
            return marks[0], target
        if self.indexed or self.trials >= MOST_TRIALS:
            return None
        if (target - self.newest) * self.tick < TRIAL_S:
            return None
        self.trials += 1
        return target, target

    def _land(self, stamp: int, latest: int) -> Generator[av.Packet, None, None]:
        """Jumps so that the next packet is a keyframe shown at `latest` or before."""
        left = self.newest
        for back in BACK_OFF_S:
            self._begin(None)
            if not self.film.seek(stamp - int(back / self.tick)):
                raise _Distrust
            packets = self.film.packets()
            for packet in islice(packets, MOST_PACKETS_TO_KEY):
                if packet.is_keyframe and packet.pts is not None:
                    break
            else:
                continue
            if packet.pts <= latest:
                if left is not None and packet.dts is not None and packet.dts > left:
                    self.trials = 0
                self.key = packet.pts
                self._see(packet)
                return packets
        raise _Distrust
