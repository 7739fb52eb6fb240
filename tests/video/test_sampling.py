from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sora_tf.video import sampling

durations = st.floats(0.01, 1e5)
counts = st.integers(1, 200)


def test_uniform_by_hand():
    # Four segments of 2.5 s in 10 s; their centres.
    np.testing.assert_allclose(sampling.uniform(10, 4), [1.25, 3.75, 6.25, 8.75])
    np.testing.assert_allclose(sampling.uniform(3, 1), [1.5])


def test_stride_by_hand():
    np.testing.assert_allclose(sampling.stride(1.0, 4), [0, 0.25, 0.5, 0.75])
    np.testing.assert_allclose(sampling.stride(1.0, 4, offset=0.1), [0.1, 0.35, 0.6, 0.85])
    np.testing.assert_allclose(sampling.stride(1.01, 4), [0, 0.25, 0.5, 0.75, 1.0])
    assert sampling.stride(1.0, 4, offset=2.0).shape == (0,)


def test_windows_by_hand():
    assert sampling.windows(10, 4, 3) == [(0, 4), (3, 7), (6, 10)]
    assert sampling.windows(11, 4, 3) == [(0, 4), (3, 7), (6, 10), (7, 11)]
    assert sampling.windows(3, 4, 3) == [(0, 3)]
    assert sampling.windows(4, 4, 4) == [(0, 4)]


@given(durations, counts, st.integers(0, 2**32))
def test_random_times_fall_one_in_each_segment(duration, count, seed):
    times = sampling.random_in_segments(duration, count, np.random.default_rng(seed))
    segments = np.floor(times / duration * count * (1 + 1e-12) + 1e-9)
    assert times.shape == (count,)
    assert (np.abs(segments - np.arange(count)) <= 1e-6).all()
    assert times.min() >= 0
    assert times.max() <= duration


@settings(deadline=None)
@given(durations, st.floats(0.05, 50), st.floats(0.05, 1))
def test_windows_cover_everything(duration, length, share):
    duration = min(duration, length * 300)
    cut = sampling.windows(duration, length, length * share)
    slack = 1e-6 * duration
    assert cut[0][0] == 0
    assert cut[-1][1] == pytest.approx(duration)
    for (start, end), (following, _) in pairwise(cut):
        assert start < following <= end + slack
    assert all(end - start == pytest.approx(min(length, duration)) for start, end in cut)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampling.uniform(0, 3), "duration must be above 0"),
        (lambda: sampling.uniform(1, 0), "count must be at least 1"),
        (lambda: sampling.stride(1, 0), "fps must be above 0"),
        (lambda: sampling.stride(1, 1, -1), "offset must be at least 0"),
        (lambda: sampling.windows(1, 1, 2), "length must be at least 2"),
        (lambda: sampling.windows(1, 1, 0), "step must be above 0"),
    ],
)
def test_arguments_out_of_range(call, message):
    with pytest.raises(ValueError, match=message):
        call()
