"""Fixtures: a stand-in server of two versions of the tiny model, and clients of it."""

import contextlib

import pytest


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """Two versions of the tiny model."""
    from tiny import write_tiny

    folder = tmp_path_factory.mktemp("models") / "sora"
    write_tiny(folder / "1", 4.0)
    write_tiny(folder / "2", 1.0)
    return folder


@pytest.fixture(scope="session")
def server(base):
    """Both versions, labelled."""
    from standin import StandIn

    with StandIn(base, labels={"stable": 1, "canary": 2}) as running:
        yield running


@pytest.fixture(params=["rest", "grpc"])
def api(request):
    """The name of each way to ask."""
    return request.param


@pytest.fixture
def ask(server, api):
    """Makes clients of the server."""
    from sora_tf.export.client import Client

    with contextlib.ExitStack() as stack:
        yield lambda **kwargs: stack.enter_context(Client(getattr(server, api), **kwargs))
