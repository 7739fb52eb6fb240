import os

import pyarrow
import pyarrow.parquet as parquet
import pytest

from sora_tf.data import Clip, labels_of, read_index, write_index


def touch(*paths):
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_of_class_folders(tmp_path):
    touch(
        tmp_path / "run" / "b.mp4",
        tmp_path / "run" / "deep" / "er" / "a.AVI",
        tmp_path / "run" / ".hidden.mp4",
        tmp_path / "run" / ".trash" / "c.mp4",
        tmp_path / "run" / "notes.txt",
        tmp_path / "jump" / "z.mkv",
        tmp_path / "stray.mp4",
    )
    clips = read_index(tmp_path)
    assert [(clip.label, os.path.relpath(clip.path, tmp_path)) for clip in clips] == [
        ("jump", "jump/z.mkv"),
        ("run", "run/b.mp4"),
        ("run", "run/deep/er/a.AVI"),
    ]
    assert clips[0] == Clip(str(tmp_path / "jump" / "z.mkv"), "jump", group=clips[0].path)
    assert labels_of(clips) == ("jump", "run")


def test_linked_folders_are_read_once_and_loops_end(tmp_path):
    touch(tmp_path / "run" / "a.mp4")
    (tmp_path / "run" / "up").symlink_to(tmp_path)
    (tmp_path / "run" / "self").symlink_to(tmp_path / "run")
    (tmp_path / "run" / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert [clip.path for clip in read_index(tmp_path)] == [str(tmp_path / "run" / "a.mp4")]


def test_folders_named_after_splits_are_splits(tmp_path):
    touch(tmp_path / "train" / "run" / "a.mp4", tmp_path / "test" / "jump" / "b.mp4")
    assert [(clip.label, clip.split) for clip in read_index(tmp_path)] == [
        ("jump", "test"),
        ("run", "train"),
    ]


@pytest.mark.parametrize("name", ["index.csv", "index.parquet"])
def test_a_table_comes_back_as_it_was_written(tmp_path, name):
    clips = [
        Clip(str(tmp_path / "001.mp4"), "007", 0.1, 2.5, "cam, 1", "train"),
        Clip(str(tmp_path / "sub" / "né.mp4"), "None", end=1.0),
        Clip("s3://bucket/c.mp4", "nan", start=3.0, split="val"),
        Clip("/elsewhere/d.mp4", "7"),
    ]
    write_index(clips, tmp_path / name)
    assert read_index(tmp_path / name) == clips
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_a_moved_folder_still_reads(tmp_path):
    write_index([Clip(str(tmp_path / "old" / "a" / "x.mp4"), "a")], tmp_path / "old" / "i.csv")
    (tmp_path / "old").rename(tmp_path / "new")
    (clip,) = read_index(tmp_path / "new" / "i.csv")
    assert clip.path == clip.group == str(tmp_path / "new" / "a" / "x.mp4")


def test_a_table_from_elsewhere(tmp_path):
    (tmp_path / "t.csv").write_bytes("\ufefflabel,path,note,end\nrun, a.mp4 ,hm,\n".encode())
    assert read_index(tmp_path / "t.csv") == [Clip(str(tmp_path / "a.mp4"), "run")]
    table = pyarrow.table({"path": ["a.mp4"], "label": [3], "end": [float("inf")]})
    parquet.write_table(table.drop_columns("end"), tmp_path / "t.parquet")
    assert read_index(tmp_path / "t.parquet")[0].label == "3"
    parquet.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"row 1: Clip: end must be 0 s or more, got inf"):
        read_index(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,class\na.mp4,run\n", "must have the column 'label', got path, class"),
        ("", "must have the column 'path', got none"),
        ("path,label\n", "found no clips"),
        ("path,label\na.mp4,run\n,run\n", "row 2: path and label must not be empty"),
        ("path,label,start,end\na.mp4,run,3,3\n", "row 1: Clip: start must be before end, got 3"),
        ("path,label,end\na.mp4,run,0\n", "start must be before end"),
        ("path,label,start\na.mp4,run,nan\n", "start must be 0 s or more, got nan"),
        ("path,label,start\na.mp4,run,-1\n", "start must be 0 s or more, got -1"),
        ("path,label,start\na.mp4,run,soon\n", "start must be a number of seconds, got 'soon'"),
    ],
)
def test_a_bad_table_says_what_is_wrong(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_index(tmp_path / "t.csv")


def test_what_is_no_index_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder or table"):
        read_index(tmp_path / "missing")
    with pytest.raises(ValueError, match="found no clips"):
        read_index(tmp_path)
    for name, text in (("t.json", "{}"), ("t.parquet", "not parquet"), ("t.csv", "\udcff")):
        (tmp_path / name).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ValueError, match=r"extension must be one of \.csv, \.parquet"):
        read_index(tmp_path / "t.json")
    with pytest.raises(ValueError, match="must be a Parquet table"):
        read_index(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="must be a CSV table in UTF-8"):
        read_index(tmp_path / "t.csv")


def test_a_failed_write_leaves_the_old_table(tmp_path):
    write_index([Clip("/a.mp4", "run")], tmp_path / "t.parquet")
    with pytest.raises(pyarrow.ArrowException, match="Expected bytes"):
        write_index([Clip("/a.mp4", 3)], tmp_path / "t.parquet")  # type: ignore[arg-type]
    assert read_index(tmp_path / "t.parquet") == [Clip("/a.mp4", "run")]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_clip_without_a_path_is_an_error():
    with pytest.raises(ValueError, match="path must not be empty"):
        Clip("", "run")


@pytest.mark.parametrize(("path", "label"), [("\udcff.mp4", "run"), ("a.mp4", "\udcff")])
def test_a_name_that_is_no_text_is_an_error(path, label):
    with pytest.raises(ValueError, match=r"must be text in UTF-8, got '\\udcff.*Rename"):
        Clip(path, label)


def test_the_name_of_a_clip_holds_its_times():
    assert Clip("a.mp4", "run").name == "a.mp4"
    assert Clip("a.mp4", "run", 1.5, 3.0).name == "a.mp4 [1.5-3]"
    assert Clip("a.mp4", "run", end=3.0).name == "a.mp4 [0-3]"
