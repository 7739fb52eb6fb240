"""What the tests of training share."""

import pytest


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder for decoded clips."""
    return tmp_path_factory.mktemp("cache")
