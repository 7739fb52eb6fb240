import math
import os
from dataclasses import replace

import numpy as np
import pyarrow
import pyarrow.parquet as parquet
import pytest
import tensorflow as tf

from sora_tf.data import AUGMENTS, Augment, read_index
from sora_tf.models import build_sora
from sora_tf.models.sora import SCORES
from sora_tf.models.video_model import MASK
from sora_tf.train.answers import Answers, Directions, spread_over
from sora_tf.train.lessons import (
    FEATURES_OF_FRAMES,
    LOGITS,
    VECTOR,
    FrameRelations,
    Lesson,
    SoftenedScores,
    cosine_distance,
    learner,
    possible,
    relation_distance,
    squared_distance,
)
from sora_tf.train.taught import in_turn, label_rows, with_answers
from sora_tf.train.teacher import RELATIONS
from sora_tf.train.unlabelled import NO_LABEL, apart_from, read_unlabelled


def test_softened_scores_by_hand():
    # τ = 2: q = softmax(ln 3, 0) = (3/4, 1/4), p = (1/2, 1/2);
    # 4·(3/4·ln(3/2) + 1/4·ln(1/2)) = 0.52325.
    loss = SoftenedScores(2.0)(tf.constant([[2 * math.log(3), 0.0]]), tf.constant([[5.0, 5.0]]))
    assert float(loss) == pytest.approx(0.5232480, abs=1e-6)
    again = SoftenedScores.from_config(SoftenedScores(2.0).get_config())
    assert again.temperature == 2.0


def test_scores_that_agree_cost_nothing_whatever_is_added_to_the_logits():
    logits = tf.constant([[1.0, -2.0, 0.5]])
    assert float(SoftenedScores(3.0)(logits, logits + 7.0)) == pytest.approx(0.0, abs=1e-5)


def test_distances_by_hand():
    one, two = tf.constant([[3.0, 4.0]]), tf.constant([[4.0, 3.0]])
    assert cosine_distance(one, two).numpy() == pytest.approx([1 - 24 / 25], abs=1e-6)
    assert cosine_distance(one, 9 * one).numpy() == pytest.approx([0.0], abs=1e-6)
    assert squared_distance(one, two).numpy() == pytest.approx([1.0])


def test_relations_by_hand():
    x = tf.constant([[[2.0, 0.0], [3.0, 3.0], [9.0, 1.0]]])
    mask = tf.constant([[True, True, False]])
    found = FrameRelations()([x, mask]).numpy()[0]
    half = math.sqrt(0.5)
    np.testing.assert_allclose(found, [[1, half, 0], [half, 1, 0], [0, 0, 0]], atol=1e-6)
    # Two pairs of real frames, each half a unit off: (1/4 + 1/4) / 2.
    true = np.float32([[[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]])
    given = np.float32([[[1, 0, 0], [0, 1, 0], [0, 0, 0]]])
    assert relation_distance(true, given).numpy() == pytest.approx([0.25])


def test_frames_of_the_same_time():
    assert list(spread_over(16, 8)) == [1, 3, 5, 7, 9, 11, 13, 15]
    assert list(spread_over(5, 5)) == [0, 1, 2, 3, 4]
    assert list(spread_over(2, 4)) == [0, 0, 1, 1]


def test_relations_of_other_frames_of_the_clip():
    relations = np.arange(16, dtype=np.float32).reshape(1, 4, 4)
    answers = Answers(np.array([True]), None, None, relations, np.array([4]))
    # Of 4 frames, 2 evenly spread are the second and the fourth; the third is padding.
    found = answers.relations_among(0, 2, 3)
    np.testing.assert_array_equal(found, [[5, 7, 0], [13, 15, 0], [0, 0, 0]])


def test_vectors_are_made_comparable():
    vectors = np.float32([[10, 5], [12, 5], [14, 5]])
    answers = Answers(np.ones(3, bool), None, vectors, None, np.zeros(3, int)).standardised()
    # Mean 12, standard deviation √(8/3); a value that never changes says nothing.
    high = 2 / math.sqrt(8 / 3)
    np.testing.assert_allclose(answers.vectors, [[-high, 0], [0, 0], [high, 0]], atol=1e-6)


def test_frame_vectors_are_shortened_to_where_they_differ():
    rng = np.random.default_rng(0)
    # Two things vary, each seen in many values of all sizes; one value stays as it is.
    causes = rng.normal(size=(5, 4, 2))
    seen = causes @ rng.normal(size=(2, 300)) * rng.uniform(0.1, 9, 300) + 7
    seen[..., 0] = 3.0
    frames = np.array([4, 4, 2, 4, 4])
    seen[2, 2:] = 0
    answers = Answers(np.ones(5, bool), None, None, None, frames, seen.astype(np.float16))
    directions = Directions.of(answers)
    short = directions.short(answers).features.astype(np.float32)
    real = np.arange(4) < frames[:, None]
    assert short.shape == (5, 4, 18)  # there are 18 frames
    assert np.abs(short[~real]).max() == 0
    assert np.mean(short[real] ** 2) == pytest.approx(1, rel=1e-2)
    power = (short[real] ** 2).mean(axis=0)
    assert power[:2].sum() / power.sum() > 0.99
    # What is left says what the two things were.
    x = np.column_stack([short[real][:, :2], np.ones(18)])
    left = causes[real] - x @ np.linalg.lstsq(x, causes[real], rcond=None)[0]
    assert np.abs(left).max() < 0.05 * causes.std()
    # Two frames evenly spread are the second and the fourth.
    found = directions.short(answers).features_among(0, 2, 3)
    np.testing.assert_array_equal(found, [*short[0, [1, 3]], np.zeros(18)])


def test_batches_carry_the_answers_on_their_own_clips():
    clips = {"frames": np.zeros((2, 2, 1, 1, 3), np.uint8), MASK: np.array([[1, 1], [1, 0]], bool)}
    shares = np.float32([[0, 1, 0], [0.75, 0, 0.25]])  # the second clip is a blend
    batches = tf.data.Dataset.from_tensors((clips, shares))
    answers = Answers(
        np.ones(3, bool),
        np.float32([[4, 0], [0, 8], [0, 4]]),
        np.float32([[1], [2], [5]]),
        np.float32([np.full((2, 2), value) for value in (0.1, 0.2, 0.3)]),
        np.full(3, 2),
        np.float16([np.full((2, 5), value) for value in (1, 2, 3)]),
    )
    labels = np.float32([[1, 0], [0, 1], [0, 0]]), np.float32([2, 1, 0])
    terms = dict.fromkeys(("scores", "vector", "relations", "features"), 1.0)
    ((_, targets, weights),) = with_answers(batches, labels, answers, terms, 2)
    np.testing.assert_allclose(targets[SCORES], [[0, 1], [0.75, 0]])
    np.testing.assert_allclose(targets[LOGITS], [[0, 8], [3, 1]])
    np.testing.assert_allclose(targets[VECTOR], [[2], [2]])
    np.testing.assert_allclose(targets[RELATIONS][0], np.full((2, 2), 0.2))
    np.testing.assert_allclose(targets[FEATURES_OF_FRAMES][0], np.full((2, 5), 2))
    np.testing.assert_allclose(targets[FEATURES_OF_FRAMES][1], [[1] * 5, [0] * 5])
    np.testing.assert_allclose(weights[FEATURES_OF_FRAMES], [[1, 1], [1, 0]])
    np.testing.assert_allclose(weights[SCORES], [1, 1.5])
    ((_, targets, _),) = with_answers(batches, labels, answers, {"vector": 1.0}, 2)
    assert set(targets) == {SCORES, VECTOR}


def test_a_clip_without_a_label_counts_nothing(digits):
    clips = read_index(digits / "index.csv")[:2]
    rows, counts = label_rows(
        [clips[0], replace(clips[1], label=NO_LABEL)], ["left", clips[0].label][-1:], {0: 0.5}
    )
    np.testing.assert_array_equal(rows, [[1], [0]])
    np.testing.assert_array_equal(counts, [0.5, 0])


def test_a_learner_shares_the_student_and_its_gradients_reach_it(settings):
    student = build_sora(settings["model"], 4)
    answers = Answers(
        np.ones(1, bool), np.ones((1, 4)), np.ones((1, 7)), np.ones((1, 8, 8)), np.full(1, 8),
        np.ones((1, 8, 5)),
    )  # fmt: skip
    terms = dict.fromkeys(("scores", "vector", "relations", "features"), 1.0)
    model = learner(student, answers, terms)
    clip = np.random.default_rng(0).uniform(0, 255, (2, 8, 28, 28, 3)).astype(np.float32)
    given = model(clip)
    assert {name: tuple(value.shape) for name, value in given.items()} == {
        SCORES: (2, 4), LOGITS: (2, 4), VECTOR: (2, 7), RELATIONS: (2, 8, 8),
        FEATURES_OF_FRAMES: (2, 8, 5),
    }  # fmt: skip
    first = student.get_layer("stage0_block0_conv").kernel
    for name in (VECTOR, RELATIONS, FEATURES_OF_FRAMES):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.square(model(clip)[name]))
        assert float(tf.norm(tape.gradient(loss, first))) > 0


def test_terms_that_cannot_be_taught_are_left_out_and_named(caplog):
    answers = Answers(np.ones(1, bool), None, np.ones((1, 2)), np.ones((1, 3, 3)), np.ones(1, int))
    caplog.set_level("WARNING", logger="sora_tf")
    assert possible(Lesson(), answers, Augment.none()) == {"vector": 1.0, "relations": 1.0}
    assert caplog.messages == ["not taught: scores, for the teacher names no classes"]
    for augment, views, reason in (
        (Augment(), 0, "speed shows the student other moments than the teacher"),
        (AUGMENTS["strong"], 2, "mixup shows the student two clips at once"),
    ):
        caplog.clear()
        assert possible(Lesson(scores=0, views=views), answers, augment) == {"vector": 1.0}
        assert caplog.messages == [f"not taught: relations, for {reason}"]
    assert "relations" in possible(Lesson(scores=0, views=2), answers, Augment())
    caplog.clear()
    assert "features" not in possible(Lesson(scores=0, features=1.0), answers, Augment.none())
    reason = "the teacher's frame vectors are too many to keep"
    assert caplog.messages == [f"not taught: features, for {reason}"]


def test_views_come_in_turn_and_go_on_where_they_were():
    parts = [tf.data.Dataset.from_tensors(({"x": [number]}, [number])) for number in range(3)]
    dataset = in_turn(parts.__getitem__, 3, 2)
    assert dataset.cardinality() == 1
    seen = [[int(label[0]) for _, label in dataset] for _ in range(4)]
    assert seen == [[2], [0], [1], [2]]


@pytest.mark.parametrize(
    ("lesson", "words"),
    [
        ({"scores": -1.0}, "scores must be from 0.0"),
        ({"views": -1}, "views must be at least 0"),
        ({"temperature": 0.0}, "temperature must be above 0"),
        ({"distance": "far"}, "distance must be one of cosine, squared"),
        ({"scores": 0, "vector": 0, "relations": 0}, "one of scores, vector, relations, features"),
    ],
)
def test_bad_lessons_are_named(lesson, words):
    with pytest.raises(ValueError, match=words) as caught:
        Lesson(**lesson)
    assert "\n" not in str(caught.value)


def test_unlabelled_clips_come_from_anywhere(digits, tmp_path):
    folder = read_unlabelled(digits)
    clips = read_index(digits / "index.csv")
    assert {clip.path for clip in folder} == {clip.path for clip in clips}
    assert {clip.label for clip in folder} == {NO_LABEL}
    (tmp_path / "some.csv").write_text(f"path,start,end\n{clips[0].path},0.25,0.5\n")
    (clip,) = read_unlabelled(tmp_path / "some.csv")
    assert (clip.path, clip.start, clip.end) == (clips[0].path, 0.25, 0.5)
    os.symlink(clips[1].path, tmp_path / "link.mp4")
    linked = [replace(clips[1], path=str(tmp_path / "link.mp4"), group="")]
    assert apart_from([*linked, clips[2]], [clips[1]]) == [clips[2]]
    parquet.write_table(pyarrow.table({"file": ["a.mp4"]}), tmp_path / "bad.parquet")
    with pytest.raises(ValueError, match="must have the column 'path', got file"):
        read_unlabelled(tmp_path / "bad.parquet")
