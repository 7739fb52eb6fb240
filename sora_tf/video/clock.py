"""Presentation times of frames, in seconds since the first one shown."""

import math
from fractions import Fraction

DEFAULT_RATE = 25.0
FASTEST = 1000.0
RESTART_S = 1.0  # a step back of this much is a new stretch of film, not a slip


class Clock:
    """Turns the time stamps of frames, in the order shown, into times that never decrease.

    A missing stamp is filled from the frame rate. A stamp below the one before it gives way to
    the decoding stamp if that one still grows (AVI stores no other), else holds the time. A
    large step back starts a new stretch, which goes on where the last one ended.

    Args:
        time_base: seconds per tick.
        rate: frames per second to fill with; None, zero or nonsense means 25.
    """

    def __init__(self, time_base: Fraction | None, rate: Fraction | float | None):
        self.tick = float(time_base or Fraction(1, 1000))
        usable = rate is not None and 0 < rate <= FASTEST
        self.step = 1.0 / float(rate) if usable and rate is not None else 1.0 / DEFAULT_RATE
        self.origin: int | None = None
        self.steady = True
        self._shift = 0.0
        self._last = 0.0
        self._started = False

    def place(self, pts: int | None, dts: int | None) -> float:
        """The time of the next frame shown, from its stamps in ticks."""
        if not self._started:
            self._started = True
            self.origin = pts if pts is not None else dts
            self.steady = pts is not None
            return 0.0
        if pts is None or self.origin is None:
            self.steady = False
            self._last += self.step
            return self._last
        time = (pts - self.origin) * self.tick + self._shift
        if time <= self._last:
            self.steady = False
            time = self._straighten(time, dts)
        self._last = time
        return time

    def resume(self) -> None:
        """Says that a jump was made: the next time may be any."""
        self._last = -math.inf

    def _straighten(self, time: float, dts: int | None) -> float:
        assert self.origin is not None
        if time < self._last - RESTART_S:
            following = self._last + self.step
            self._shift += following - time
            return following
        if dts is not None:
            decoded = (dts - self.origin) * self.tick + self._shift
            if self._last < decoded <= self._last + 2 * self.step:
                return decoded
        return self._last
