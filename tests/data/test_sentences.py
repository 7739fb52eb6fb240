"""Texts and times of clips: subtitles, captions, odd encodings, nothing at all."""

import numpy as np
import pytest

from sora_tf.data.sentences import between, caption_beside, clip_sentences, read_text, spread
from sora_tf.video import VideoError, write
from sora_tf.video.subtitles import Cue

pytest.importorskip("pysubs2")

SRT = """1
00:00:01,000 --> 00:00:03,000
{first}

2
00:00:04,000 --> 00:00:06,000
{second}
"""


@pytest.fixture
def film(tmp_path):
    return str(write(tmp_path / "film.mkv", np.zeros((4, 32, 32, 3), np.uint8), 1))


def subtitles(film, first, second, encoding="utf-8"):
    path = film.replace(".mkv", ".srt")
    with open(path, "wb") as file:
        file.write(SRT.format(first=first, second=second).encode(encoding))
    return path


def test_sentences_of_a_clip_have_its_times(film):
    path = subtitles(film, "It begins.", "It ends.")
    texts, times = clip_sentences(film, 2.0, 5.0, subtitles=path)
    assert texts == ["It begins.", "It ends."]
    np.testing.assert_allclose(times, [[2, 3], [4, 5]])  # cut to the clip
    texts, times = clip_sentences(film, 3.0, 4.0, subtitles=path)
    assert (texts, times.shape) == ([], (0, 2))  # they only touch it


def test_subtitles_beside_the_film_are_its_own(film):
    subtitles(film, "It begins.", "It ends.")
    assert clip_sentences(film)[0] == ["It begins.", "It ends."]
    with pytest.raises(VideoError, match="no text of them"):
        clip_sentences(film, subtitles="embedded")


@pytest.mark.parametrize(
    ("first", "second", "encoding"),
    [
        ("Où est l’élève ?", "À côté, déjà.", "cp1252"),
        ("我喜欢这部电影。", "结局太悲伤了。", "gb18030"),
        ("هذا الفيلم رائع.", "انتهى.", "utf-16"),
        ("I ❤️ this 🎬!", "😂😂", "utf-8"),
    ],
)
def test_encodings_and_signs(film, first, second, encoding):
    path = subtitles(film, first, second, encoding)
    assert clip_sentences(film, subtitles=path)[0] == [first, second]


def test_films_without_words(film, tmp_path):
    assert clip_sentences(film)[0] == []
    empty = tmp_path / "empty.srt"
    empty.write_text("")
    with pytest.raises(VideoError, match="no subtitles: the file is empty"):
        clip_sentences(film, subtitles=str(empty))
    with pytest.raises(VideoError, match="no text of them"):
        clip_sentences(film, subtitles="embedded")


def test_a_caption_lasts_as_long_as_the_clip(film, tmp_path):
    (tmp_path / "film.txt").write_bytes("A café at night.\nTwo men  talk".encode("cp1252"))
    texts, times = clip_sentences(film, 1.0, 5.0)
    assert texts == ["A café at night.", "Two men talk"]
    np.testing.assert_allclose(times, [[1, 5], [1, 5]])
    path = subtitles(film, "It begins.", "It ends.")
    texts, times = clip_sentences(film, subtitles=path, caption="A title")
    assert texts == ["A title", "It begins.", "It ends."]
    np.testing.assert_allclose(times, [[0, 6], [1, 3], [4, 6]])
    assert clip_sentences(film, caption="")[0] == ["It begins.", "It ends."]
    assert caption_beside(tmp_path / "film.txt") is None


def test_at_most_so_many_evenly_spread(film):
    cues = [Cue(float(n), n + 1.0, str(n)) for n in range(10)]
    assert [cue.text for cue in spread(cues, 2)] == ["2", "7"]
    assert spread(cues, 10) == cues
    assert spread(cues, 0) == []
    path = subtitles(film, "A. B. C. D.", "E. F.")
    assert clip_sentences(film, subtitles=path, caption="T", most=4)[0] == ["T", "B.", "D.", "F."]
    with pytest.raises(ValueError, match="most must be at least 1"):
        clip_sentences(film, most=0)


def test_between_keeps_what_has_a_moment_with_the_clip():
    cue = Cue(1.0, 3.0, "a")
    assert between([cue], 0.0, float("inf")) == [cue]
    assert between([cue], 3.0, 4.0) == between([cue], 0.0, 1.0) == []


def test_files_of_text(tmp_path):
    with pytest.raises(VideoError, match="cannot open"):
        read_text(tmp_path / "none.txt")
    (tmp_path / "long.txt").write_text("a" * 20)
    with pytest.raises(VideoError, match="over the limit: text of more than 10 bytes"):
        read_text(tmp_path / "long.txt", 10)


def test_noise_is_text_or_one_line(film, tmp_path):
    rng = np.random.default_rng(0)
    for size in (1, 7, 1000):
        (tmp_path / "film.txt").write_bytes(rng.bytes(size))
        texts, times = clip_sentences(film, 0.0, 1.0)
        assert len(texts) == len(times)
