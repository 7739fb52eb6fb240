import logging

import numpy as np

from sora_tf.data import Clip, Problems, clip_dataset
from sora_tf.video import write


def test_each_clip_is_noted_and_logged_once(caplog):
    problems = Problems()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            problems.skip("a.mp4", "a.mp4: cannot open: no such file")
            problems.damage("b.mp4 [1-2]", "torn at frame 3")
    assert problems.names() == {"a.mp4"}
    assert len(problems) == 1
    assert problems.lines() == ["a.mp4: cannot open: no such file"]
    assert problems.damaged_lines() == ["b.mp4 [1-2]: torn at frame 3"]
    assert [record.message for record in caplog.records] == [
        "skipped: a.mp4: cannot open: no such file",
        "damaged: b.mp4 [1-2]: torn at frame 3",
    ]


def test_a_damaged_clip_is_used_and_a_missing_one_left_out(tmp_path):
    path = tmp_path / "a.avi"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), np.uint8)
    write(path, pixels, 10.0, codec="mpeg4")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    clips = [Clip(str(path), "x"), Clip(str(tmp_path / "gone.mp4"), "x")]
    problems = Problems()
    dataset = clip_dataset(
        clips, ["x"], frames=4, size=(16, 16), cache=tmp_path / "c", problems=problems
    )
    assert [len(truth) for _, truth in dataset] == [1]
    assert problems.names() == {clips[1].name}
    (line,) = problems.damaged_lines()
    assert line.startswith(str(path))
