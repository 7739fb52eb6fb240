"""Models that take vectors, exported and held against Keras."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.cli import main
from sora_tf.data.sound import MelConfig
from sora_tf.export import head, head_check
from sora_tf.export.head import behind, drawn, export_head
from sora_tf.models.answerer import AnswererConfig, build_answerer
from sora_tf.models.dialogue import DialogueConfig, build_dialogue
from sora_tf.models.fusion import FRAME, SENTENCE, SOUND, FusionConfig, build_fusion
from sora_tf.models.sound import SoundConfig
from sora_tf.models.text import TextConfig
from sora_tf.train import Run

MEL = MelConfig()


FILES = {"serving/sora/1", "float32.tflite", "float16.tflite", "dynamic.tflite"}
NEAR = {"saved_model": 1e-5, "float32": 1e-5, "float16": 2e-3, "dynamic": 0.05}


def fusion(kind):
    shapes = {FRAME: (4, 12), SOUND: (3, MEL.frames, MEL.mels), SENTENCE: (2, 8)}
    sound = SoundConfig(channels=(4, 8), features=64)
    return build_fusion(shapes, 3, FusionConfig(kind, units=8), sound=sound)


MODELS = {
    "graph": lambda: fusion("graph"),
    "cross_attention": lambda: fusion("cross_attention"),
    "dialogue": lambda: build_dialogue(
        DialogueConfig(bag=20, words=TextConfig(vocabulary=10, length=6)), 3
    ),
    "answerer": lambda: build_answerer(AnswererConfig(frames=4, whole_features=20), 5),
}


def dense():
    inputs = keras.Input((3,), name="x")
    return keras.Model({"x": inputs}, keras.layers.Dense(2, name="scores")(inputs))


def run_of(model, path, kind="fusion"):
    run = Run(path)
    run.path.mkdir(parents=True)
    write_json(run.path / "config.json", {"kind": kind, "labels": []})
    run.write_model(model)
    return run


@pytest.mark.parametrize("name", MODELS)
def test_every_head_is_exported_and_agrees(name, tmp_path):
    model = MODELS[name]()
    result = export_head(run_of(model, tmp_path / "run"), tmp_path / "out")
    assert not result["failed"]
    assert set(result["artefacts"]) == FILES
    receipt = json.loads((tmp_path / "out" / "receipt.json").read_text())["artefacts"]
    for facts in receipt.values():
        assert facts["difference"] < NEAR[facts["format"]]
        assert facts["operations"]
        assert set(facts["inputs"]) == set(model.input_names)
    # Once more by hand, from the files: several clips for a server, one for TFLite.
    one = drawn(model, 7)
    wanted = model(one)
    wanted = wanted if isinstance(wanted, dict) else {model.output_names[0]: wanted}
    serve = tf.saved_model.load(str(tmp_path / "out" / "serving" / "sora" / "1")).signatures[
        "serving_default"
    ]
    three = serve(**{key: tf.constant(np.repeat(x, 3, axis=0)) for key, x in one.items()})
    lite = tf.lite.Interpreter(str(tmp_path / "out" / "float32.tflite")).get_signature_runner()(
        **one
    )
    for key, values in wanted.items():
        np.testing.assert_allclose(three[key][2:], values, atol=1e-5)
        np.testing.assert_allclose(lite[key], values, atol=1e-5)


def test_what_stands_before_a_head_goes_with_it(tmp_path):
    windows = {
        SOUND: keras.Input((3, 5, 4), name=SOUND),
        f"{SOUND}_mask": keras.Input((3,), dtype=tf.bool, name=f"{SOUND}_mask"),
    }
    means = keras.layers.Lambda(lambda x: tf.reduce_mean(x, axis=2))(windows[SOUND])
    encoder = keras.Model(windows, means)
    model = build_fusion({FRAME: (4, 12), SOUND: (3, 4)}, 3, FusionConfig(units=8))
    whole = behind(encoder, model)
    given = drawn(whole, 0)
    assert given[SOUND].shape == (1, 3, 5, 4)
    wanted = model({**given, SOUND: given[SOUND].mean(axis=2)})
    np.testing.assert_allclose(whole(given), wanted, atol=1e-6)
    run = run_of(model, tmp_path / "run")
    result = export_head(run, tmp_path / "out", encoder=encoder)
    assert not result["failed"]
    assert set(result["artefacts"]) == FILES
    for facts in result["artefacts"].values():
        assert facts["difference"] < NEAR[facts["format"]]
        assert facts["inputs"][SOUND] == ["None", "3", "5", "4", "float32"]
        assert list(facts["outputs"]) == model.output_names


def test_small_numbers_make_small_files(tmp_path):
    model = build_answerer(AnswererConfig(), 5)
    result = export_head(run_of(model, tmp_path / "run"), tmp_path / "out")["artefacts"]
    whole = result["float32.tflite"]["bytes"]
    assert result["float16.tflite"]["bytes"] < 0.6 * whole
    assert result["dynamic.tflite"]["bytes"] < 0.4 * whole


def test_heads_load_in_a_process_that_has_made_none(tmp_path):
    for name, make in MODELS.items():
        run_of(make(), tmp_path / name)
    code = "import sys; from sora_tf.train.run import load_model; [*map(load_model, sys.argv[1:])]"
    paths = [str(tmp_path / name / "model.keras") for name in MODELS]
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_file_that_answers_otherwise_is_not_kept(tmp_path, monkeypatch):
    run = run_of(dense(), tmp_path / "run")
    run_it = head_check.RUNNERS["float32"]

    def spoiled(path):
        answer = run_it(path)
        return lambda inputs: {k: v + 0.01 for k, v in answer(inputs).items()}

    monkeypatch.setitem(head_check.RUNNERS, "float32", spoiled)
    result = export_head(run, tmp_path / "out")
    assert set(result["artefacts"]) == FILES - {"float32.tflite"}
    assert "otherwise than Keras" in result["failed"]["float32.tflite"]
    assert not (tmp_path / "out" / "float32.tflite").exists()


def test_an_operation_that_is_not_builtin_is_refused(tmp_path, monkeypatch):
    used = {"serving_default": {"CUSTOM:FlexErf": 1}}
    monkeypatch.setattr(head.flatbuffer, "operations", lambda model: used)
    result = export_head(run_of(dense(), tmp_path / "run"), tmp_path / "out")
    assert "CUSTOM:FlexErf" in result["failed"]["float32.tflite"]


def test_by_the_command_line(tmp_path, capsys):
    run = run_of(dense(), tmp_path / "run", "sentiment model")
    assert main(["export", str(run.path)]) == 0
    assert "4 exported, 0 failed" in capsys.readouterr().out
    out = run.path / "export"
    assert main(["verify", str(out)]) == 0
    said = capsys.readouterr().out
    assert "from Keras" in said
    assert "4 of 4 agree with their receipt" in said
    assert main(["verify", str(out / "float32.tflite"), "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert result["difference"] < 1e-5
    # Another file, even if it runs, is not the one that was proved.
    with open(out / "float32.tflite", "ab") as file:
        file.write(b" ")
    assert main(["verify", str(out)]) == 3
    assert "another SHA-256" in capsys.readouterr().err
    (out / "reference.npz").unlink()
    assert main(["verify", str(out)]) == 1
    assert "Export the run again" in capsys.readouterr().err
    assert main(["export", str(run.path), "--to", "onnx"]) == 1
    assert "Leave --to out" in capsys.readouterr().err
