import json
import os

import pytest

from sora_tf.cli import main


def complaint(capsys):
    """The single line on stderr."""
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("sora-tf: ")]
    return line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--space", "bad.json"], "bad.json: Expecting"),
        (["--space", "none.json"], "none.json: No such file"),
        (["--space", "odd.json"], "Did you mean 'relation.window'?"),
        (["--search", "grid"], "the search must be one of bayesian, hyperband, got 'grid'"),
        (["--trials", "0"], "trials must be at least 1 trial, got 0"),
        (["--budget-ms", "0"], "ms must be above 0 ms, got 0.0"),
        (["--budget-mb", "1", "--flavour", "int4"], "flavour must be one of float32"),
        (["--model", "huge"], "preset must be one of"),
        ([], "there is no folder or table nowhere"),
    ],
)
def test_bad_input_is_one_line_and_code_1(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "odd.json").write_text('{"relation.windw": [1, 2]}')
    assert main(["tune", "nowhere", "--out", "x", "--model", "micro", *arguments]) == 1
    assert words in complaint(capsys)
    assert sorted(os.listdir(tmp_path)) == ["bad.json", "odd.json"]


def test_a_search_within_a_measured_budget(digits, tmp_path, capsys):
    space = {
        "extractor.channels": [[8, 16], [64, 64]],
        "training.learning_rate": [0.001, 0.003, 0.01],
    }
    (tmp_path / "space.json").write_text(json.dumps(space))
    out = tmp_path / "run"
    arguments = ["tune", str(digits / "index.csv"), "--out", str(out), "--model", "micro",
                 "--space", str(tmp_path / "space.json"), "--trials", "3", "--epochs", "1",
                 "--augment", "none", "--budget-mb", "0.5", "--budget-ms", "1000"]  # fmt: skip
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    # 5x5x64 features to 64 values of the vector: 0.41 MB in float32 for the projection alone, and
    # 0.15 MB for the second convolution; the small one needs 0.11 MB for the projection.
    assert found["best"]["values"]["extractor.channels"] == [8, 16]
    assert found["measured"]["inside"]
    assert 0.11 < found["measured"]["mb"] < 0.5
    assert 0 < found["measured"]["ms"] < 1000
    assert found["metrics"]["part"] == "test"
    assert main(arguments) == 0  # nothing is left to do
    text = capsys.readouterr().out
    assert "extractor.channels = [8, 16]" in text
    assert "inside the budget" in text
    assert main(["evaluate", str(out), "--split", "val"]) == 0
