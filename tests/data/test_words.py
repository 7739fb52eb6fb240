import math

import pytest

from sora_tf.data.words import BagOfWords, words


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The Camera's 4 watts", ["the", "camera", "s", "4", "watts"]),
        ("我喜欢 OK 板", ["我", "喜", "欢", "ok", "板"]),
        ("ไป now", ["ไ", "ป", "now"]),
        ("هذا رائع!", ["هذا", "رائع"]),
        ("😂 ... ?", []),
        ("", []),
    ],
)
def test_words_by_hand(text, wanted):
    assert words(text) == wanted


def test_pairs_of_signs():
    assert words("摄像系统 ok 板", 2) == ["摄像", "像系", "系统", "ok", "板"]


def test_bags_of_words_by_hand(tmp_path):
    bag = BagOfWords.of(["Not good!", "not good", "good", "bad"], 10)
    # In two texts or more: not, good, not good; good in 3 of 4: idf = ln(5/4) + 1.
    assert sorted(bag.terms) == ["good", "not", "not good"]
    rarity = dict(zip(bag.terms, bag.rarity, strict=True))
    assert rarity["good"] == pytest.approx(math.log(5 / 4) + 1)
    assert rarity["not"] == pytest.approx(math.log(5 / 3) + 1)
    made = bag.weigh(["good good NOT", "bad?", ""]).toarray()
    weights = dict(zip(bag.terms, made[0], strict=True))
    good = (1 + math.log(2)) * rarity["good"]
    length = math.hypot(good, rarity["not"])
    assert weights["good"] == pytest.approx(good / length)
    assert weights["not"] == pytest.approx(rarity["not"] / length)
    assert not made[1:].any()
    bag.write(tmp_path / "bag.json")
    read = BagOfWords.read(tmp_path / "bag.json")
    assert (read.weigh(["good not"]) != bag.weigh(["good not"])).nnz == 0


def test_bags_without_terms(tmp_path):
    bag = BagOfWords.of(["a", "b", "😂"], 10)
    assert bag.size == 0
    assert bag.weigh(["a", "c"]).shape == (2, 0)
    assert BagOfWords.of(["我喜欢", "我不喜欢"], 3).size == 3
    assert BagOfWords.of(["a b", "a b"], 9).weigh([]).shape == (0, 3)
    (tmp_path / "bag.json").write_text("{}")
    with pytest.raises(ValueError, match="it has no 'terms'"):
        BagOfWords.read(tmp_path / "bag.json")
