import contextlib
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from standin import StandIn, free_port
from tiny import FRAME, STATES, Tiny, check, clip_of

from sora_tf.export.client import Client
from sora_tf.export.transport import ServingError, patiently

pytest_plugins = ["served"]


def one_line(error, server, kind):
    """The error is one line that names the server and the kind."""
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 500
    assert text.startswith(f"{server}: {kind}: ")
    assert text.endswith(".")
    assert error.value.kind == kind


@pytest.mark.parametrize(
    "target", [{"model": "sorra"}, {"version": 7}, {"label": "nightly"}, {"model": "a b/c"}]
)
def test_no_such_model(server, ask, api, target):
    client = ask(**target)
    with pytest.raises(ServingError) as error:
        client.predict(clip_of(0))
    one_line(error, getattr(server, api), "not found")
    assert str(next(iter(target.values()))) in str(error.value)
    if "label" not in target:
        with pytest.raises(ServingError, match="not found: Could not find"):
            client.status()


def test_no_server(api):
    address = f"{ {'rest': 'http', 'grpc': 'grpc'}[api] }://127.0.0.1:{free_port()}"
    start = time.monotonic()
    with Client(address, retries=2) as client, pytest.raises(ServingError) as error:
        client.predict(clip_of(0))
    one_line(error, address, "unavailable")
    assert "refused" in str(error.value)
    assert 0.1 < time.monotonic() - start < 15  # it tried again, and then let it be


def test_a_server_that_comes_up_late(base, api):
    clip = clip_of(3)
    with StandIn(base) as server:
        address = getattr(server, api)
    # The place is free again; who asks now is refused until it is taken.
    with (
        ThreadPoolExecutor(1) as pool,
        Client(address, version=1, pictures="png", retries=30) as client,
    ):
        waiting = pool.submit(client.predict, clip)
        time.sleep(0.3)
        assert not waiting.done()
        with StandIn(base, ports=(server.grpc_port, server.rest_port)):
            check(waiting.result()[0], clip)


def test_a_client_outlives_its_server(base, api):
    clip = clip_of(4)
    with StandIn(base, delay=0.2) as server, ThreadPoolExecutor(8) as pool:
        client = Client(getattr(server, api), version=1, pictures="png", retries=1)
        list(pool.map(client.predict, [clip] * 8))  # eight connections are kept
    with StandIn(base, ports=(server.grpc_port, server.rest_port)):
        check(client.predict(clip)[0], clip)
    client.close()


def test_a_full_server_is_asked_again(server, ask):
    clip = clip_of(8)
    before = len(server.asked)
    server.unavailable = 2
    (found,) = ask(version=1, pictures="png").predict(clip)
    check(found, clip)
    assert len(server.asked) - before == 3
    server.unavailable = 2
    with pytest.raises(ServingError, match="unavailable: The batch scheduling queue is full"):
        ask(retries=1).predict(clip)
    assert server.unavailable == 0


def test_what_is_wrong_is_not_asked_again(server, ask):
    before = len(server.asked)
    with pytest.raises(ServingError):
        ask(version=1).ask("serving_default", {"frames": np.zeros((1, 2, 3), np.uint8)})
    assert len(server.asked) - before == 1


def test_pauses_grow_and_end(monkeypatch):
    pauses, calls = [], []
    monkeypatch.setattr("sora_tf.export.transport.time.sleep", pauses.append)
    monkeypatch.setattr("sora_tf.export.transport.random.uniform", lambda a, b: b)

    def refuse(left):
        calls.append(left)
        raise ServingError("here", "unavailable", "no")

    with pytest.raises(ServingError):
        patiently(refuse, 60.0, 6)
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert len(calls) == 7
    pauses.clear()
    with pytest.raises(ServingError):
        patiently(refuse, 0.25, 6)  # no pause that the time left does not hold
    assert pauses[:2] == [0.1, 0.2]
    assert all(pause < 0.25 for pause in pauses)


def test_a_deadline(base, api):
    with StandIn(base, delay=4.0) as server, Client(getattr(server, api), timeout=0.3) as client:
        client.status()  # so that there is a connection to be used again
        start = time.monotonic()
        with pytest.raises(ServingError) as error:
            client.predict(clip_of(0))
        assert time.monotonic() - start < 3.5
        one_line(error, getattr(server, api), "deadline exceeded")
        assert "0.3 s" in str(error.value)


@pytest.mark.parametrize(
    ("signature", "inputs", "said"),
    [
        ("serving_default", {"frames": clip_of(0)[None] / np.float32(255)}, "uint8"),
        ("serving_default", {"frames": clip_of(0)}, "frames"),  # no batch
        ("serving_default", {"pictures": clip_of(0)[None]}, "frames"),
        ("serving_default", {"frames": np.array([[b"text"]], object)}, "uint8"),
        ("jpeg", {"frames": np.array([[b"no picture"]], object)}, "JPEG"),
        ("nothing", {"frames": clip_of(0)[None]}, "nothing"),
        ("step", {**STATES, "frames": np.repeat(FRAME, 2, 0)}, "equal 0th-dimension size"),
        ("step", {**STATES, "frames": FRAME[:, :, :5]}, "frames"),
        ("step", {"frames": FRAME}, "state_"),
    ],
)
def test_what_the_server_refuses(server, ask, api, signature, inputs, said):
    with pytest.raises(ServingError) as error:
        ask().ask(signature, inputs)
    one_line(error, getattr(server, api), "bad input")
    assert said in str(error.value)


def test_messages_over_the_limit(server, ask, api, base):
    client = ask(message_bytes=1000)
    with pytest.raises(ServingError) as error:
        client.predict(clip_of(0))
    one_line(error, getattr(server, api), "over the limit")
    assert "the limit is 1000" in str(error.value)
    with pytest.raises(ServingError, match="over the limit"):
        client.classify(clip_of(0, 6, (40, 40)))


def test_a_message_over_the_servers_limit(base):
    with StandIn(base, message_bytes=2000) as server, Client(server.grpc) as client:
        with pytest.raises(ServingError) as error:
            client.predict(clip_of(0))
        one_line(error, server.grpc, "over the limit")


def test_an_answer_over_the_limit(server):
    with Client(server.grpc, message_bytes=2500) as client, pytest.raises(ServingError) as error:
        client.ask("embed", {"frames": np.zeros((60, 6, 1, 1, 3), np.uint8)})
    one_line(error, server.grpc, "over the limit")


@pytest.mark.parametrize(
    "clip",
    [
        np.zeros((2, 8, 8, 3), np.float32),
        np.zeros((8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 4), np.uint8),
        np.zeros((0, 8, 8, 3), np.uint8),
    ],
)
def test_what_is_no_clip(ask, clip):
    with pytest.raises(ValueError, match=r"a clip must be \(t, h, w, 3\) uint8, got"):
        ask().predict([clip])


def test_a_stream_of_other_frames(ask):
    with pytest.raises(ValueError, match=r"a frame must be \(12, 10, 3\) uint8, got \(8, 8, 3\)"):
        next(ask().stream([np.zeros((8, 8, 3), np.uint8)]))


@pytest.mark.parametrize(
    ("server", "options", "said"),
    [
        ("localhost:8501", {}, "must begin with http://"),
        ("http://", {}, "must name a host"),
        ("grpc://", {}, "must name a host"),
        ("http://a", {"version": 1, "label": "stable"}, "must not both be given"),
        ("http://a", {"timeout": 0}, "timeout must be above 0"),
        ("http://a", {"retries": -1}, "retries must be at least 0"),
        ("http://a", {"batch": 0}, "batch must be at least 1"),
        ("http://a", {"message_bytes": 0}, "message_bytes must be above 0"),
        ("http://a", {"pictures": "gif"}, "pictures must be one of jpeg, png"),
    ],
)
def test_arguments(server, options, said):
    with pytest.raises(ValueError, match=said):
        Client(server, **options)


def test_a_model_that_does_not_stream_or_say_what_it_is(tmp_path, api):
    tiny = Tiny(4.0)
    signatures = {name: getattr(tiny, name) for name in ("serving_default", "embed")}
    tf.saved_model.save(tiny, str(tmp_path / "1"), signatures=signatures)
    with StandIn(tmp_path) as server, Client(getattr(server, api)) as client:
        with pytest.raises(ServingError, match="has no signature 'step'"):
            next(client.stream(clip_of(0)))
        with pytest.raises(ServingError, match=r"sora cannot say what it is: .*Export it anew"):
            client.facts()


def test_an_address_of_something_else():
    """A server that closes every connection is unavailable; HTML is no answer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def serve():
            for reply in (b"", b"220 mail ready\r\n", b"HTTP/1.1 502 Bad\r\n\r\n<html>", b""):
                with contextlib.suppress(OSError), listening.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        for said in ("closed connection", "220 mail", "HTTP status 502"):
            with Client(f"http://127.0.0.1:{port}", retries=0) as client:
                with pytest.raises(ServingError, match=said) as error:
                    client.status()
                one_line(error, client.server, "unavailable")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving", None)
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ServingError, match=r"pip install 'sora_tf\[serving\]'") as error:
        Client("grpc://localhost:8500")
    one_line(error, "grpc://localhost:8500", "not installed")
