"""What a word is: letters between spaces, and signs where a language has no spaces."""

import re

# No spaces between words: Japanese, Chinese, Thai.
JOINED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f"
RUN = re.compile(rf"([{JOINED}]+)|[^\W_{JOINED}]+")


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
