import pytest

from sora_tf.data.words import words


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
