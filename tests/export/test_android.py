"""The mobile samples: what can be compiled and run is, on a JVM; the rest is read for its names."""

import importlib.util
import itertools
import json
import re
import shutil
import subprocess
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tensorflow as tf

from sora_tf.export.detector_signature import DeployableDetector, detect_function
from sora_tf.models.detector import build_detector, in_parts

EDGE = Path(__file__).parents[2] / "export" / "edge"
ANDROID = EDGE / "android"
KOTLIN = ANDROID / "app" / "src" / "main" / "kotlin"
PURE = sorted((KOTLIN / "sora" / "edge").glob("*.kt"))
CHECK = ANDROID / "app" / "src" / "test" / "kotlin" / "sora" / "edge" / "Check.kt"
NAMESPACE = "{http://schemas.android.com/apk/res/android}"
FACTS = {
    "labels": ["fight", 'say "no"', "naïve, ok"],
    "frames": 16,
    "size": [112, 96],
    "fit": "cover",
    "frame_rate": 7.992,
    "signatures": {"step": {"inputs": ["frames"], "outputs": []}, "clip": {}},
    "nothing": None,
    "true": True,
}


def fit_frame(picture, size, fit):
    spec = importlib.util.spec_from_file_location("edge_runner_of_android", EDGE / "runner.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fit_frame(picture, size, fit)


@pytest.fixture(scope="module")
def jar(tmp_path_factory):
    """The parts without Android, compiled with their check."""
    if shutil.which("kotlinc") is None or shutil.which("java") is None:
        pytest.skip("no kotlinc and java to compile the Android sample's logic with")
    path = tmp_path_factory.mktemp("kotlin") / "check.jar"
    done = subprocess.run(
        ["kotlinc", *map(str, PURE), str(CHECK), "-include-runtime", "-d", str(path)],
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert path.exists(), done.stderr
    return path


def check(jar, *arguments):
    done = subprocess.run(
        ["java", "-cp", str(jar), "sora.edge.CheckKt", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def write_model(path, method=zipfile.ZIP_STORED, facts=FACTS):
    path.write_bytes(bytes(range(256)) * 40)
    with zipfile.ZipFile(path, "a", method) as archive:
        archive.writestr("labels.txt", "\n".join(FACTS["labels"]))
        archive.writestr("sora_tf.json", json.dumps(facts, indent=2))
    return path


# Run on a JVM.


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_facts_are_read_out_of_a_model(jar, tmp_path, method):
    (line,) = check(jar, "facts", write_model(tmp_path / "model.tflite", method))
    assert line == 'fight,say "no",naïve, ok|16|112|96|cover|7.992|null'


def test_facts_are_read_where_offsets_count_from_the_archive(jar, tmp_path):
    from sora_tf.export import flatbuffer

    path = tmp_path / "model.tflite"
    path.write_bytes(bytes(1000) + flatbuffer.appended({"sora_tf.json": json.dumps(FACTS)}))
    assert check(jar, "facts", path)[0].endswith("|cover|7.992|null")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no archive" * 10, "it is cut short"),
        ({"labels": ["a"]}, "lack size"),
        ({**FACTS, "frame_rate": "8"}, "lack frame_rate"),
    ],
)
def test_files_that_are_no_model_are_told(jar, tmp_path, content, words):
    path = tmp_path / "model.tflite"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        write_model(path, facts=content)
    done = subprocess.run(
        ["java", "-cp", str(jar), "sora.edge.CheckKt", "facts", str(path)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 1
    assert f"ModelException: The model's facts {words}" in done.stderr or words in done.stderr


@pytest.mark.parametrize(
    ("width", "height", "size", "fit", "rotation"),
    [
        *((20, 10, (6, 8), fit, 0) for fit in ("stretch", "cover", "contain")),
        *((20, 10, (6, 8), "cover", rotation) for rotation in (90, 180, 270)),
        *((20, 10, (7, 7), "contain", rotation) for rotation in (90, 180, 270)),
        (64, 48, (112, 112), "stretch", 0),  # enlarged
        (641, 479, (112, 112), "stretch", 90),
        (1, 1, (3, 5), "contain", 0),
    ],
)
def test_frames_are_those_of_the_python_runner(jar, width, height, size, fit, rotation):
    (line,) = check(jar, "frame", width, height, rotation, f"{size[0]}x{size[1]}", fit)
    row, column, channel = np.ogrid[:height, :width, :3]
    picture = ((7 * row + 3 * column + 40 * channel) % 256).astype(np.uint8)
    wanted = fit_frame(np.rot90(picture, -rotation // 90), size, fit)
    found = np.frombuffer(bytes.fromhex(line), np.uint8).reshape(*size, 3)
    np.testing.assert_array_equal(found, wanted)


def test_the_clock_goes_by_time_stamps(jar):
    # 4 moments a second, from 0 s on. At 30 frames/s most frames are not due.
    assert check(jar, "clock", 4, *range(0, 600, 33)) == [
        "1,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,1,0,0 0"  # 264 ms and 528 ms pass ¼ and ½ s
    ]
    # A camera at 2 frames/s: each frame twice. After a gap of 5 s 18 of 20 moments are skipped.
    assert check(jar, "clock", 4, 0, 500, 1000, 6000) == ["1,2,2,2 18"]


def test_states_are_carried_between_two_sets_of_buffers(jar, tmp_path):
    lines = check(jar, "stream", write_model(tmp_path / "model.tflite"))
    assert lines == ["1.0,2.0,3.0", "1.0 fight", "closed"]


def test_boxes_are_cut_to_the_picture_and_told_from_a_score_on(jar, tmp_path):
    facts = {**FACTS, "threshold": 0.45}
    lines = check(jar, "detect", write_model(tmp_path / "model.tflite", facts=facts))
    # 96 pixels across, 112 down; the first box sticks out, the fourth is not sure enough.
    assert [line.split("|")[0] for line in lines] == [*FACTS["labels"], "closed"]
    found = [[float(side) for side in line.split("|")[1:]] for line in lines[:-1]]
    wanted = [(0.9, 0, 5), (0.7, 35, 10), (0.5, 75, 10)]
    for row, (score, left, width) in zip(found, wanted, strict=True):
        sides = (score, left / 96, 30 / 112, width / 96, 20 / 112)
        np.testing.assert_allclose(row, sides, rtol=1e-5)


def test_a_classifier_is_no_detector(jar, tmp_path):
    done = subprocess.run(
        ["java", "-cp", str(jar), "sora.edge.CheckKt", "detect",
         str(write_model(tmp_path / "model.tflite"))],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "ModelException: The model is no detector. Use StreamModel." in done.stderr


# Read.


@pytest.fixture(scope="module")
def deployable():
    from sora_tf.config import ExtractorConfig, RelationConfig, SoraConfig
    from sora_tf.export.signature import Deployable
    from sora_tf.models import build_sora

    config = SoraConfig(
        frames=4,
        size=(16, 16),
        extractor=ExtractorConfig(channels=(4,), depths=(1,), expansion=2, features=8),
        relation=RelationConfig(units=8, window=2, heads=1, blocks=1),
    )
    return Deployable(build_sora(config, 2), config, ("a", "b"), "cover", 2.0)


@pytest.fixture(scope="module")
def detector():
    from squares import MODEL

    model = in_parts(build_detector(MODEL, 2))
    return DeployableDetector(model, MODEL, ("a", "b"), 0.3, 10.0)


@pytest.mark.parametrize("name", ["Metadata.kt", "ios.md"])
def test_the_facts_that_are_read_are_those_that_are_written(deployable, detector, name):
    text = (EDGE / name if name == "ios.md" else KOTLIN / "sora/edge" / name).read_text()
    used = set(re.findall(r'facts\["(\w+)"\]', text))
    assert used == {"labels", "frames", "size", "fit", "frame_rate", "threshold"}
    assert used - {"threshold"} <= set(json.loads(deployable.facts_json()))
    assert used <= set(json.loads(detector.facts_json()))


@pytest.mark.parametrize("where", [PURE, [EDGE / "ios.md"]], ids=["android", "ios"])
def test_signatures_and_tensors_are_those_of_the_export(deployable, detector, where):
    words = set(re.findall(r'"(\w+)"', "".join(path.read_text() for path in where)))
    assert {"step", "frames", "state_", "recent_scores", "recent_vector"} <= words
    boxes = {"boxes", "box_scores", "box_classes"}
    assert boxes <= words
    given = {name: tf.zeros(spec.shape, spec.dtype) for name, spec in detector.taken(1).items()}
    assert set(detect_function(detector)(given)) == boxes | given.keys() - {"frames"}
    assert given.keys() >= {"state_things", *detector.states}
    inputs, outputs = set(deployable.step.input_names), set(deployable.step.output)
    states = {name for name in inputs if name.startswith("state_")}
    assert inputs == {"frames", *states}
    assert {"recent_scores", "recent_vector", *states} <= outputs


def test_the_logic_knows_nothing_of_android():
    assert len(PURE) == 8
    for path in PURE:
        imports = re.findall(r"^import (\S+)", path.read_text(), re.MULTILINE)
        assert all(name.startswith("java.") for name in imports), path


@pytest.mark.parametrize(
    "path", [*KOTLIN.rglob("*.kt"), *ANDROID.rglob("*.kts")], ids=lambda path: path.name
)
def test_brackets_are_closed(path):
    code = r"""(?s:/\*.*?\*/)|"(?:\\.|[^"\\])*"|'\\?.'|//.*"""  # what is no code goes
    text = re.sub(code, "", path.read_text())
    pairs = {")": "(", "]": "[", "}": "{"}
    open_ = []
    for letter in text:
        if letter in "([{":
            open_.append(letter)
        elif letter in pairs:
            assert open_.pop() == pairs[letter]
    assert open_ == []


def test_gradle_names_only_what_the_catalogue_holds():
    tomllib = pytest.importorskip("tomllib")
    catalogue = tomllib.loads((ANDROID / "gradle" / "libs.versions.toml").read_text())
    entries = [*catalogue["libraries"].values(), *catalogue["plugins"].values()]
    assert {entry["version"]["ref"] for entry in entries} == set(catalogue["versions"])
    known = {name.replace("-", ".") for name in catalogue["libraries"]}
    known |= {f"plugins.{name.replace('-', '.')}" for name in catalogue["plugins"]}
    used = set()
    for path in ANDROID.rglob("build.gradle.kts"):
        used |= set(re.findall(r"\blibs\.([\w.]+)", path.read_text()))
    assert used == known
    assert 'include(":app")' in (ANDROID / "settings.gradle.kts").read_text()


def test_the_manifest_names_the_activity_and_the_camera():
    manifest = ElementTree.parse(ANDROID / "app/src/main/AndroidManifest.xml").getroot()
    permissions = {node.get(f"{NAMESPACE}name") for node in manifest.iter("uses-permission")}
    assert permissions == {"android.permission.CAMERA"}
    (activity,) = manifest.iter("activity")
    assert activity.get(f"{NAMESPACE}exported") == "true"
    gradle = (ANDROID / "app" / "build.gradle.kts").read_text()
    (namespace,) = re.findall(r'namespace = "([\w.]+)"', gradle)
    name = activity.get(f"{NAMESPACE}name").lstrip(".")
    source = (KOTLIN / namespace.replace(".", "/") / f"{name}.kt").read_text()
    assert f"package {namespace}\n" in source
    assert f"class {name} : ComponentActivity()" in source


def test_every_import_of_the_app_is_used():
    for path in itertools.chain(PURE, (KOTLIN / "sora" / "app").glob("*.kt")):
        text = path.read_text()
        for name in re.findall(r"^import \S*?(\w+)$", text, re.MULTILINE):
            assert len(re.findall(rf"\b{name}\b", text)) > 1, f"{path}: {name}"
