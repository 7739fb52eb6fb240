"""What all tests share: the place of the real clips, and a small run on moving digits."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

COUNTS = {"train": 64, "val": 16, "test": 16}
EXPORTS = "tests/export/"
DATA = Path(os.environ.get("SORA_TF_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Side by side, a file's tests run in one process, and so do all that share exports.

    A run and all its exports take two minutes to make.
    """
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return EXPORTS if file.startswith(EXPORTS) else file

    return ByFile(config, log)


def seed() -> None:
    from sora_tf._keras import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(scope="module", autouse=True)
def seeded_module():
    """Models that a module's fixtures build have the same weights in every run."""
    seed()


@pytest.fixture(autouse=True)
def seeded_test(seeded_module):
    """So have those that a test builds, whichever tests ran before it."""
    seed()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips; the test is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no real clips at {DATA}; set SORA_TF_DATA to their folder")
    return DATA


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """A folder of moving digits with its index.csv."""
    from sora_tf.data import write_digits

    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder, COUNTS)
    return folder


@pytest.fixture(scope="session")
def settings():
    """Arguments for a short training."""
    from sora_tf.config import micro
    from sora_tf.data import Augment
    from sora_tf.train import TrainConfig

    extractor = replace(micro().extractor, channels=(8, 16), features=32)
    relation = replace(micro().relation, units=32)
    return {
        "model": replace(micro(), extractor=extractor, relation=relation),
        "training": TrainConfig(epochs=3, batch_size=8, learning_rate=3e-3),
        "augment": Augment.none(),
        "verbose": 0,
    }


@pytest.fixture(scope="session")
def run(digits, settings, tmp_path_factory):
    """A finished run on moving digits, made once for all tests that need one."""
    from sora_tf.train import train_classifier

    return train_classifier(
        digits / "index.csv", tmp_path_factory.mktemp("runs") / "run", **settings
    )
