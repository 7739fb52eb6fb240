import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from standin import StandIn, free_port
from tiny import FRAMES, LABELS, SIZE, check, clip_of, scores_of, vectors_of

from sora_tf.export.answers import Facts
from sora_tf.export.client import Client
from sora_tf.export.encoding import encode
from sora_tf.export.remote import predict_files
from sora_tf.export.transport import ServingError
from sora_tf.video import VideoError, sample, write

pytest_plugins = ["served"]


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("signature", ["serving_default", "jpeg"])
def test_predict_is_the_sum_by_hand(ask, count, signature):
    clips = [clip_of(seed) for seed in range(count)]
    found = ask(version=1, pictures="png").predict(clips, signature=signature)
    assert len(found) == count
    for prediction, clip in zip(found, clips, strict=True):
        check(prediction, clip)


@pytest.mark.parametrize(("version", "sharpness"), [(1, 4.0), (2, 1.0), (None, 1.0)])
def test_versions(ask, version, sharpness):
    clip = clip_of(5)
    (found,) = ask(version=version, pictures="png").predict(clip)
    check(found, clip, sharpness)


@pytest.mark.parametrize(("label", "sharpness"), [("stable", 4.0), ("canary", 1.0)])
def test_version_labels(ask, label, sharpness):
    clip = clip_of(6)
    (found,) = ask(label=label, pictures="png").predict(clip)
    check(found, clip, sharpness)


def test_the_default_signature_is_the_cheaper_one(server, ask, api):
    ask().predict(clip_of(0))
    assert server.asked[-1] == (api, {"rest": "jpeg", "grpc": "serving_default"}[api])


def test_jpeg_is_near_and_png_is_exact(server):
    clip = clip_of(7)
    vectors = {}
    for kind in ("jpeg", "png"):
        with Client(server.rest, pictures=kind) as client:
            vectors[kind] = client.predict(clip)[0].global_vector
    truth = vectors_of(clip).mean(0)
    np.testing.assert_allclose(vectors["png"], truth, atol=1e-6)
    np.testing.assert_allclose(vectors["jpeg"], truth, atol=0.01)
    assert not np.array_equal(vectors["jpeg"], vectors["png"])


def test_encoded_pictures():
    frame = np.zeros((16, 16, 3), np.uint8)
    frame[:, 8:] = (255, 0, 0)  # a colour edge that half the chroma samples would blur
    for kind, most in (("jpeg", 6), ("png", 0)):
        found = np.asarray(Image.open(io.BytesIO(encode(frame, kind))))
        assert np.abs(found.astype(int) - frame).max() <= most


def test_clips_of_other_shapes_keep_their_order(ask):
    shapes = [(3, SIZE), (2, (8, 8)), (3, SIZE), (5, (20, 9)), (2, (8, 8))]
    clips = [clip_of(seed, *shape) for seed, shape in enumerate(shapes)]
    for signature in ("serving_default", "jpeg"):
        found = ask(version=1, pictures="png").predict(clips, signature=signature)
        for prediction, clip in zip(found, clips, strict=True):
            check(prediction, clip)


def test_embed(ask):
    clips = [clip_of(1), clip_of(2), clip_of(3, 2)]
    for found, clip in zip(ask().embed(clips), clips, strict=True):
        np.testing.assert_allclose(found.frame_vectors, vectors_of(clip), atol=1e-6)
        np.testing.assert_allclose(found.global_vector, vectors_of(clip).mean(0), atol=1e-6)


def test_classify(ask):
    clips = [clip_of(seed, 2 + seed) for seed in range(3)]
    for found, clip in zip(ask(version=1, pictures="png").classify(clips), clips, strict=True):
        scores = scores_of(vectors_of(clip).mean(0))
        assert found.scores == pytest.approx(scores, abs=1e-5)
        assert found.label == max(scores, key=scores.get)


def test_32_callers_of_one_client(ask, api):
    clips = [clip_of(seed, 1 + seed % 4) for seed in range(8)]
    client = ask(version=1, pictures="png")

    def call(number):
        mine = [clips[(number + k) % 8] for k in range(1 + number % 3)]
        for prediction, clip in zip(client.predict(mine), mine, strict=True):
            check(prediction, clip)
        return len(mine)

    with ThreadPoolExecutor(32) as pool:
        assert sum(pool.map(call, range(192))) == 64 * (1 + 2 + 3)


def test_many_clips_travel_in_several_requests(server, ask, api):
    clips = [clip_of(seed) for seed in range(5)]
    room = int(2.5 * clips[0].nbytes * {"rest": 4, "grpc": 1}[api] / 0.9)
    for limits in ({"batch": 2}, {"message_bytes": room}):
        before = len(server.asked)
        client = ask(version=1, pictures="png", **limits)
        found = client.predict(clips, signature="serving_default")
        assert len(server.asked) - before == 3
        for prediction, clip in zip(found, clips, strict=True):
            check(prediction, clip)
        for prediction, clip in zip(client.predict(clips, signature="jpeg"), clips, strict=True):
            check(prediction, clip)


def test_a_stream_carries_its_states(ask):
    clip = clip_of(11, 2 * FRAMES + 3)
    truth = vectors_of(clip)
    found = list(ask(version=1).stream(iter(clip)))
    assert len(found) == len(clip)
    for t, answer in enumerate(found):
        overall, recent = truth[: t + 1].mean(0), truth[max(0, t + 1 - FRAMES) : t + 1].mean(0)
        np.testing.assert_allclose(answer.frame_vector, truth[t], atol=1e-6)
        np.testing.assert_allclose(answer.global_vector, overall, atol=1e-6)
        np.testing.assert_allclose(answer.recent_vector, recent, atol=1e-6)
        assert answer.scores == pytest.approx(scores_of(overall), abs=1e-5)
        assert answer.recent_scores == pytest.approx(scores_of(recent), abs=1e-5)
        assert answer.label == max(answer.recent_scores, key=answer.recent_scores.get)


def test_two_streams_of_one_client_do_not_mix(ask):
    clips = [clip_of(21, 5), clip_of(22, 5)]
    client = ask()
    pairs = list(zip(*(client.stream(clip) for clip in clips), strict=True))
    for answer, clip in zip(pairs[-1], clips, strict=True):
        np.testing.assert_allclose(answer.global_vector, vectors_of(clip).mean(0), atol=1e-6)


def test_a_stream_stays_with_its_version(base, api):
    clip = clip_of(23, 4)
    with StandIn(base) as server, Client(getattr(server, api)) as client:
        newest = server.versions.pop(2)
        stream = client.stream(clip)
        next(stream)
        server.versions[2] = newest  # a new version comes in while the stream runs
        last = list(stream)[-1]
        assert last.scores == pytest.approx(scores_of(vectors_of(clip).mean(0), 4.0), abs=1e-5)
        check(client.predict(clip, signature="serving_default")[0], clip, 1.0)


def test_status_and_metadata(ask):
    client = ask()
    assert [(v.version, v.state, v.error) for v in client.status()] == [
        (1, "AVAILABLE", ""),
        (2, "AVAILABLE", ""),
    ]
    (one,) = ask(version=1).status()
    assert one.version == 1
    found = ask(label="stable").metadata()
    assert found.version == 1
    assert set(found.inputs) == {"serving_default", "embed", "jpeg", "classify", "step", "facts"}
    assert found.inputs["step"]["frames"].shape == (None, 1, *SIZE, 3)
    assert found.inputs["step"]["frames"].dtype == "DT_UINT8"
    assert client.facts() == Facts(tuple(LABELS), FRAMES, SIZE, "stretch", 3.0)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """4 s whose colour changes each second, and a damaged file."""
    folder = tmp_path_factory.mktemp("films")
    frames = np.zeros((32, 48, 64, 3), np.uint8)
    for second, colour in enumerate([(200, 30, 30), (30, 200, 30), (30, 30, 200), (200, 30, 30)]):
        frames[8 * second : 8 * second + 8] = colour
    (folder / "bad.mp4").write_bytes(b"nothing")
    return str(write(folder / "film.mp4", frames, 8.0)), str(folder / "bad.mp4")


def test_files_are_read_as_the_model_takes_them(ask, film):
    client = ask(version=1, pictures="png")
    (found,) = client.predict(film[0])
    check(found, sample(film[0], FRAMES, size=SIZE).frames)
    with pytest.raises(VideoError, match="cannot open"):
        client.predict([film[0], film[1]])


def test_a_stream_of_a_file(ask, film):
    answers = list(ask(version=1).stream(film[0]))
    assert len(answers) == 32
    assert answers[4].label == "red"
    assert answers[-1].label == "red"


def test_predict_files(server, api, film):
    answers = list(
        predict_files(getattr(server, api), [film[1], *film], label="stable", seconds=1.0)
    )
    assert [answer["path"] for answer in answers] == [film[1], film[0], film[1]]
    assert "cannot open" in answers[0]["error"]
    good = answers[1]
    assert set(good) == {"path", "label", "scores", "windows", "damage"}
    assert [(w["start"], w["end"]) for w in good["windows"]] == [(0, 1), (1, 2), (2, 3), (3, 4)]
    best = [max(w["scores"], key=w["scores"].get) for w in good["windows"]]
    assert best == ["red", "green", "blue", "red"]
    mean = np.mean([list(w["scores"].values()) for w in good["windows"]], axis=0)
    np.testing.assert_allclose(list(good["scores"].values()), mean)
    assert good["label"] == "red"
    assert good["damage"] is None
    json.dumps(answers, allow_nan=False)


def test_predict_files_shorter_than_a_clip(server, tmp_path):
    """Every file stands alone, and the padding of a short one is not sent."""
    frames = np.zeros((2, 3, *SIZE, 3), np.uint8)
    frames[0, :2], frames[0, 2], frames[1] = (200, 0, 0), (0, 0, 200), (0, 200, 0)
    paths = [str(write(tmp_path / f"{n}.mp4", film, 4.0)) for n, film in enumerate(frames)]
    answers = list(predict_files(server.grpc, paths, version=1))
    assert [answer["label"] for answer in answers] == ["red", "green"]
    for answer, film in zip(answers, frames, strict=True):
        assert [window["start"] for window in answer["windows"]] == [0.0]
        truth = scores_of(vectors_of(film).mean(0))
        assert answer["scores"] == pytest.approx(truth, abs=0.03)  # H.264 is not exact


def test_predict_files_of_a_server_that_is_not_there(film):
    with pytest.raises(ServingError, match="unavailable"):
        list(predict_files(f"http://127.0.0.1:{free_port()}", [film[0]], timeout=0.3))


def test_predict_files_names_a_file_that_the_server_refuses(server, film):
    found = predict_files(server.grpc, [film[0]], signature="nothing")
    (answer,) = found
    assert answer["path"] == film[0]
    assert "bad input" in answer["error"]


def test_rest_needs_no_tensorflow(server):
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["grpc"] = None  # an import of either fails
import numpy as np
from sora_tf.export.client import Client
clip = np.full((2, 8, 8, 3), (0, 200, 0), np.uint8)
client = Client({server.rest!r})
print(client.predict(clip)[0].label, client.classify(clip)[0].label, client.status()[0].state)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["green", "green", "AVAILABLE"], done.stderr
