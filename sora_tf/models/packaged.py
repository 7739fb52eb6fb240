"""Weights that lie in an installed package."""

import importlib.util
from pathlib import Path


def package_folder(name: str) -> Path | None:
    """The folder of an installed package, none of whose code is run; None where there is none."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        return None
    return Path(found.submodule_search_locations[0])
