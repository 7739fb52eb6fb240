"""Detectors as files: each finds what the run's own detector finds, or is not there."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import tensorflow as tf
from squares import MODEL, SIZE, train, write_films
from standin import StandIn

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.data import read_index
from sora_tf.data.boxes import Boxes, joined, overlaps
from sora_tf.export import detector_check
from sora_tf.export.client import Client
from sora_tf.export.clips import ClipSet
from sora_tf.export.detector import export_detector
from sora_tf.export.detector_check import EXACT, ROUGH, Bound, compare
from sora_tf.export.detector_signature import DeployableDetector, detect_function
from sora_tf.export.errors import ExportError
from sora_tf.export.onnx import convert, distinct
from sora_tf.export.receipt import begun_receipt
from sora_tf.export.runtimes import open_runtime
from sora_tf.export.served_detector import ServedDetector, client_at
from sora_tf.export.transport import ServingError, Target
from sora_tf.models.detector import (
    NAMED,
    SHAPES,
    THERE,
    build_detector,
    frames_back,
    in_parts,
)
from sora_tf.models.refiner import things_of_maps
from sora_tf.models.streaming import start, streaming
from sora_tf.tasks.detect import StreamingDetector
from sora_tf.tasks.thing_memory import ThingMemory
from sora_tf.train import TrainConfig
from sora_tf.train.detector_run import DetectorRun
from sora_tf.train.fit import precision
from sora_tf.video import read

FILES = {"saved_model": "serving/sora/1", "onnx": "step.onnx"}
FILES |= {kind: f"{kind}.tflite" for kind in ("float32", "int8")}
LABELS = ("blue", "red")
RUNNER = Path(__file__).parents[2] / "export" / "edge" / "runner.py"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("squares")
    return train(write_films(folder / "films"), folder / "run")


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Where the files are that the command line makes."""
    out = tmp_path_factory.mktemp("exported")
    assert main(["export", str(run.path), "--to", ",".join(FILES), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def film(run):
    """(8, H, W, 3) uint8 of a film that the detector was not trained on."""
    path = next(clip.path for clip in read_index(run.path / "split.csv") if clip.split == "test")
    return read(path).frames


@pytest.fixture(scope="module")
def expected(run, film):
    """What the run's detector says of the film, box by box, no thing being remembered."""
    config = run.read_config()
    plain = replace(config.model, remember=0.0)
    found = StreamingDetector(run.load_model(), plain, config.labels, 0.05).detect(film)
    found = found.of(found.scores >= 0.05)
    assert len(found) >= 8
    return found


@pytest.fixture(scope="module")
def remembered(run, film):
    """What `sora-tf detect` says of the film."""
    config = run.read_config()
    return StreamingDetector(run.load_model(), config.model, config.labels, 0.05).detect(film)


def stepped(runtime, film):
    """The boxes of a film, frame by frame, as an artefact gives them."""
    states, frames = runtime.start, []
    for frame in film:
        found = runtime.step({"frames": frame[None, None], **states})
        states = {name: found[name] for name in states}
        frames.append([found[name][0, 0] for name in ("boxes", "box_scores", "box_classes")])
    return frames


def test_every_file_is_proved_and_described(exported, run):
    receipt = json.loads((exported / "receipt.json").read_text())
    assert set(receipt["artefacts"]) == set(FILES.values())
    assert receipt["kind"] == "detector"
    for name, entry in receipt["artefacts"].items():
        assert (exported / name).exists()
        # Six clips are held out, a stretch of three frames of each.
        assert entry["frames"] == 18
        assert entry["map50"] > 0.5
        assert entry["boxes"] >= 15
        assert entry["operations"]
    exact = (receipt["artefacts"][FILES[kind]] for kind in ("saved_model", "onnx", "float32"))
    assert all(entry["agreement"] == 1.0 and entry["score_difference"] < 1e-4 for entry in exact)
    text = (exported / "receipt.md").read_text()
    assert all(name in text for name in FILES.values())
    facts = json.loads((exported / "serving/sora/1/assets/config.json").read_text())
    assert facts["labels"] == list(LABELS)
    assert facts["frame_rate"] == 10
    assert facts["threshold"] == run.read_metrics()["threshold"]


@pytest.fixture(scope="module")
def by_hand(run, film):
    """The likeliest names of the film, box by box, by `ThingMemory` on what the model says."""
    config = run.read_config().model
    step = streaming(in_parts(run.load_model()), chunk=None)
    maps = step({"frames": film[None].astype("f4"), **start(step)})
    parts = (maps[name] for name in (THERE, NAMED, SHAPES))
    boxes, scores = (x.numpy() for x in things_of_maps(*parts, film.astype("f4"), config))
    known, frames = ThingMemory(config.remember, 2), []
    for number, (own, beliefs) in enumerate(zip(boxes, scores, strict=True)):
        rows, labels = np.nonzero(beliefs >= 0)
        found = Boxes(np.full(len(rows), number), own[rows], labels, beliefs[rows, labels])
        frames.append(known.known(found.clipped(*SIZE[::-1]), [number]))
    return joined(frames)


@pytest.mark.parametrize("kind", ["float32", "onnx"])
def test_frame_by_frame_it_finds_and_remembers_things(kind, exported, film, expected, by_hand):
    runtime = open_runtime(exported / FILES[kind])
    assert runtime.clip is None
    assert runtime.start["state_things"].shape == (1, 4, 9)
    changed = 0.0
    for number, (boxes, scores, classes) in enumerate(stepped(runtime, film)):
        wanted = by_hand.on(number)
        said = scores >= 0.05
        count = int(said.sum())
        np.testing.assert_allclose(scores[said], wanted.scores[:count], atol=2e-3)
        np.testing.assert_array_equal(classes[said], wanted.labels[:count])
        np.testing.assert_allclose(boxes[said], wanted.boxes[:count], atol=0.05)
        changed = max(changed, abs(float(scores[0]) - float(expected.on(number).scores.max())))
    assert changed > 0.01  # than what a frame says by itself


def test_int8_finds_the_same_things(exported, film, by_hand):
    frames = stepped(open_runtime(exported / FILES["int8"]), film)
    same = []
    for number, (boxes, scores, classes) in enumerate(frames):
        wanted = by_hand.on(number)
        best = int(wanted.scores.argmax())
        if wanted.scores[best] > 0.3:
            named = LABELS[classes[0]] == LABELS[wanted.labels[best]]
            near = np.abs(boxes[0] - wanted.boxes[best]).max() < 2
            same.append(named and near and abs(scores[0] - wanted.scores[best]) < 0.1)
    assert len(same) >= 4
    assert sum(same) >= len(same) - 1  # one of eight frames may be on the edge


def test_a_server_takes_frames_of_any_size_and_gives_names(exported, film, expected):
    serve = tf.saved_model.load(str(exported / "serving/sora/1")).signatures["serving_default"]
    same = serve(frames=tf.constant(np.stack([film[::-1], film])))
    assert same["boxes"].shape == (2, 8, 4, 4)  # MODEL gives four boxes a frame
    large = serve(frames=tf.constant(np.repeat(np.repeat(film, 2, axis=1), 3, axis=2)[None]))
    together = []
    for number in range(8):
        wanted = expected.on(number)
        said = same["box_scores"][1, number].numpy() >= 0.05
        np.testing.assert_allclose(same["boxes"][1, number].numpy()[said], wanted.boxes, atol=0.01)
        names = [text.decode() for text in same["labels"][1, number].numpy()[said]]
        assert names == [LABELS[label] for label in wanted.labels]
        # Enlarged by copying pixels and made small again, it is nearly the same film.
        best = int(wanted.scores.argmax())
        if wanted.scores[best] > 0.3:
            box = large["boxes"][0, number, 0].numpy()
            true = wanted.boxes[best] * [3, 2, 3, 2]
            together.append(overlaps(box[None], true[None])[0, 0])
            assert abs(large["box_scores"][0, number, 0] - wanted.scores[best]) < 0.1
    assert len(together) >= 4
    assert np.mean(together) > 0.6


@pytest.fixture(scope="module")
def server(exported):
    with StandIn(exported / "serving/sora") as running:
        yield running


def pairs(found, wanted):
    """Boxes of both, frame by frame: the same, in the same order."""
    np.testing.assert_array_equal(found.frames, wanted.frames)
    np.testing.assert_array_equal(found.labels, wanted.labels)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=0.01)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-4)


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_a_client_of_a_detector(server, run, film, expected, api):
    with Client(getattr(server, api), pictures="png") as client:
        facts = client.detector_facts()
        assert (facts.labels, facts.size, facts.frame_rate) == (LABELS, SIZE, 10.0)
        assert facts.threshold == run.read_metrics()["threshold"]
        found = client.detect(film, threshold=0.05)
        assert [len(things) for things in found] == [len(expected.on(n)) for n in range(8)]
        for things, number in zip(found, range(8), strict=True):
            for thing, place in zip(things, expected.on(number).boxes, strict=True):
                box = (thing.left, thing.top, thing.width, thing.height)
                np.testing.assert_allclose(box, place, atol=0.01)
        surer = [thing.score for things in client.detect(film) for thing in things]
        assert surer == [
            thing.score for things in found for thing in things if thing.score >= facts.threshold
        ]
        with pytest.raises(ServingError, match=r"gives no \w+, but box_classes, .*`detect` for a"):
            client.predict(film)
        with pytest.raises(
            ServingError, match="gives no recent_scores, but box_classes, box_scores, boxes"
        ):
            next(client.stream(film))
        with pytest.raises(ServingError, match="embed"):
            client.embed(film)


def test_encoded_frames_give_boxes_in_their_own_pixels(exported, film):
    """A clip twice as high and three times as wide, as pictures and as raw frames."""
    signatures = tf.saved_model.load(str(exported / "serving/sora/1")).signatures
    large = np.repeat(np.repeat(film, 2, axis=1), 3, axis=2)
    texts = [tf.io.encode_png(frame).numpy() for frame in large]
    raw = signatures["serving_default"](frames=tf.constant(large[None]))
    sent = signatures["jpeg"](frames=tf.constant([[*texts, b""]]))
    for name, value in raw.items():
        if name == "labels":
            np.testing.assert_array_equal(sent[name][:, :8], value)
        else:
            np.testing.assert_allclose(sent[name][:, :8], value, atol=1e-3)
    assert raw["boxes"].numpy()[..., 0].max() > SIZE[1]


@pytest.mark.parametrize("parts", [(8,), (3, 5), (1,) * 8])
def test_a_video_in_parts_is_found_as_in_one(server, film, remembered, parts):
    """What is on the frames before has a say, however the video is cut up."""
    with Client(server.grpc) as client:
        detector = ServedDetector(client, 0.05)
        for _ in range(2):  # the second video does not see the first
            found, first = [], 0
            for count in parts:
                found.append(detector.detect(film[first : first + count], first))
                first += count
            pairs(joined(found), remembered)


def test_how_far_a_detector_looks_back(run, film):
    """By perturbation: the frame so far back has a say, and none before it."""
    model = run.load_model()
    past = frames_back(model)
    assert past == frames_back(in_parts(model))
    film = np.concatenate([film, film, film])[: past + 3].astype("f4")
    step = streaming(model, chunk=None)

    def last(frames):
        return step({"frames": frames[None], **start(step)})["centres"].numpy()[0, -1]

    plain = last(film)
    for back in (past, past + 1):
        changed = film.copy()
        changed[-1 - back] = 255 - changed[-1 - back]
        assert np.array_equal(last(changed), plain) == (back > past)
    assert frames_back(build_detector(replace(MODEL, memory=0.0), 2)) < past


@pytest.mark.parametrize("api", ["rest", "grpc"])
def test_the_terminal_finds_by_a_server_what_it_finds_itself(server, run, tmp_path, api, capsys):
    path = next(clip.path for clip in read_index(run.path / "split.csv") if clip.split == "test")
    address = f"{getattr(server, api)}/v1/models/sora/versions/1"
    tables, sure = [], run.read_metrics()["threshold"]
    for name in (str(run.path), address):
        out = tmp_path / f"{len(tables)}.parquet"
        assert main(["detect", name, path, "-o", str(out), "--threshold", "0.05"]) == 0
        table = parquet.read_table(out).to_pandas()
        tables.append(table.sort_values("score").groupby("frame").last())  # the surest of a frame
    here, there = (table[tables[0].score >= sure] for table in tables)
    assert len(here) >= 6
    assert list(here.label) == list(there.label)
    sides = ["left", "top", "width", "height"]
    together = overlaps(here[sides].to_numpy()[:, None], there[sides].to_numpy()[:, None])
    least = {"rest": 0.5, "grpc": 0.999}[api]  # REST sends JPEG, whose blocks are half a square
    assert together.min() > least
    capsys.readouterr()
    assert main(["track", path, "--detector", address, "--out", str(tmp_path / "t")]) == 0
    assert "on 8 frames" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://localhost:8501", "must be like http://HOST:8501/v1/models/NAME"),
        ("ftp://localhost/v1/models/sora", "must be like http://HOST:8501/v1/models/NAME"),
        ("http:///v1/models/sora", "must name a host"),
    ],
)
def test_addresses_that_are_none(address, said, tmp_path, capsys):
    out = str(tmp_path / "x.parquet")
    assert main(["detect", address, "film.mp4", "-o", out]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line


def test_the_readmes_python(server, film, monkeypatch):
    text = (RUNNER.parents[1] / "serving/README.md").read_text()
    _, block = re.findall(r"```python\n(.*?)```", text, re.S)
    printed: list[list[tuple[str, float, float, float]]] = []
    names = {"frames": film, "print": printed.append}
    address = f"{server.rest}/v1/models/sora"
    exec(block.replace("http://localhost:8501/v1/models/birds", address), names)
    assert len(printed) == 8
    assert min(sum(len(things) for things in printed), len(names["boxes"])) >= 6
    assert {thing[0] for things in printed for thing in things} <= set(LABELS)


def test_addresses():
    client = client_at("http://host:8501/behind/v1/models/a%20b/labels/stable")
    assert client.server == "http://host:8501/behind"
    assert client.target == Target("a b", None, "stable")
    assert client_at("https://host/v1/models/x/versions/12").target == Target("x", 12)
    assert client_at("http://host/v1/models/x/").target == Target("x")


def test_the_edge_runner_answers_with_boxes(exported, run, film, by_hand):
    path = next(clip.path for clip in read_index(run.path / "split.csv") if clip.split == "test")
    told = [sys.executable, RUNNER, exported / "float32.tflite", path]
    done = subprocess.run([*told, "--json"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    times = [answer["time"] for answer in answers]
    np.testing.assert_allclose(times, 0.05 + np.arange(8) / 10)
    least, count = run.read_metrics()["threshold"], 0
    for number, answer in enumerate(answers):
        wanted = by_hand.on(number)
        wanted = wanted.of(wanted.scores >= least).clipped(*SIZE[::-1])
        assert [box["label"] for box in answer["boxes"]] == [LABELS[n] for n in wanted.labels]
        for box, place in zip(answer["boxes"], wanted.boxes, strict=True):
            shares = [box[side] for side in ("left", "top", "width", "height")]
            np.testing.assert_allclose(shares, place / (SIZE[::-1] * 2), atol=1e-3)
            count += 1
    assert count >= 6
    done = subprocess.run(told, capture_output=True, text=True, timeout=120)
    assert len(done.stdout.splitlines()) == 8
    assert " at 0." in done.stdout


def test_what_is_verified_again_is_the_file_of_the_receipt(exported, tmp_path, capsys):
    assert main(["verify", str(exported / "float32.tflite")]) == 0
    said = capsys.readouterr().out
    assert "boxes found again" in said
    assert "1 of 1 agree with their receipt" in said
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    path = copy / "float32.tflite"
    path.write_bytes(path.read_bytes() + b" ")
    assert main(["verify", str(path)]) == 1
    assert "is not the file of the receipt" in capsys.readouterr().err


def test_what_finds_other_boxes_is_not_kept(run, tmp_path, monkeypatch):
    def nothing(path, clips, scratch):
        shape = (*clips.mask.shape, MODEL.most)
        boxes = {"step_boxes": np.zeros((*shape, 4)), "step_box_scores": np.zeros(shape)}
        return {**boxes, "step_box_classes": np.zeros(shape, int)}, {}

    monkeypatch.setattr(detector_check, "measured", nothing)
    result = export_detector(run, ["float32"], tmp_path)
    assert result["artefacts"] == {}
    assert "boxes of its model, more than the 0% allowed" in result["failed"]["float32.tflite"]
    assert not (tmp_path / "float32.tflite").exists()
    assert not (tmp_path / "receipt.json").exists()


def test_without_its_boxes_it_says_so_in_one_line(run, tmp_path, capsys):
    other = tmp_path / "run"
    shutil.copytree(run.path, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "boxes": str(tmp_path / "gone.json")}))
    assert main(["export", str(other), "--to", "float32"]) == 1
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert "gone.json" in said
    assert "cannot be read" in said


def test_a_folder_of_another_kind_is_left_as_it_is(run, tmp_path):
    write_json(tmp_path / "receipt.json", {"artefacts": {"float32.tflite": {}}})
    with pytest.raises(ExportError, match="holds the export of a classifier"):
        export_detector(run, ["float32"], tmp_path)
    write_json(tmp_path / "receipt.json", {"kind": "detector", "artefacts": {"step.onnx": {}}})
    with pytest.raises(ExportError, match="holds the export of a detector"):
        begun_receipt(tmp_path)


def test_what_was_trained_in_half_precision_is_exported_in_whole(run, tmp_path):
    config = run.read_config()
    other = DetectorRun(tmp_path / "run")
    other.path.mkdir()
    other.write_config(replace(config, training={**config.training, "mixed_precision": True}))
    write_json(other.metrics_path, {"threshold": 0.4})
    (other.path / "curves.png").touch()
    with precision(TrainConfig(mixed_precision=True)):
        half = build_detector(MODEL, 2)
    half.set_weights(run.load_model().get_weights())
    other.write_model(half)
    found, wanted = DeployableDetector.of(other), DeployableDetector.of(run)
    assert half.get_layer("last_conv").compute_dtype == "float16"
    assert found.model.get_layer("last_conv").compute_dtype == "float32"
    frames = np.random.default_rng(0).integers(0, 256, (1, 3, *SIZE, 3)).astype("f4")
    for one, two in zip(found.model(frames).values(), wanted.model(frames).values(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5)


def test_one_without_memory_has_no_states(tmp_path):
    keras.utils.set_random_seed(0)
    extractor = replace(MODEL.extractor, memory=0.0)
    config = replace(MODEL, memory=0.0, remember=0.0, extractor=extractor)
    model = in_parts(build_detector(config, 2))
    what = DeployableDetector(model, config, LABELS, 0.3, 10.0)
    assert what.states == {}
    spec = what.taken(None)
    assert spec.keys() == {"frames"}
    convert(distinct(detect_function(what), ()), [spec], {}, tmp_path / "step.onnx")
    runtime = open_runtime(tmp_path / "step.onnx")
    assert runtime.clip is None
    found = runtime.step({"frames": np.zeros((2, 1, *SIZE, 3), np.uint8)})
    assert found["boxes"].shape == (2, 1, 4, 4)
    assert found["box_classes"].dtype == np.int32


# What is held against what, by hand.


def said(*boxes):
    """One clip of one frame: ((left, top, width, height), score, class) of each box."""
    places, scores, classes = zip(*boxes, strict=True)
    return {
        "boxes": np.array(places, np.float32)[None, None],
        "box_scores": np.array(scores, np.float32)[None, None],
        "box_classes": np.array(classes)[None, None],
    }


def one_clip(*rows):
    truth = np.full((1, 1, 3, 5), -1, np.float32)
    truth[0, 0, : len(rows)] = np.array(rows, np.float32).reshape(-1, 5)
    return ClipSet(np.zeros((1, 1, 4, 4, 3), np.uint8), np.ones((1, 1), bool), truth, 1)


def test_compared_by_hand():
    clips = one_clip((0, 0, 10, 10, 1))
    model = said(((0, 0, 10, 10), 0.9, 1), ((50, 50, 10, 10), 0.5, 0), ((80, 0, 5, 5), 0.01, 0))
    # The first is 8 of 10 pixels wide, the second has another name, the third says nothing.
    mine = said(((0, 0, 8, 10), 0.8, 1), ((50, 50, 10, 10), 0.5, 1), ((0, 60, 5, 5), 0.01, 0))
    found = compare(mine, model, clips, LABELS)
    assert (found["frames"], found["boxes"]) == (1, 2)
    assert found["agreement"] == 0.5
    assert found["overlap"] == pytest.approx(0.8)
    assert found["score_difference"] == pytest.approx(0.1)
    assert found["map50"] == pytest.approx(1.0)  # the box that is there comes first in both
    assert found["map50_change"] == pytest.approx(0.0)
    # Where no box is there, precision says nothing.
    assert compare(mine, model, one_clip(), LABELS)["map50"] is None
    unseen = one_clip((0, 0, 10, 10, 1))
    unseen.truth[..., 4] = -2
    assert compare(mine, model, unseen, LABELS)["map50"] is None


@pytest.mark.parametrize("spoiled", [0.0, np.nan, -1.0, np.inf])
def test_boxes_that_are_none_find_nothing(spoiled):
    model = said(((0, 0, 10, 10), 0.9, 1))
    mine = {**model, "boxes": np.full_like(model["boxes"], spoiled)}
    found = compare(mine, model, one_clip((0, 0, 10, 10, 1)), LABELS)
    assert (found["boxes"], found["agreement"], found["map50"]) == (1, 0.0, 0.0)
    assert found["map50_change"] == pytest.approx(-1.0)
    with pytest.raises(ExportError, match="misses 1 of 1 boxes"):
        detector_check.check("x.tflite", found, EXACT)


@pytest.mark.parametrize(
    ("change", "bound", "message"),
    [
        ({"agreement": 0.9}, EXACT, "misses 1 of 10 boxes"),
        ({"overlap": 0.9}, EXACT, "gives boxes that overlap its model's by 0.900"),
        ({"score_difference": 0.01}, EXACT, "differs from its model by 0.01 in a score"),
        ({"score_difference": float("nan")}, EXACT, "differs from its model"),
        ({"map50_change": -0.03}, ROUGH, "loses 0.030 of mean average precision on 50 frames"),
        ({"frames": 20, "map50_change": -0.03}, ROUGH, None),  # what a frame is worth
        ({"agreement": 0.7}, ROUGH, "misses 3 of 10 boxes"),
        ({"agreement": 0.9}, ROUGH, None),
        ({"agreement": 0.9}, Bound(agreement=0.98), None),  # one box less of a few
        ({"map50_change": None}, ROUGH, None),
    ],
)
def test_bounds(change, bound, message):
    found = {
        "frames": 50, "boxes": 10, "agreement": 1.0, "overlap": 1.0, "score_difference": 0.0,
        "map50": 0.9, "map50_change": 0.0,
    }  # fmt: skip
    if message is None:
        detector_check.check("x.tflite", found | change, bound)
        return
    with pytest.raises(ExportError, match=f"x.tflite {message}"):
        detector_check.check("x.tflite", found | change, bound)


def test_formats_that_are_none_are_named(run, tmp_path):
    with pytest.raises(ExportError, match="no format 'coreml'"):
        export_detector(run, ["coreml"], Path(tmp_path))
