"""What an artefact's time is."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from sora_tf.export.measure import run

CLIPS = {
    "frames": np.zeros((5, 2, 4, 4, 3), np.uint8),
    "mask": np.ones((5, 2), bool),
    "streamed": np.array(0),
}


def taking(work):
    """A runtime whose clip takes what some work takes."""

    def clip(_):
        work()
        return {name: np.zeros((1, 2)) for name in ("scores", "global_vector", "frame_vectors")}

    return SimpleNamespace(clip=clip, step=None, start={})


def busy():
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass


def test_waiting_for_others_is_not_the_models_time():
    _, figures = run(taking(lambda: time.sleep(0.05)), CLIPS)
    assert figures["clip_ms"] < 10


def test_computing_is():
    _, figures = run(taking(busy), CLIPS)
    assert figures["clip_ms"] == pytest.approx(50, abs=20)
    assert figures["step_ms"] is None
