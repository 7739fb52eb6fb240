"""What every way to a server has in common: what is asked, what comes back, what goes wrong."""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar
from urllib.parse import SplitResult, urlsplit

import numpy as np

Kind = Literal[
    "unavailable",
    "deadline exceeded",
    "not found",
    "bad input",
    "over the limit",
    "server failed",
    "not installed",
]

REMEDIES: dict[str, str] = {
    "unavailable": "Start the server, or check its address.",
    "deadline exceeded": "Give a longer timeout, or fewer clips at once.",
    "not found": "Check the model's name and version.",
    "bad input": "Check what is sent against the model's signatures.",
    "over the limit": "Send fewer or smaller frames, or give a higher message_bytes.",
    "server failed": "Look into the server's log.",
    "not installed": "Install it with pip install 'sora_tf[serving]'.",
}

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
DETAIL = 300  # characters of a server's own words
WRONG_LABEL = "Unrecognized servable version label"

Answer = TypeVar("Answer")


class ServingError(Exception):
    """A request that was not answered. Its text is one line: where, what, what to do.

    Args:
        server: the server as the caller named it.
        kind: what went wrong, one of the keys of `REMEDIES`.
        detail: what was found; a server's own words are cut to 300 characters.
        remedy: what to do; None takes the usual advice for this kind.
    """

    def __init__(self, server: str, kind: Kind, detail: str, remedy: str | None = None):
        self.server = server
        self.kind = kind
        detail = " ".join(detail.split()).rstrip(".")
        self.detail = detail if len(detail) <= DETAIL else f"{detail[:DETAIL]}…"
        self.remedy = remedy or REMEDIES[kind]
        super().__init__(f"{server}: {kind}: {self.detail}. {self.remedy}")

    def __reduce__(self):
        """Lets the error travel between processes."""
        return type(self), (self.server, self.kind, self.detail, self.remedy)


@dataclass(frozen=True)
class Target:
    """Which model is asked.

    Args:
        model: its name.
        version: its version; None is the newest, or what `label` points at.
        label: a version label, "stable" say.
    """

    model: str
    version: int | None = None
    label: str | None = None

    def __post_init__(self) -> None:
        """Checks that the version is said once."""
        if self.version is not None and self.label is not None:
            raise ValueError(
                f"Client: version and label must not both be given, got {self.version} and "
                f"{self.label!r}. Give one of them."
            )


@dataclass(frozen=True)
class TensorInfo:
    """An input of a signature: TensorFlow's name of its type, and its shape; None is open."""

    dtype: str
    shape: tuple[int | None, ...]


@dataclass(frozen=True)
class Metadata:
    """What a server says about a model: the version asked, {signature: {input: TensorInfo}}."""

    version: int
    inputs: Mapping[str, Mapping[str, TensorInfo]]


@dataclass(frozen=True)
class VersionStatus:
    """How a version of a model fares.

    Args:
        version: its number.
        state: "START", "LOADING", "AVAILABLE", "UNLOADING" or "END".
        error: what went wrong, or "".
    """

    version: int
    state: str
    error: str


class Transport(Protocol):
    """A way to a server. Safe in threads; every method raises ServingError."""

    signature: str  # the one that `predict` uses unless told otherwise
    byte_size: int  # most bytes that a raw byte takes on the way

    def predict(
        self, target: Target, signature: str, inputs: Mapping[str, np.ndarray], seconds: float
    ) -> dict[str, np.ndarray]:
        """Runs a signature; bytes and text are object arrays, of bytes in and of str out."""

    def classify(
        self, target: Target, clips: Sequence[Sequence[bytes]], seconds: float
    ) -> list[list[tuple[str, float]]]:
        """(class, score) pairs of every clip, each given as encoded pictures."""

    def metadata(self, target: Target, seconds: float) -> Metadata:
        """What the model takes."""

    def status(self, target: Target, seconds: float) -> list[VersionStatus]:
        """The versions of the model."""

    def close(self) -> None:
        """Gives the connections back."""


def patiently(call: Callable[[float], Answer], timeout: float, retries: int) -> Answer:
    """Calls again, after a pause that grows, while the server is unavailable.

    Args:
        call: is given the seconds left.
        timeout: s for all calls and pauses.
        retries: most calls after the first.

    Raises:
        ServingError: the last one.
    """
    end = time.monotonic() + timeout
    for attempt in range(retries + 1):
        try:
            return call(end - time.monotonic())
        except ServingError as error:
            pause = min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
            over = attempt == retries or time.monotonic() + pause >= end
            if error.kind != "unavailable" or over:
                raise
        time.sleep(pause)
    raise AssertionError("the last call returns or raises")


def address(server: str, example: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        ValueError: it names no host.
    """
    parts = urlsplit(server)
    if not parts.hostname:
        raise ValueError(f"Client: server must name a host, got {server!r}. Write {example}.")
    return parts


def open_shape(sizes: Iterable[int]) -> tuple[int | None, ...]:
    """A shape as `TensorInfo` has it, from a server's own, in which what is open is -1."""
    return tuple(None if size < 0 else size for size in sizes)


def check_size(server: str, size: int, limit: int) -> None:
    """Raises ServingError where a message of `size` bytes is over the limit."""
    if size > limit:
        raise ServingError(
            server, "over the limit", f"the request takes {size} bytes and the limit is {limit}"
        )
