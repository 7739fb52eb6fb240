"""What all tests share: the place of the real clips."""

import os
from pathlib import Path

import pytest

DATA = Path(os.environ.get("SORA_TF_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real clips; the test is skipped where there is none."""
    if not DATA.is_dir():
        pytest.skip(f"no real clips at {DATA}; set SORA_TF_DATA to their folder")
    return DATA
