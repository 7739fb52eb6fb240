"""Users' scores learnt: against the formula of ridge regression, on features that say them."""

import numpy as np
import pytest

from sora_tf.tasks.parts import Pace
from sora_tf.tasks.running import FEATURES
from sora_tf.train.importance import train_importance
from sora_tf.video import write


class Brightness:
    """A model whose one feature is how bright a frame is, 0 to 1."""

    chunk = 8

    def __init__(self):
        self.state = {"none": np.zeros(1)}

    def restart(self):
        """Forgets nothing."""

    def feed(self, frames):
        bright = frames.mean(axis=(1, 2, 3)) / 255
        return {FEATURES: bright[:, None].astype(np.float16), "global_vector": np.zeros(1)}


@pytest.fixture
def film(tmp_path):
    """Ten seconds that grow brighter."""
    levels = np.linspace(20, 230, 50).astype(np.uint8)
    frames = np.broadcast_to(levels[:, None, None, None], (50, 32, 32, 3))
    return write(tmp_path / "film.mp4", frames, 5.0)


def test_scores_follow_what_users_liked(film, tmp_path):
    rows = [f"film.mp4,{time},{1 + 4 * time / 9.8 + user}" for time in (0, 9.8) for user in (-1, 1)]
    (tmp_path / "scores.csv").write_text("\n".join(["path,time,score", *rows]))
    scorer, skipped = train_importance(
        Brightness(), tmp_path / "scores.csv", Pace((32, 32)), tmp_path / "taste.json", "key"
    )
    assert skipped == []
    # The users' mean goes from 1 to 5 with the brightness, which goes from 0.08 to 0.90.
    found = scorer.score(np.asarray([[20 / 255], [230 / 255]]))
    np.testing.assert_allclose(found, [1.0, 5.0], atol=0.25)
    assert scorer.weights[0] == pytest.approx(4 / (210 / 255), rel=0.1)
    assert scorer.key == "key"
    assert not list(tmp_path.glob(".taste*"))
