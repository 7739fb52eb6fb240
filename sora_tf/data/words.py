"""What a word is: letters between spaces, and signs where a language has no spaces."""

import json
import os
import re
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

from sora_tf._files import write_json

# No spaces between words: Japanese, Chinese, Thai.
JOINED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
RUN = re.compile(rf"([{JOINED}]+)|[^\W_{JOINED}]+")
MARKS = re.compile(r"[!?.…！？。]+")  # they tell how something is said


def words(text: str, signs: int = 1) -> list[str]:
    """Words in small letters, in their order, so that nothing here knows a language.

    Args:
        text: in any language.
        signs: how many neighbouring signs make a word where there are no spaces between words.
    """
    found: list[str] = []
    for run in RUN.finditer(text.lower()):
        if run[1]:
            places = range(max(1, len(run[1]) - signs + 1))
            found += [run[1][place : place + signs] for place in places]
        else:
            found.append(run[0])
    return found


class BagOfWords:
    """Weighs the words, neighbouring words and marks of texts by how rare they are (TF-IDF).

    x_v = (1 + ln n_v)·idf_v, n_v how often term v is in the text, then to length 1.

    Args:
        terms: V of them.
        rarity: (V,) idf of each.
    Reference: Salton and Buckley, "Term-weighting approaches in automatic text retrieval", 1988.
    """

    def __init__(self, terms: Sequence[str], rarity: Sequence[float]):
        self.terms = list(terms)
        self.rarity = [float(value) for value in rarity]
        self._weigh = None
        if self.terms:
            self._weigh = _weigher(vocabulary=self.terms)
            self._weigh.idf_ = np.array(self.rarity)

    @classmethod
    def of(cls, texts: Sequence[str], most: int) -> "BagOfWords":
        """The most frequent terms of texts; those in one text alone are left out.

        Args:
            texts: those of the training alone.
            most: terms at most.
        """
        try:
            found = _weigher(min_df=2, max_features=most).fit(texts)
        except ValueError:  # what scikit-learn says where there are no terms
            return cls([], [])
        return cls(found.get_feature_names_out().tolist(), found.idf_.tolist())

    @property
    def size(self) -> int:
        """How many terms there are, V."""
        return len(self.terms)

    def weigh(self, texts: Sequence[str]) -> csr_matrix:
        """Weights (N, V) float32, sparse, rows of length 1, or 0 where no term is known."""
        if self._weigh is None or not len(texts):
            return csr_matrix((len(texts), self.size), dtype=np.float32)
        return self._weigh.transform(texts)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Writes the terms and their idf as JSON."""
        write_json(path, {"terms": self.terms, "rarity": self.rarity})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> "BagOfWords":
        """What `write` wrote.

        Raises:
            ValueError: the file is none of those.
        """
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        try:
            return cls(values["terms"], values["rarity"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"it has no {error}") from None


def _weigher(**more: Any) -> TfidfVectorizer:
    return TfidfVectorizer(analyzer=_grams, sublinear_tf=True, dtype=np.float32, **more)


def _grams(text: str) -> list[str]:
    single = words(text)
    pairs = [f"{first} {second}" for first, second in pairwise(single)]
    return [*single, *pairs, *MARKS.findall(text)]
