"""Vectors kept in a file are those of the encoder, and are not made twice."""

import numpy as np
import pytest

from sora_tf.models.sentence_vectors import sentence_vectors


class Counting:
    """An encoder that counts, and says how long a text is."""

    def __init__(self):
        self.asked = []

    def encode(self, texts):
        self.asked += texts
        return np.stack([np.full(384, len(text), np.float32) for text in texts])


def test_no_text_is_read_twice(tmp_path):
    cache, encoder = tmp_path / "kept.npz", Counting()
    made = sentence_vectors(["aa", "b", "aa"], cache, encoder)
    assert made[:, 0].tolist() == [2, 1, 2]
    again = sentence_vectors(["ccc", "b"], cache, encoder)
    assert again[:, 0].tolist() == [3, 1]
    assert encoder.asked == ["aa", "b", "ccc"]
    assert sentence_vectors([], cache, encoder).shape == (0, 384)


@pytest.mark.parametrize("content", [b"", b"noise", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_made_anew(tmp_path, content):
    (tmp_path / "kept.npz").write_bytes(content)
    encoder = Counting()
    sentence_vectors(["a"], tmp_path / "kept.npz", encoder)
    sentence_vectors(["a"], tmp_path / "kept.npz", encoder)
    assert encoder.asked == ["a"]


def test_a_kill_costs_a_block(tmp_path, monkeypatch):
    class Killed(Counting):
        def encode(self, texts):
            if self.asked:
                raise KeyboardInterrupt
            return super().encode(texts)

    monkeypatch.setattr("sora_tf.models.sentence_vectors.BLOCK", 2)
    texts, cache = [str(n) for n in range(5)], tmp_path / "kept.npz"
    with pytest.raises(KeyboardInterrupt):
        sentence_vectors(texts, cache, Killed())
    encoder = Counting()
    assert sentence_vectors(texts, cache, encoder)[:, 0].tolist() == [1] * 5
    assert encoder.asked == ["2", "3", "4"]
