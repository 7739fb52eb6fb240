"""Topics of a collection, by hand, on made talks in two languages, and by the verb."""

import json

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from scipy.sparse import csr_matrix

from sora_tf.cli import main
from sora_tf.tasks.topic_files import list_films
from sora_tf.tasks.topics import Look, agreement, factors, find_topics, npmi, top_terms
from sora_tf.video.subtitles import Cue

COMMON = ["and", "then", "the", "people", "said", "that", "it", "was", "good"]
ENGLISH = {
    "sea": ["ship", "harbour", "sailor", "wave", "anchor", "captain", "island", "storm"],
    "kitchen": ["bread", "oven", "butter", "flour", "sugar", "recipe", "dough", "cake"],
}
CHINESE = {"sea": "轮船港口水手海浪船长岛屿风暴", "kitchen": "面包烤箱黄油面粉白糖菜谱蛋糕"}


def talk(rng, kind, lines=48):
    """Sentences of a kind, in words that all kinds share and some of its own."""
    found = []
    for n in range(lines):
        own = [str(word) for word in rng.choice(ENGLISH[kind], 3)]
        text = " ".join([*rng.permutation(COMMON)[:5], *own]) + "."
        found.append(Cue(n * 2.0, n * 2.0 + 1.5, text))
    return found


@pytest.fixture(scope="module")
def films():
    rng = np.random.default_rng(0)
    return {f"{kind}{n}": talk(rng, kind) for kind in ENGLISH for n in range(4)}


def test_two_kinds_of_talk_are_two_topics(films):
    found = find_topics(films, 2)
    tops = [{term for term, _ in topic.terms} for topic in found.topics]
    assert sorted(len(top & set(ENGLISH["sea"])) for top in tops) == [0, 8]
    assert sorted(len(top & set(ENGLISH["kitchen"])) for top in tops) == [0, 8]
    assert not set.union(*tops) & set(COMMON)  # the collection itself says that they say nothing
    for film, weights in found.films.items():
        sea = int(np.argmax([len(top & set(ENGLISH["sea"])) for top in tops]))
        assert weights.sum() == pytest.approx(1.0)
        assert (weights[sea] > 0.9) == film.startswith("sea")
    assert found.stability > 0.9
    assert sum(topic.share for topic in found.topics) == pytest.approx(1.0)


def test_the_number_of_topics_is_found(films):
    assert len(find_topics(films).topics) == 2


def test_chinese():
    rng = np.random.default_rng(1)
    films = {}
    for kind, signs in CHINESE.items():
        pairs = [signs[n : n + 2] for n in range(0, len(signs), 2)]
        for n in range(4):
            films[f"{kind}{n}"] = [
                Cue(t, t + 1.0, f"我们说{rng.choice(pairs)}，还有{rng.choice(pairs)}。")
                for t in range(48)
            ]
    found = find_topics(films, 2)
    tops = ["".join(term for term, _ in topic.terms) for topic in found.topics]
    assert {("轮船" in top, "面包" in top) for top in tops} == {(True, False), (False, True)}
    assert not any("我们" in top for top in tops)


def test_the_same_seed_gives_the_same(films):
    one, two = (find_topics(films, 3, seed=5) for _ in range(2))
    assert one.topics == two.topics


def test_what_is_seen_is_a_term(films):
    rng = np.random.default_rng(0)
    looks = {
        film: [
            Look(t, t + 10.0, np.eye(8)[0 if film.startswith("sea") else 4] + 0.01 * rng.random(8))
            for t in np.arange(0.0, 96.0, 10.0)
        ]
        for film in films
    }
    found = find_topics(films, 2, looks)
    assert found.looks
    for topic in found.topics:
        kind = "sea" if "ship" in dict(topic.terms) else "kitchen"
        seen = [term for term, _ in topic.terms if term in found.looks]
        assert seen
        assert all(found.looks[term][0].startswith(kind) for term in seen)


def test_npmi():
    # a and b stand together in 2 of 4 passages, a in 2, b in 3: ln(.5 / (.5·.75)) / -ln .5.
    there = csr_matrix(np.array([[1, 1, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1]], float))
    assert npmi(there, np.array([0, 1])) == pytest.approx(np.log(0.5 / 0.375) / np.log(2))
    assert npmi(there, np.array([0, 2])) == -1.0
    assert npmi(there, np.array([0])) == 0.0
    assert npmi(csr_matrix(np.ones((3, 2))), np.array([0, 1])) == 1.0


def test_agreement_takes_the_best_match():
    # {1,2} and {3,4} against {3,4} and {1,5}: 1 and 1/3.
    first = [np.array([1, 2]), np.array([3, 4])]
    assert agreement(first, [np.array([3, 4]), np.array([1, 5])]) == pytest.approx((1 + 1 / 3) / 2)
    assert agreement(first, first[::-1]) == 1.0


def test_factors_of_blocks_are_the_blocks():
    counts = csr_matrix(np.kron(np.eye(2), np.ones((3, 4))))
    weights, parts = factors(counts, 2, 0)
    assert sorted(sorted(own.tolist()) for own in top_terms(parts)) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    np.testing.assert_allclose(weights @ parts, counts.toarray(), atol=1e-2)
    np.testing.assert_allclose(parts.sum(axis=1), 1.0)


@pytest.mark.parametrize(("count", "says"), [(1, "at least 2"), (99, "99 topics need more words")])
def test_numbers_that_cannot_be(films, count, says):
    with pytest.raises(ValueError, match=says):
        find_topics(films, count)


@pytest.mark.parametrize("said", [[], [Cue(0, 1, "one word")], [Cue(0, 1, "…")]])
def test_too_little_is_one_line(said):
    with pytest.raises(ValueError, match="topics: "):
        find_topics({"film": said})


@pytest.fixture
def folder(films, tmp_path):
    """Files of subtitles, one of them bad and one empty."""
    for film, said in films.items():
        lines = [
            f"{n}\n00:{int(c.start) // 60:02d}:{int(c.start) % 60:02d},000 --> "
            f"00:{int(c.end) // 60:02d}:{int(c.end) % 60:02d},900\n{c.text}\n"
            for n, c in enumerate(said, 1)
        ]
        (tmp_path / "films").mkdir(exist_ok=True)
        (tmp_path / "films" / f"{film}.srt").write_text("\n".join(lines))
    (tmp_path / "films" / "bad.srt").write_bytes(b"\x00\x01\x02nothing")
    (tmp_path / "films" / "silent.mp4").write_bytes(b"no film")
    return tmp_path / "films"


def test_verb(folder, tmp_path, capsys):
    pytest.importorskip("pysubs2")
    out = tmp_path / "out"
    assert main(["topics", str(folder), "--out", str(out), "--topics", "2"]) == 3
    text, err = capsys.readouterr()
    assert "2 topics of 8 films" in text
    assert "2 skipped" in text
    assert "bad.srt" in err
    assert "silent.mp4" in err
    numbers = json.loads((out / "topics.json").read_text())
    assert len(numbers["films"]) == 8
    assert len(numbers["skipped"]) == 2
    rows = pyarrow.parquet.read_table(out / "topics.parquet").to_pylist()
    assert len(rows) == 16
    assert {row["topic"] for row in rows} == {1, 2}
    page = (out / "index.html").read_text()
    assert "sailor" in page
    assert "sea0.srt" in page
    assert "silent.mp4" in page


def test_a_film_and_its_subtitles_are_one(tmp_path):
    for name in ("a.mp4", "a.srt", "b.mkv", "b.en.srt", "c.srt", ".d.srt", "e.txt"):
        (tmp_path / name).touch()
    names = [path.rsplit("/", 1)[1] for path in list_films([str(tmp_path)])]
    assert names == ["a.mp4", "b.mkv", "c.srt"]


@pytest.mark.parametrize("given", ["nothing-here", "empty", "vectors"])
def test_bad_input_is_one_line(given, folder, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.parquet").write_bytes(b"x")
    command = {
        "nothing-here": ["topics", str(tmp_path / "nothing-here")],
        "empty": ["topics", str(tmp_path / "empty")],
        "vectors": ["topics", str(folder), "--vectors", str(tmp_path / "bad.parquet")],
    }[given]
    assert main([*command, "--out", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
