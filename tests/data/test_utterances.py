"""Tables of utterances: columns, encodings, order, what is wrong with them."""

import pandas as pd
import pytest

from sora_tf.data.utterances import Utterance, dialogues, read_utterances

MELD = {"text": "Utterance", "label": "Emotion", "dialogue": "D", "order": "U", "speaker": "S"}
ROWS = "Utterance,Emotion,D,U,S\nHow’s it?,joy,7,1,Ann\nNo…,anger,3,0,Bob\nHi!,joy,7,0,Bob\n"


def texts(utterances):
    return [one.text for one in utterances]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_dialogue_is_together_and_in_order(tmp_path, encoding):
    (tmp_path / "a.csv").write_bytes(ROWS.encode(encoding))
    found = read_utterances(tmp_path / "a.csv", MELD)
    assert set(found) == {
        Utterance("Hi!", "joy", "7", "Bob"),
        Utterance("How’s it?", "joy", "7", "Ann"),
        Utterance("No…", "anger", "3", "Bob"),
    }
    groups = [[found[n].text for n in group] for group in dialogues(found)]
    assert sorted(groups) == [["Hi!", "How’s it?"], ["No…"]]


def test_order_is_a_number(tmp_path):
    rows = [{"text": str(n), "label": "a", "dialogue": "d", "order": n} for n in (10, 9, 2)]
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv")
    assert texts(read_utterances(tmp_path / "a.csv")) == ["2", "9", "10"]
    rows[1]["order"] = "x"
    pd.DataFrame(rows).to_csv(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"row 2: order must be a number, got 'x'"):
        read_utterances(tmp_path / "a.csv")


def test_parquet_and_rows_that_stand_alone(tmp_path):
    table = pd.DataFrame(
        {
            "text": ["好", None, "مرحبا", "😂"],
            "label": ["a", "b", "", "c"],
            "split": ["train", "", "", None],
        }
    )
    table.to_parquet(tmp_path / "a.parquet")
    found = read_utterances(tmp_path / "a.parquet")
    assert texts(found) == ["好", "😂"]  # the others have no text or no label
    assert [list(group) for group in dialogues(found)] == [[0], [1]]
    assert [one.split for one in found] == ["train", None]


def test_words_that_pandas_takes_for_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\nNone,NA\nnull,nan\n")
    assert texts(read_utterances(tmp_path / "a.csv")) == ["None", "null"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,mood\na,b\n", "must have the column 'label', got text, mood"),
        ("text,label\n,\n", "must have rows with text and label, got none"),
        ("", "must be a table, but: No columns"),
        ('text,label\n"a,b\n', "must be a table, but"),
        ("text,label\na,b,c,d\ne,f\n", "must be a table, but"),
        ("text,label\na,b\nc,d,e\n", "must be a table, but"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, content, message):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(ValueError, match=message) as found:
        read_utterances(tmp_path / "a.csv")
    assert "\n" not in str(found.value)


def test_files_that_are_none(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no table"):
        read_utterances(tmp_path / "a.csv")
    with pytest.raises(ValueError, match=r"ending of the table must be one of \.csv, \.parquet"):
        read_utterances(tmp_path / "a.xlsx")
    (tmp_path / "a.parquet").write_bytes(b"no parquet")
    with pytest.raises(ValueError, match="must be a table, but"):
        read_utterances(tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text("text,label\na,b\n")
    with pytest.raises(ValueError, match="columns must be one of text"):
        read_utterances(tmp_path / "a.csv", {"mood": "label"})
