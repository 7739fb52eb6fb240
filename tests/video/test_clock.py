import pickle
from fractions import Fraction

import pytest

from sora_tf.video import VideoError
from sora_tf.video.clock import Clock

MS = Fraction(1, 1000)


def times(stamps, rate=10, base=MS):
    clock = Clock(base, rate)
    return [round(clock.place(*pair), 6) for pair in stamps]


@pytest.mark.parametrize(
    ("stamps", "expected"),
    # (presentation, decoding) stamps in ms; 10 frames a second where one must be filled in.
    [
        ([(500, 500), (540, 540), (700, 700)], [0, 0.04, 0.2]),
        ([(0, 0), (None, None), (200, None)], [0, 0.1, 0.2]),
        ([(None, None), (None, None), (None, None)], [0, 0.1, 0.2]),
        # A slip back holds the time where the decoding stamp does not help ...
        ([(0, 0), (100, None), (50, None), (150, None)], [0, 0.1, 0.1, 0.15]),
        # ... and follows the decoding stamp where that grows as it should.
        ([(0, 0), (100, 100), (50, 200), (300, 300)], [0, 0.1, 0.2, 0.3]),
        # A step back of a second and more is a new stretch, shown right after the last.
        ([(5000, 0), (7000, 0), (5000, 0), (5100, 0)], [0, 2.0, 2.1, 2.2]),
    ],
)
def test_times_never_decrease(stamps, expected):
    assert times(stamps) == expected


@pytest.mark.parametrize("rate", [None, 0, -3, 1e9])
def test_a_rate_of_nonsense_is_25(rate):
    assert times([(None, None), (None, None)], rate) == [0, 0.04]


def test_a_jump_may_go_back():
    clock = Clock(MS, 10)
    assert [clock.place(0, 0), clock.place(3000, 0)] == [0, 3.0]
    clock.resume()
    assert clock.place(1000, 0) == 1.0


def test_an_error_survives_the_way_between_processes():
    error = VideoError("a.mp4", "damaged", "two\nlines", "Do this.")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == "a.mp4: damaged: two lines. Do this."
    assert (again.path, again.kind, again.detail) == ("a.mp4", "damaged", "two lines")
