"""Progress bars: on a terminal only, on standard error, gone when done."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def progress(items: Iterable[Item], unit: str, total: int) -> Iterable[Item]:
    """The items, with a bar that moves as they are taken."""
    return tqdm(items, unit=f" {unit}", total=total, disable=None, file=sys.stderr, leave=False)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for work that calls back with (done, total)."""
    with tqdm(desc=what, disable=None, file=sys.stderr, leave=False) as bar:

        def update(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield update
