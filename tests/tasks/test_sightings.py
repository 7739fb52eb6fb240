"""When things are seen: what questions want, and stretches of a film worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_tf.tasks.answer import Moment, when_seen
from sora_tf.tasks.sightings import Sighting, Wanted, Watched, sightings, wanted_sight

BIRD, PLANE, SKY = np.eye(3)


@pytest.mark.parametrize(
    ("question", "wanted"),
    [
        ("When does the bird appear?", Wanted("the bird", False)),
        ("When do we first see a small bird?", Wanted("a small bird", False)),
        ("At what time is the plane visible in this film?", Wanted("the plane", False)),
        ("when is there a fight", Wanted("a fight", False)),
        ("When does the bird first come into view?", Wanted("the bird", False)),
        ("How many seconds is the bird in the picture?", Wanted("the bird", True)),
        ("For how long do you see people fighting?", Wanted("people fighting", True)),
        ("How long does the plane stay?", Wanted("the plane", True)),
        ("How long is the film?", None),
        ("When does he talk about gold?", None),
        ("When is “gold” said?", None),
        ("Is the bird visible?", None),
        ("", None),
    ],
)
def test_what_a_question_wants(question, wanted):
    assert wanted_sight(question) == wanted


@given(st.text(max_size=200))
def test_any_text_is_a_question(text):
    found = wanted_sight(text)
    assert found is None or found.thing


def watched(*vectors, length=2.0, step=2.0):
    starts, known = np.arange(len(vectors)) * step, np.stack([BIRD, PLANE])
    return Watched(starts, starts + length, vectors @ known.T, known, np.array(vectors))


def test_a_thing_is_seen_where_its_name_suits_best():
    film = watched(BIRD, BIRD, PLANE, (0.8, 0.6, 0.0), PLANE)
    # The third name is nobody's: it never suits.
    assert sightings(BIRD, film) == [Sighting(0.0, 4.0, 1.0), Sighting(6.0, 8.0, 0.8)]
    assert sightings(PLANE, film) == [Sighting(4.0, 6.0, 1.0), Sighting(8.0, 10.0, 1.0)]
    assert sightings(SKY, film) == []


def test_another_name_of_a_known_thing():
    # Likeness 0.8 with "bird": the same thing, which does not stand against itself.
    name = np.array([0.8, 0.0, 0.6])
    assert sightings(name, watched(BIRD, PLANE)) == [Sighting(0.0, 2.0, 1.0)]
    # 0.66 and 0.75 with both: it means the one that it is most like, and not the other.
    name = np.array([0.6614, 0.75, 0.0])
    assert sightings(name, watched(BIRD, PLANE)) == [Sighting(2.0, 4.0, 1.0)]


def test_a_classifier_has_no_words_but_its_own():
    scores = np.array([[0.7, 0.3], [0.2, 0.8]])
    film = Watched(np.array([0.0, 2.0]), np.array([2.0, 4.0]), scores, np.stack([BIRD, PLANE]))
    assert sightings(PLANE, film) == [Sighting(2.0, 4.0, 0.8)]
    assert sightings(SKY, film) == []


def test_moments_look_like_the_windows_around_them():
    film = watched(BIRD, PLANE, PLANE, length=4.0, step=2.0)
    # 0 to 2 s: the first window alone; 2 to 4 s: half bird, half plane, and the bird does not
    # lose; from 4 s on the plane alone.
    assert sightings(BIRD, film) == [Sighting(0.0, 4.0, 0.75)]
    assert sightings(PLANE, film)[0].start == 2.0


def test_a_segment_is_named_as_a_whole():
    bird, unsure = (0.8, 0.6, 0.0), (0.68, 0.7332, 0.0)
    (found,) = sightings(BIRD, watched(bird, bird, bird, unsure, bird))
    assert (found.start, found.end) == (0.0, 10.0)
    assert found.likeness == pytest.approx(0.776)
    assert sightings(PLANE, watched(bird, bird, bird, unsure, bird)) == []


def test_a_film_of_many_windows():
    film = watched(*([BIRD] * 900 + [PLANE] * 900), length=2.0, step=0.5)
    (found,) = sightings(PLANE, film)
    assert found.start == pytest.approx(450, abs=2.0)
    assert found.end == film.ends[-1]


def test_a_film_without_length():
    film = Watched(np.zeros(1), np.zeros(1), np.ones((1, 2)), np.stack([BIRD, PLANE]))
    assert sightings(BIRD, film) == []


def test_what_is_unlike_everything_is_not_seen():
    film = watched(SKY)
    assert sightings(PLANE, film) == []
    assert sightings(SKY, film) == [Sighting(0.0, 2.0, 1.0)]


def test_answers_say_when_and_for_how_long():
    film = watched(BIRD, PLANE, BIRD, BIRD)

    def encode(texts):
        assert texts == ["the bird"]
        return BIRD[None]

    first, second = when_seen(Wanted("the bird", False), film, encode)
    assert (first.text, first.moments, first.source) == ("0:04.0", (Moment(4.0, 8.0),), "film")
    assert (second.text, second.score) == ("0:00.0", 1.0)
    (answer,) = when_seen(Wanted("the bird", True), film, encode)
    assert (answer.text, answer.score) == ("6.0 s", 1.0)
    assert answer.moments == (Moment(4.0, 8.0), Moment(0.0, 2.0))
    film = watched(PLANE)
    assert when_seen(Wanted("the bird", True), film, encode) == []
