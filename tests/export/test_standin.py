import json
import shutil
import urllib.error
import urllib.request

import numpy as np
import pytest
from standin import StandIn
from tiny import FRAME, LABELS, clip_of, vectors_of, write_warmup

pytest_plugins = ["served"]


@pytest.mark.parametrize(
    ("signature", "inputs"),
    [
        ("serving_default", {"frames": np.zeros((1, 2, 8, 8, 3), np.float32)}),
        ("serving_default", {"frames": np.zeros((2, 8, 8, 3), np.uint8)}),
        ("clip", {"frames": np.zeros((1, 2, 8, 8, 3), np.uint8)}),
        ("step", {"frames": FRAME}),
        ("jpeg", {"frames": np.array([[b"no picture"]], object)}),
    ],
)
def test_a_wrong_warmup_keeps_the_server_down(base, tmp_path, signature, inputs):
    shutil.copytree(base / "1", tmp_path / "1")
    with StandIn(tmp_path):  # starts as it is
        pass
    write_warmup(tmp_path / "1", signature, inputs)
    with pytest.raises(RuntimeError, match="warmup of"):
        StandIn(tmp_path)


def test_a_damaged_warmup_keeps_the_server_down(base, tmp_path):
    shutil.copytree(base / "1", tmp_path / "1")
    (tmp_path / "1/assets.extra/tf_serving_warmup_requests").write_bytes(b"no records at all")
    with pytest.raises(RuntimeError, match="verify your warmup data is in TFRecord format"):
        StandIn(tmp_path)


def post(server, path, body):
    """The code and the JSON of a bare REST call."""
    request = urllib.request.Request(f"{server.rest}{path}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_stand_in_speaks_the_rest_api(server):
    clip = clip_of(0, 2, (2, 2))
    path = "/v1/models/sora/versions/1:predict"
    vector = pytest.approx(vectors_of(clip).mean(0).tolist(), abs=1e-6)
    code, found = post(server, path, {"instances": [clip.tolist(), clip.tolist()]})
    assert code == 200
    assert [row["labels"] for row in found["predictions"]] == [LABELS, LABELS]
    assert found["predictions"][1]["global_vector"] == vector
    rows = {"instances": [{"frames": clip.tolist()}]}
    assert post(server, path, rows)[1]["predictions"][0]["global_vector"] == vector
    code, found = post(server, path, {"inputs": {"frames": [clip.tolist()]}})
    assert found["outputs"]["labels"] == [LABELS]
    code, found = post(server, "/v1/models/sora:predict", {"instances": [[1, [2]]]})
    assert (code, list(found)) == (400, ["error"])
    code, found = post(server, "/v1/models/sora:predict", {"instances": "text"})
    assert code == 400
    assert post(server, "/v1/models/sorra:predict", rows) == (
        404,
        {"error": "Servable not found for request: Latest(sorra)"},
    )
    assert post(server, "/v1/models/sora/labels/no:predict", rows)[0] == 400
    assert post(server, "/v2/other", rows)[0] == 400
