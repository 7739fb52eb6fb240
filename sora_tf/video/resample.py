"""Sound from one rate to another, by tensorflow-io, with the delay of its filter undone."""

import math

import numpy as np

FILTER = 64  # samples of the filter of tensorflow-io's resampler, where it does not lower the rate


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Sound at another rate; what is above half of the lower rate is filtered out.

    The resampler of tensorflow-io (Speex, quality 4) answers late by half of its filter and drops
    the end of the sound. Zeros before the sound make that delay a whole number of samples of the
    answer, which are cut; zeros after it bring out its end.

    Args:
        samples: (N,) float32.
        rate: of `samples`, per s.
        wanted: of the answer, per s.
    Output: (ceil(N·wanted/rate),) float32, sample k being of time k/wanted.
    """
    count = math.ceil(len(samples) * wanted / rate)
    if rate == wanted or not count:
        return samples
    # The function around this operation traces anew, and warns, at every call.
    from tensorflow_io.python.ops import core_ops

    delay = _filter_length(rate, wanted) // 2
    step = rate // math.gcd(rate, wanted)  # samples in which whole samples of the answer fit
    before = -delay % step
    line = np.pad(samples, (before, delay + step))[:, None]
    answer = core_ops.io_audio_resample(line, rate_in=rate, rate_out=wanted).numpy()[:, 0]
    late = (before + delay) * wanted // rate
    return answer[late : late + count]


def _filter_length(rate: int, wanted: int) -> int:
    """Samples of the filter: longer where the rate is lowered, in eights."""
    common = math.gcd(rate, wanted)
    length = FILTER
    if rate > wanted:
        length = FILTER * (rate // common) // (wanted // common)
    return -(-length // 8) * 8
