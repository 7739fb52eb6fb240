"""Agreement with users: sums by hand, and the published level on TVSum's scores."""

import numpy as np
import pytest

from sora_tf.data.tvsum import a_score_a_shot, read_tvsum
from sora_tf.tasks.summary_metrics import (
    f_score,
    human_agreement,
    human_f_score,
    mean_f_score,
    rank_agreement,
    summary_of,
)


@pytest.fixture(scope="module")
def films(shared_data):
    return read_tvsum(shared_data / "tvsum" / "ydata-tvsum50.mat")


def test_f_by_hand():
    chosen = np.asarray([1, 1, 1, 0, 0, 0], bool)
    one, other = np.asarray([[0, 1, 1, 1, 1, 0], [0, 0, 0, 0, 0, 1]], bool)
    # 2 in common of 3 and 4: precision 2/3, recall 1/2, F = 2·(1/3) / (7/6) = 4/7.
    assert f_score(chosen, one) == pytest.approx(4 / 7)
    assert mean_f_score(chosen, np.stack([one, other])) == pytest.approx(2 / 7)
    assert f_score(np.zeros(6, bool), np.zeros(6, bool)) == 0.0


def test_ranks_by_hand():
    # Of the 6 pairs of (1, 2, 3, 4) and (1, 3, 2, 4), 5 agree and 1 does not: τ = 4/6. The squared
    # differences of ranks are 0 + 1 + 1 + 0: ρ = 1 - 6·2 / (4·15) = 0.8.
    found = rank_agreement(np.asarray([1, 2, 3, 4]), np.asarray([[1, 3, 2, 4]]))
    assert found == pytest.approx((4 / 6, 0.8))


def test_one_who_scores_all_the_same_says_nothing():
    users = np.asarray([[1, 2, 3], [2, 2, 2]])
    assert rank_agreement(np.asarray([1, 2, 3]), users) == (1.0, 1.0)
    assert rank_agreement(np.ones(3), users) == (0.0, 0.0)


def test_a_summary_of_scores_by_hand():
    # Shots of 2, 3 and 5 frames with means 1, 3 and 2; half of 10 frames holds the first two.
    scores = np.asarray([1, 1, 3, 3, 3, 2, 2, 2, 2, 2])
    chosen = summary_of(scores, np.asarray([0, 2, 5]), share=0.5)
    assert chosen.tolist() == [True] * 5 + [False] * 5


def test_tvsum_reads(films):
    assert len(films) == 50
    assert films[0].name == "AwmHb44_ouw"
    assert films[0].scores.shape == (20, 10597)
    assert {float(x) for x in np.unique(films[0].scores)} == {1, 2, 3, 4, 5}


def test_users_agree_as_published(films):
    """Otani et al., CVPR 2019, table 4: humans on TVSum τ 0.177, ρ 0.204."""
    found = np.asarray([human_agreement(a_score_a_shot(film)) for film in films])
    np.testing.assert_allclose(found.mean(axis=0), [0.177, 0.204], atol=0.001)


def test_chance_agrees_with_nobody(films):
    rng = np.random.default_rng(0)
    users = [a_score_a_shot(film) for film in films]
    found = np.asarray([rank_agreement(rng.random(each.shape[1]), each) for each in users])
    # 50 films of about 120 moments: a standard error of 0.01 for τ.
    np.testing.assert_allclose(found.mean(axis=0), [0.0, 0.0], atol=0.03)


def test_chance_is_as_good_as_users_where_shots_are_of_all_lengths(films):
    """Otani et al., CVPR 2019: F says 0.54 for humans and 0.57 for chance, with shots by KTS.

    The films are not here, so their shots are drawn: log-normal lengths, 5 s in the mean, a spread
    of 0.65. In shots of 2 s the same chance falls to 0.15.
    """
    humans, chance, short = [], [], []
    for number, film in enumerate(films[:20]):
        rng = np.random.default_rng(number)
        scores, rate = film.scores[:, ::8], film.rate / 8
        for found, starts in (
            (chance, drawn_shots(scores.shape[1], rate, rng)),
            (short, np.arange(0, scores.shape[1], round(2 * rate))),
        ):
            users = np.stack([summary_of(user, starts) for user in scores])
            guesses = [summary_of(rng.random(scores.shape[1]), starts) for _ in range(3)]
            found.append(np.mean([mean_f_score(guess, users) for guess in guesses]))
            if found is chance:
                humans.append(human_f_score(users))
    assert np.mean(humans) == pytest.approx(0.54, abs=0.04)
    assert np.mean(chance) == pytest.approx(0.56, abs=0.04)
    assert np.mean(short) == pytest.approx(0.15, abs=0.02)


def drawn_shots(frames, rate, rng, mean=5.0, spread=0.65):
    lengths = rng.lognormal(np.log(mean) - spread**2 / 2, spread, frames) * rate
    starts = np.concatenate([[0], np.cumsum(np.maximum(lengths, rate / 2).astype(int))])
    return starts[starts < frames - rate]


@pytest.mark.parametrize("content", [b"", b"nothing of the kind"])
def test_another_file_is_refused(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mat: users' scores must be TVSum's"):
        read_tvsum(tmp_path / "a.mat")
