import json
import os

import pytest

from sora_tf import _checks
from sora_tf._files import replacing, write_json


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "a.json"
    write_json(path, {"a": "ü"})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü"}
    assert os.listdir(path.parent) == ["a.json"]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as beside:
            assert beside.suffix == ".txt"
            beside.write_text("new")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_an_error_of_the_place_names_it(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(IsADirectoryError) as error, replacing(tmp_path / "taken") as beside:
        beside.write_text("new")
    assert error.value.filename == str(tmp_path / "taken")
    assert os.listdir(tmp_path) == ["taken"]


@pytest.mark.parametrize(
    ("check", "sentence"),
    [
        (
            lambda: _checks.above("Pool", "floor", 0, 0, "frames", "Use 1."),
            "Pool: floor must be above 0 frames, got 0. Use 1.",
        ),
        (
            lambda: _checks.at_least("fit", "epochs", 0, 1, "epoch", "Use 30."),
            "fit: epochs must be at least 1 epoch, got 0. Use 30.",
        ),
        (
            lambda: _checks.between("A", "b", float("nan"), 0, 1, "Use 0.5."),
            "A: b must be from 0 to 1, got nan. Use 0.5.",
        ),
        (
            lambda: _checks.one_of("A", "b", "z", ("x", "y")),
            "A: b must be one of x, y, got 'z'. Choose one.",
        ),
    ],
)
def test_one_form_of_sentence(check, sentence):
    with pytest.raises(ValueError, match=r"\w") as error:
        check()
    assert str(error.value) == sentence
