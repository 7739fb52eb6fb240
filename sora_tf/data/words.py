"""What a word is: letters between spaces, and signs where a language has no spaces."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import HashingVectorizer

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


def bag_of_words(texts: Sequence[str], size: int) -> csr_matrix:
    """How often each word, each two neighbouring words and each mark is in a text, hashed.

    So there is no list of words to keep; those that share a number have signs of their own and
    cancel out.

    Args:
        texts: N of them.
        size: numbers V of a text.
    Returns:
        (N, V) float32, sparse, rows of length 1, or 0 where a text has no words.
    Reference: Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009.
    """
    if not len(texts):
        return csr_matrix((0, size), dtype=np.float32)
    hashing = HashingVectorizer(n_features=size, analyzer=_grams, dtype=np.float32)
    return hashing.transform(texts)


def _grams(text: str) -> list[str]:
    single = words(text)
    pairs = [f"{first} {second}" for first, second in pairwise(single)]
    return [*single, *pairs, *MARKS.findall(text)]
