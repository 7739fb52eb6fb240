"""Where boxes will be: a Kalman filter of constant velocity, for all tracks at once.

Each of a box's middle, width and height is followed alone, with noise in units of its own size, so
that small things and large are treated alike.
Reference: Kalman, "A new approach to linear filtering and prediction problems", 1960; Bewley et
al., "Simple online and realtime tracking", ICIP 2016.
"""

from dataclasses import dataclass, fields

import numpy as np

SEEN = 0.1  # how far a box found is off, in its sizes
# Size changes slowly, and a thing's speed as fast as its kind does.
PUSH = np.array([0.01, 0.01, 0.001, 0.001])  # change of speed in a frame, in sizes
START = np.array([0.5, 0.5, 0.01, 0.01])  # speed of a new thing, in sizes a frame


@dataclass
class Motion:
    """What is known of K boxes: place (K, 4) as middle, width and height, speed, doubts.

    Attributes:
        place, speed: (K, 4) pixels, and pixels a frame.
        doubt: (K, 4) variance of the place.
        both: (K, 4) covariance of place and speed.
        drift: (K, 4) variance of the speed.
    """

    place: np.ndarray
    speed: np.ndarray
    doubt: np.ndarray
    both: np.ndarray
    drift: np.ndarray

    @classmethod
    def begun(cls, boxes: np.ndarray) -> "Motion":
        """That of boxes (K, 4) seen for the first time."""
        place = middles(boxes)
        size = _sizes(place)
        nothing = np.zeros_like(place)
        return cls(place, nothing, nothing + (SEEN * size) ** 2, nothing, (START * size) ** 2)

    def __len__(self) -> int:
        """The number of boxes."""
        return len(self.place)

    def of(self, rows: np.ndarray) -> "Motion":
        """Some of them."""
        return Motion(*(getattr(self, field.name)[rows] for field in fields(self)))

    def and_(self, other: "Motion") -> "Motion":
        """These and others."""
        pairs = ((getattr(self, field.name), getattr(other, field.name)) for field in fields(self))
        return Motion(*(np.concatenate(pair) for pair in pairs))

    def ahead(self, steps: int) -> "Motion":
        """So many frames later."""
        push = (PUSH * _sizes(self.place)) ** 2 * steps
        place = self.place + steps * self.speed
        place[:, 2:] = np.maximum(place[:, 2:], 0.5 * self.place[:, 2:])  # nothing shrinks to none
        return Motion(
            place,
            self.speed,
            self.doubt + 2 * steps * self.both + steps**2 * self.drift + push * steps**2 / 3,
            self.both + steps * self.drift + push * steps / 2,
            self.drift + push,
        )

    def seen(self, boxes: np.ndarray) -> "Motion":
        """After the boxes (K, 4) were found where they are."""
        found = middles(boxes)
        trust = self.doubt + (SEEN * _sizes(found)) ** 2
        surprise = found - self.place
        gain, pull = self.doubt / trust, self.both / trust
        return Motion(
            self.place + gain * surprise,
            self.speed + pull * surprise,
            (1 - gain) * self.doubt,
            (1 - gain) * self.both,
            self.drift - pull * self.both,
        )

    def doubts(self) -> np.ndarray:
        """(K,) how far each may be off, one standard deviation, in its sizes."""
        return np.sqrt(self.doubt[:, :2].mean(1)) / _sizes(self.place)[:, 0]

    def boxes(self) -> np.ndarray:
        """(K, 4) left, top, width and height."""
        return np.concatenate([self.place[:, :2] - self.place[:, 2:] / 2, self.place[:, 2:]], 1)


def middles(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) middle, width and height of boxes (N, 4) given by their left and top."""
    boxes = np.asarray(boxes, np.float64)
    return np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], 1)


def _sizes(place: np.ndarray) -> np.ndarray:
    """(N, 1) side of the square as large as each box."""
    return np.sqrt(place[:, 2:].prod(1, keepdims=True))
