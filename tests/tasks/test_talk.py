"""A talk in a few sentences: English and Chinese, with what is seen."""

import numpy as np
import pytest

from sora_tf.tasks.talk import sentences, summarize_talk, terms
from sora_tf.video.subtitles import Cue

ENGLISH = [
    "Welcome to the meeting about our new camera system.",
    "The camera system counts people on the street, and it runs on a small board.",
    "I had a very good coffee this morning.",
    "The small board needs four watts, which the camera system draws from the network cable.",
    "Deadline for the first street test is the third of March.",
    "On the street test we will count people for two weeks and compare.",
    "Lunch is at noon.",
]
CHINESE = [
    "今天我们讨论新的摄像系统。",
    "摄像系统统计街上的行人，它在一块小板上运行。",
    "早上的咖啡很好喝。",
    "小板需要四瓦，摄像系统可以从网线取电。",
    "第一次街头测试的期限是三月三日。",
    "街头测试中我们会统计两周的行人。",
    "谢谢大家。",
]


def said(texts):
    return [Cue(4.0 * n, 4.0 * n + 3.0, text) for n, text in enumerate(texts)]


@pytest.mark.parametrize("texts", [ENGLISH, CHINESE])
def test_what_others_speak_of_too_comes_first(texts):
    (first,) = summarize_talk(said(texts), 1)
    assert first == {"start": 4.0, "end": 7.0, "text": texts[1]}
    four = [one["text"] for one in summarize_talk(said(texts), 4)]
    assert four == sorted(four, key=texts.index)  # in the order of the film
    assert not {texts[2], texts[6]} & set(four)  # coffee, lunch and thanks


def test_what_is_seen_weighs():
    def important(start, end):
        return 1.0 if start == 12.0 else 0.01

    (first,) = summarize_talk(said(ENGLISH), 1, important)
    assert first["text"] == ENGLISH[3]
    assert summarize_talk(said(ENGLISH), 1, lambda start, end: 0.0)  # nothing seen, still said


def test_a_sentence_is_not_said_twice():
    texts = [ENGLISH[1], "So, " + ENGLISH[1].lower(), ENGLISH[5]]
    chosen = [one["text"] for one in summarize_talk(said(texts), 2)]
    assert ENGLISH[5] in chosen


def test_sentences_are_cut_at_full_stops_and_pauses():
    cues = [
        Cue(0.0, 2.0, "One sentence that"),
        Cue(2.0, 4.0, "goes on. Another"),
        Cue(4.0, 5.0, "one ends"),
        Cue(9.0, 10.0, "after a pause"),
    ]
    assert sentences(cues) == [
        # The second line's 2 s are halved between its two parts.
        Cue(0.0, 3.0, "One sentence that goes on."),
        Cue(3.0, 5.0, "Another one ends"),
        Cue(9.0, 10.0, "after a pause"),
    ]


def test_chinese_lines_are_joined_without_a_space():
    cues = [Cue(0.0, 1.0, "今天我们讨论"), Cue(1.0, 2.0, "摄像系统。很好")]
    assert [cue.text for cue in sentences(cues)] == ["今天我们讨论摄像系统。", "很好"]


def test_terms_by_hand():
    assert terms("The Camera's 4 watts") == ["the", "camera", "s", "4", "watts"]
    assert terms("摄像系统 OK 板") == ["摄像", "像系", "系统", "ok", "板"]


@pytest.mark.parametrize("cues", [[], [Cue(0.0, 1.0, "…")], [Cue(0.0, 1.0, "♪♪")]])
def test_no_words_no_sentences(cues):
    assert summarize_talk(cues, 3) == []


def test_one_sentence_is_the_summary():
    assert [one["text"] for one in summarize_talk(said(["Hello."]), 3)] == ["Hello."]


def test_centrality_is_that_of_a_dense_walk():
    from sora_tf.tasks.talk import DAMPING, _centrality, _vectors

    vectors = _vectors(ENGLISH)
    likeness = (vectors @ vectors.T).toarray()
    np.fill_diagonal(likeness, 0.0)
    sums = likeness.sum(axis=1, keepdims=True)
    steps = np.divide(likeness, sums, out=np.zeros_like(likeness), where=sums > 0)
    count = len(ENGLISH)
    matrix = np.eye(count) - DAMPING * steps.T
    wanted = np.linalg.solve(matrix, np.full(count, (1 - DAMPING) / count))
    np.testing.assert_allclose(_centrality(vectors), wanted, atol=1e-6)
