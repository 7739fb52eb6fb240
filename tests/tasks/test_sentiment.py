"""What is felt in sentences, windows and the whole, by a teller whose scores are known."""

import numpy as np
import pytest

from sora_tf.config import RelationConfig
from sora_tf.data.utterances import Utterance
from sora_tf.data.words import BagOfWords
from sora_tf.models.dialogue import DialogueConfig, build_dialogue
from sora_tf.tasks import sentiment, sentiment_files
from sora_tf.tasks.sentiment import Sentiment, hear, score
from sora_tf.tasks.sentiment_files import Said, read_said
from sora_tf.video import VideoError, write

CONFIG = DialogueConfig(
    vector=0, bag=16, relation=RelationConfig(edges="window", window=2, blocks=1, units=8), units=8
)

BAG = BagOfWords([f"word{n}" for n in range(16)], [1.0] * 16)


def test_long_dialogues_are_scored_in_pieces(monkeypatch):
    model = build_dialogue(CONFIG, 3)
    said = [Utterance(f"word{n} word{n % 3}", dialogue="d" if n < 20 else "e") for n in range(23)]
    heard = hear(said, CONFIG, BAG, None, None)
    groups = [np.arange(20), np.arange(20, 23)]
    whole = score(model, heard, groups, CONFIG.reach)
    np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-5)
    monkeypatch.setattr(sentiment, "AT_ONCE", 6)
    np.testing.assert_allclose(score(model, heard, groups, CONFIG.reach), whole, atol=1e-6)
    alone = score(model, heard, groups[1:], CONFIG.reach)
    assert not alone[:20].any()
    np.testing.assert_allclose(alone[20:], whole[20:], atol=1e-6)


def test_whether_the_same_person_speaks():
    said = [Utterance("", dialogue="d", speaker=name) for name in ("A", "B", "A", "A", "", "")]
    said.append(Utterance("", dialogue="e", speaker="A"))
    speakers = hear(said, CONFIG, BAG, None, None).dense["speakers"]
    # Each: did its speaker speak the one before, the one before that?
    assert speakers.tolist() == [[0, 0], [0, 0], [0, 1], [1, 0], [0, 0], [0, 0], [0, 0]]


class Known:
    """Tells good of texts with a +."""

    name = "mood"
    labels = ("bad", "good")

    def scores(self, utterances, vectors=None):
        good = np.array(["+" in one.text for one in utterances], float)
        return np.stack([1 - good, good], axis=1)


class Nothing:
    def encode(self, texts):
        return np.zeros((len(texts), 384), np.float32)


@pytest.fixture
def tell(monkeypatch):
    monkeypatch.setattr(sentiment_files, "SentenceEncoder", Nothing)
    return lambda paths, **more: list(sentiment_files.sentiment_files([Known()], paths, **more))


def test_windows_weigh_sentences_by_their_time(tell, tmp_path):
    pytest.importorskip("pysubs2")
    lines = [
        "1\n00:00:01,000 --> 00:00:04,000\nfine + .\n",
        "2\n00:00:08,000 --> 00:00:12,000\nno.\n",
    ]
    (tmp_path / "a.srt").write_text("\n".join(lines))
    (answer,) = tell([str(tmp_path / "a.srt")], every=10.0)
    assert [one["mood"]["label"] for one in answer["sentences"]] == ["good", "bad"]
    assert answer["sentences"][0]["start"] == 1.0
    assert answer["whole"]["mood"] == {"bad": 0.5, "good": 0.5}
    first, second = answer["windows"]
    # 0 to 10 s: 3 s of good, 2 s of bad; 10 to 20 s: 2 s of bad.
    assert first == {
        "start": 0.0,
        "end": 10.0,
        "mood": {"bad": pytest.approx(0.4), "good": pytest.approx(0.6)},
    }
    assert second["mood"] == {"bad": 1.0, "good": 0.0}


def test_a_film_has_the_subtitles_beside_it(tmp_path):
    pytest.importorskip("pysubs2")
    film = str(write(tmp_path / "film.mp4", np.zeros((4, 32, 32, 3), np.uint8), 1))
    with pytest.raises(VideoError, match="no text of them"):
        read_said(film)
    (tmp_path / "film.en.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nfine.\n")
    assert read_said(film) == [Said("fine.", 1.0, 2.0)]


def test_lines_have_no_times_and_bad_files_are_named(tell, tmp_path):
    (tmp_path / "a.txt").write_bytes("déjà +\n\n  vu \n".encode("cp1252"))
    (tmp_path / "empty.txt").write_text(" \n")
    paths = [str(tmp_path / name) for name in ("none.txt", "a.txt", "empty.txt", "film.mp4")]
    answers = tell(paths)
    assert ["error" in answer for answer in answers] == [True, False, True, True]
    assert [one["text"] for one in answers[1]["sentences"]] == ["déjà +", "vu"]
    assert answers[1]["sentences"][0]["start"] is None
    assert answers[1]["windows"] == []
    assert "no line has text" in answers[2]["error"]


def test_arguments_are_checked(tell):
    with pytest.raises(ValueError, match="every must be above 0"):
        tell(["a.txt"], every=0.0)
    with pytest.raises(ValueError, match="must tell different things, got mood, mood"):
        list(sentiment_files.sentiment_files([Known(), Known()], ["a.txt"]))
    with pytest.raises(VideoError, match="cannot open"):
        read_said("no such file.txt")


def test_times_without_end_are_bounded():
    said = [Said("a", 0.0, 1e12)]
    assert len(sentiment_files._windows(said, 1.0)) <= sentiment_files.MOST_WINDOWS + 1


def test_a_teller_of_a_model():
    teller = Sentiment("mood", build_dialogue(CONFIG, 2), CONFIG, ["bad", "good"], BAG)
    made = teller.scores([Utterance("a"), Utterance("b c")])
    assert made.shape == (2, 2)
    np.testing.assert_allclose(made.sum(axis=1), 1, atol=1e-5)
