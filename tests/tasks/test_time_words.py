"""Times that questions name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_tf.tasks.time_words import named_span, number

LENGTH = 4000.0


@pytest.mark.parametrize(
    ("question", "start", "end"),
    [
        ("What is said at 1:05?", 65, 65),
        ("What is said at 0:12.5?", 12.5, 12.5),
        ("And at 1:02:03?", 3723, 3723),
        ("What is said at 12 s?", 12, 12),
        ("... after 2 minutes?", 120, 120),
        ("... at 1 min 5 s?", 65, 65),
        ("... at 1m5s", 65, 65),
        ("What is said in second 12?", 12, 12),
        ("between 0:10 and 0:20", 10, 20),
        ("from 10 to 20 s", 10, 20),
        ("from 1 to 2 minutes", 60, 120),
        ("between 20 s and 10 s", 10, 20),
        ("in the first 10 seconds", 0, 10),
        ("in the last 10 seconds", 3990, 4000),
        ("at the end?", 3400, 4000),
        ("at the beginning?", 0, 600),
        ("第12秒说了什么？", 12, 12),
        ("第十二秒说了什么？", 12, 12),
        ("一分二十秒的时候呢？", 80, 80),
        ("第12秒到20秒说了什么", 12, 20),
        ("1：05说了什么", 65, 65),
        ("前十秒", 0, 10),
        ("最后10秒", 3990, 4000),
        ("结尾说了什么", 3400, 4000),
    ],
)
def test_spans(question, start, end):
    span = named_span(question, LENGTH)
    assert (span.start, span.end) == pytest.approx((start, end))
    assert span.text.strip() in question


@pytest.mark.parametrize(
    "question",
    ["What is flying?", "no time in 5 seas", "is it 3 m high", "30 something", "", "3:5"],
)
def test_no_time(question):
    assert named_span(question, LENGTH) is None


def test_a_time_beyond_the_end_is_refused_and_an_end_beyond_it_is_cut():
    with pytest.raises(ValueError, match=r"within the film's 100 s, got '9:00'"):
        named_span("What is said at 9:00?", 100.0)
    assert named_span("from 0:50 to 9:00", 100.0).end == 100.0


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("1.5", 1.5),
        ("十", 10),
        ("十二", 12),
        ("二十", 20),
        ("两百", 200),
        ("一百零五", 105),
    ],
)
def test_numbers(text, value):
    assert number(text) == value


@given(st.text(max_size=200))
def test_any_text_has_a_span_inside_or_none_or_one_line(text):
    try:
        span = named_span(text, 60.0)
    except ValueError:
        assert any(sign.isnumeric() for sign in text)  # it is beyond the end
        return
    assert span is None or 0 <= span.start <= span.end <= 60.0
