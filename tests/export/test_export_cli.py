"""`sora-tf export` and `sora-tf verify` from the terminal."""

import json
import shutil

import pytest

from sora_tf.cli import main


def test_export_then_verify(causal_run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["export", str(causal_run.path), "--to", "float32", "--out", str(out)]) == 0
    text = capsys.readouterr().out
    assert "| float32.tflite |" in text
    assert "1 exported, 0 failed" in text
    assert main(["verify", str(out / "float32.tflite"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["path"] == "float32.tflite"
    shutil.copy(out / "reference.npz", out / "float32.tflite")
    assert main(["verify", str(out)]) == 1
    assert "is not the file of the receipt" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "NOWHERE"], "there is no run in NOWHERE"),
        (["export", "RUN", "--to", "coreml"], "there is no format 'coreml'"),
        (["verify", "NOWHERE/int8.tflite"], "there is no receipt for"),
    ],
)
def test_what_cannot_be_done_is_one_line(causal_run, capsys, arguments, message):
    arguments = [str(causal_run.path) if word == "RUN" else word for word in arguments]
    assert main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
