"""Answers to questions: out of what is said, and chosen by a head."""

from itertools import pairwise

import numpy as np
import pytest

from sora_tf.data.words import words
from sora_tf.models.answerer import ATTENTION, QUESTION, SCORES, AnswererConfig, build_answerer
from sora_tf.tasks.answer import Head, Moment, ask, moments_of, shown
from sora_tf.tasks.places import Seen, places_of
from sora_tf.tasks.quote import ALIKE, remembered, sought
from sora_tf.video.subtitles import Cue

TALK = [
    Cue(1.0, 3.0, "The ship leaves the harbour."),
    Cue(10.0, 12.0, "We found gold under the bridge!"),
    Cue(20.0, 22.0, "猫坐在垫子上。"),
    Cue(58.0, 60.0, "Good night, everybody."),
]


def encode(texts):
    """Bags of words hashed into 384 places: alike where words are shared."""
    vectors = np.zeros((len(texts), 384), np.float32)
    for row, text in zip(vectors, texts, strict=True):
        for word in words(text, 2):
            row[sum(map(ord, word)) * 7919 % 384] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def asked(question, cues=TALK, head=None, seen=()):
    return ask(question, seen, cues, 60.0, encode, head)


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What is said at 0:11?", TALK[1]),
        ("What is said at 0:14?", TALK[1]),  # 2 s after it
        ("第二十一秒说了什么？", TALK[2]),
        ("What is said at the end?", TALK[3]),
        ("What is said in the first 5 s?", TALK[0]),
    ],
)
def test_what_is_said_at_a_time(question, said):
    (answer,) = asked(question)
    assert answer.text == said.text
    assert answer.moments == (Moment(said.start, said.end),)
    assert answer.source == "words"


def test_nearness_is_the_score():
    # 14 s is 2 s after the line ends: 1 - 2/5.
    assert asked("What is said at 0:14?")[0].score == pytest.approx(0.6)
    assert asked("What is said at 0:11?")[0].score == 1.0
    assert asked("What is said at 0:40?") == []


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("When is “gold under the bridge” said?", TALK[1]),
        ("When does he talk about gold?", TALK[1]),
        ("什么时候说到垫子？", TALK[2]),
        ("Where is the harbour of the ship?", TALK[0]),
    ],
)
def test_when_something_is_said(question, said):
    answer = asked(question)[0]
    assert said.text in answer.text
    assert answer.moments[0] == Moment(said.start, said.end)
    assert answer.score >= ALIKE


def test_nothing_found():
    assert asked("When does xylophone music begin?") == []
    assert asked("When is “gold” said?", []) == []


def test_how_long_the_file_says():
    (answer,) = asked("How long is the clip?", [])
    assert (answer.text, answer.source) == ("60.0 s", "file")


def test_what_is_sought():
    assert sought('When is "the cat" said?') == "the cat"
    assert sought("When is the budget mentioned?") == "the budget"
    assert sought("什么时候说到猫？") == "猫"
    assert sought("When is it said?") != ""


@pytest.mark.parametrize(
    ("question", "says"),
    [("", "must not be empty"), (" \n", "must not be empty"), ("x" * 10_000, "at most 1000 signs"),
     ("What is said at 2:00?", "within the film's 60 s")],
)  # fmt: skip
def test_bad_questions_are_one_line(question, says):
    with pytest.raises(ValueError, match=says) as error:
        asked(question)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 200


def test_halves_of_signs_are_no_crash():
    assert asked("When is “\ud800gold” said?") is not None


def test_remembered_asks_once():
    calls = []
    look = remembered(lambda texts: calls.append(texts) or encode(texts))
    np.testing.assert_array_equal(look(["a", "b", "a"]), encode(["a", "b", "a"]))
    np.testing.assert_array_equal(look(["b"]), encode(["b"]))
    assert calls == [["a", "b"]]


SMALL = AnswererConfig(frames=4, places=2, place_features=7, whole_features=3, sentences=3, units=8)


def stretch(start=0.0, end=8.0, mask=(True,) * 4):
    rng = np.random.default_rng(int(start))
    count = len(mask)
    return Seen(start, end, np.linspace(start + 1, end - 1, count), np.array(mask),
                rng.normal(size=(count, 2, 7)), rng.normal(size=(count, 3)))  # fmt: skip


def test_moments_are_where_attention_peaks():
    # Frames at 1, 3, 5, 7 s last from halfway to halfway: 0-2, 2-4, 4-6, 6-8.
    attention = np.array([0.2, 0.1, 0.25, 0.2, 0.25, 0.0, 0.0])
    found = moments_of(attention, stretch(), [Cue(3.0, 4.5, "now")])
    # At least half of .25: frames 0 and, as one of weight .45, 2 and 3; and the sentence.
    assert found == [Moment(4.0, 8.0), Moment(3.0, 4.5), Moment(0.0, 2.0)]


def test_padding_is_no_moment():
    seen = stretch(mask=(True, True, True, False))
    seen.times[3] = seen.times[2]
    found = moments_of(np.array([0.1, 0.1, 0.9, 0.9, 0.0]), seen, [])
    assert found == [Moment(4.0, 8.0)]


def test_shown():
    inputs, said = shown(stretch(10.0, 20.0), TALK, encode, SMALL)
    assert [cue.text for cue in said] == [TALK[1].text]
    np.testing.assert_allclose(inputs["times"], [0.1, 1.1 / 3, 1.9 / 3, 0.9], atol=1e-6)
    assert inputs["said_mask"].tolist() == [True, False, False]
    assert inputs["said_times"][0] == pytest.approx(0.1)  # 11 s of 10 to 20 s


@pytest.fixture(scope="module")
def head():
    model = build_answerer(SMALL, 3)
    return Head(model, SMALL, ("a", "b", "c"), encode(["Is the box red or blue?"]))


def test_scores_and_attention_sum_to_one(head):
    inputs, _ = shown(stretch(10.0, 20.0, (True, True, True, False)), TALK, encode, SMALL)
    batch = {name: values[None] for name, values in inputs.items()}
    found = head.model.predict({**batch, QUESTION: encode(["Which?"])}, verbose=0)
    assert found[SCORES].sum() == pytest.approx(1.0, abs=1e-5)
    attention = found[ATTENTION][0]
    assert attention.shape == (7,)
    assert attention.sum() == pytest.approx(1.0, abs=1e-5)
    assert attention[[3, 5, 6]] == pytest.approx(0.0)  # padding, and sentences that are not there
    assert (attention[[0, 1, 2, 4]] > 0).all()


def test_a_head_answers_what_it_has_learnt_and_nothing_else(head):
    films = [stretch(0.0, 8.0), stretch(8.0, 40.0)]
    answers = asked("Is the box blue or red?", head=head, seen=films)
    assert {one.source for one in answers} == {"film"}
    assert sum(one.score for one in answers) == pytest.approx(1.0, abs=1e-5)
    assert all(a.score >= b.score for a, b in pairwise(answers))
    assert all(0 <= m.start < m.end <= 40 for one in answers for m in one.moments)
    assert asked("When is “gold” said?", head=head, seen=films)[0].source == "words"


def test_longer_stretches_count_more(head):
    films = [stretch(0.0, 8.0), stretch(8.0, 40.0)]
    both, *each = (
        {a.text: a.score for a in asked("Is the box blue or red?", [], head, part)}
        for part in (films, films[:1], films[1:])
    )
    for text, score in both.items():
        assert score == pytest.approx((8 * each[0][text] + 32 * each[1][text]) / 40, abs=1e-5)


def test_places_are_where_a_clip_differs():
    # A still picture with one cell that lights up, at column 1, then 3, then 5 of row 2.
    fine = np.zeros((4, 8, 8, 2), np.float32)
    for frame, column in ((1, 1), (2, 3), (3, 5)):
        fine[frame, 2, column] = 4.0
    coarse = np.arange(4 * 4 * 4, dtype=np.float32).reshape(4, 4, 4, 1)
    found = places_of(fine, coarse, np.ones(4, bool))
    assert found.shape == (4, 4, 6)
    assert not found[0].any()
    # The middle of cell 3 of 8 is (3 + ½)/8; it is a cell wide, an eighth; the coarse cell is
    # row 1, column 1 of frame 2: 16·2 + 4·1 + 1.
    np.testing.assert_allclose(found[2, 0, :2], [3.5 / 8, 2.5 / 8], atol=1e-6)
    np.testing.assert_allclose(found[2, 0, 3:], [1 / 8, 1 / 8, 37], atol=1e-6)
    assert found[1, 0, 0] < found[2, 0, 0] < found[3, 0, 0]
    assert not found[2, 1:].any()


def test_padding_has_no_say_in_where_a_clip_differs():
    rng = np.random.default_rng(0)
    fine, coarse = rng.normal(size=(5, 8, 8, 3)), rng.normal(size=(5, 4, 4, 2))
    mask = np.array([True, True, True, False, False])
    other = fine.copy()
    other[3:] = 50.0
    one, two = (places_of(x, coarse, mask)[:3] for x in (fine, other))
    np.testing.assert_array_equal(one, two)
