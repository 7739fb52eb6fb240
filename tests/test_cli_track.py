"""The verb track, as a new user types it."""

import json

import numpy as np
import pytest

from sora_tf import video
from sora_tf.cli import main


@pytest.fixture
def film(tmp_path):
    frames = np.full((6, 48, 64, 3), 100, np.uint8)
    return str(video.write(tmp_path / "film.mp4", frames, 10))


@pytest.fixture
def boxes(tmp_path):
    path = tmp_path / "boxes.txt"
    path.write_text("".join(f"{n + 1},-1,{4 * n},10,12,12,0.9\n" for n in range(6)))
    return str(path)


def complaint(capsys):
    """The single line on stderr."""
    (line,) = [s for s in capsys.readouterr().err.splitlines() if s.startswith("sora-tf: ")]
    return line


def test_boxes_become_tracks(film, boxes, tmp_path, capsys):
    lines = tmp_path / "lines.json"
    lines.write_text(
        '{"units": "fraction", "lines": [{"name": "gate", "from": [0.25, 1], "to": [0.25, 0]}]}'
    )
    out = str(tmp_path / "out")
    arguments = ["track", film, "--boxes", boxes, "--lines", str(lines), "--out", out]
    assert main(arguments) == 0
    assert capsys.readouterr().out == (
        f"{film}: 1 object on 6 frames: {out}/film\n  gate: 1 in, 0 out\n"
    )
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["kept"], answer["tracks"]) == (True, {"object": 1})


def test_boxes_with_classes_out_of_json(film, tmp_path, capsys):
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps({"film": [[4 * n, 10, 12, 12, "fly"] for n in range(6)]}))
    assert main(["track", film, "--boxes", str(path), "--out", str(tmp_path / "out")]) == 0
    assert "1 fly on 6 frames" in capsys.readouterr().out


def test_a_bad_file_among_good_ones(film, boxes, tmp_path, capsys):
    assert main(["track", str(tmp_path / "none.mp4"), "--boxes", boxes, "--out", "out"]) == 1
    assert "none.mp4: cannot open" in complaint(capsys)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--detector", "coco"], "the detector coco needs --weights"),
        (["--detector", "yolo"], "a detector must be a run folder, an address or coco, got 'yolo'"),
        (["--boxes", "none.txt"], "none.txt: No such file or directory"),
        (["--boxes", "BOXES", "--lines", "none.json"], "none.json: No such file or directory"),
        (["--boxes", "BOXES", "--lines", "BOXES"], "must be a JSON file of lines and zones, but: "),
        (["--boxes", "BOXES", "--every", "0"], "every must be at least 1 frames, got 0"),
        (["--detector", "coco", "--weights", "BOXES"], "it is no .tgz"),
        (["--detector", "coco", "--weights", "w", "--threshold", "2"], "threshold must be"),
    ],
)
def test_mistakes_are_one_line(film, boxes, tmp_path, capsys, arguments, words):
    given = [boxes if word == "BOXES" else word for word in arguments]
    assert main(["track", film, "--out", str(tmp_path / "out"), *given]) == 1
    assert words in complaint(capsys)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("arguments", [[], ["--detector", "coco", "--boxes", "b"]])
def test_a_detector_or_boxes(film, tmp_path, capsys, arguments):
    with pytest.raises(SystemExit) as error:
        main(["track", film, "--out", str(tmp_path / "out"), *arguments])
    assert error.value.code == 2
    assert "--boxes" in capsys.readouterr().err


def test_one_file_of_boxes_is_for_one_video(film, boxes, tmp_path, capsys):
    assert main(["track", film, film, "--out", str(tmp_path / "out"), "--boxes", boxes]) == 1
    assert "--boxes are those of one video, got 2" in complaint(capsys)


@pytest.mark.slow
def test_the_coco_detector_on_people(shared_data, tmp_path, capsys):
    (weights,) = (shared_data / "weights").glob("*.tgz")
    film = str(shared_data / "pets09" / "vtest.avi")
    arguments = ["track", film, "--detector", "coco", "--weights", str(weights), "--every", "10"]
    assert main([*arguments, "--out", str(tmp_path), "--no-film", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["frames"] == 80
    assert answer["tracks"]["person"] > 10
