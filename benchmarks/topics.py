"""How well the terms of topics hold together: factors against latent Dirichlet allocation.

python benchmarks/topics.py MELD/train_sent_emo.csv [--episodes N] [--topics K ...] [--seeds S ...]

The collection is the episodes of a sitcom with most lines, a film each. NPMI of the ten top terms
is counted over the same passages for both; more is better.
"""

import argparse
import csv
import statistics
from collections import defaultdict
from pathlib import Path

from _folds import deviation
from sklearn.decomposition import LatentDirichletAllocation

from sora_tf.data.sentences import sentences
from sora_tf.tasks.topics import _passages, _telling, _weighted, factors, npmi, top_terms
from sora_tf.video.subtitles import Cue, straightened


def episodes(table: Path, most: int) -> dict[str, list[Cue]]:
    """Sentences of the episodes with most lines."""
    found: dict[str, list[Cue]] = defaultdict(list)
    with open(table, newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            start, end = (_seconds(row[name]) for name in ("StartTime", "EndTime"))
            found[f"{row['Season']}-{row['Episode']}"].append(Cue(start, end, row["Utterance"]))
    longest = sorted(found, key=lambda name: -len(found[name]))[:most]
    return {name: sentences(straightened(found[name])) for name in longest}


def _seconds(text: str) -> float:
    hours, minutes, seconds = text.strip().replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--topics", type=int, nargs="+", default=[4, 8, 12])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    films = episodes(options.table, options.episodes)
    passages = [(film, words) for film, said in films.items() for words in _passages(said, None)]
    counts, _ = _weighted(_telling(passages))
    there = (counts > 0).astype(float)
    print(f"{len(films)} episodes, {counts.shape[0]} passages, {counts.shape[1]} terms")
    print(
        "| topics | factors (NMF of TF-IDF) | latent Dirichlet allocation |\n| ---: | ---: | ---: |"
    )
    for number in options.topics:
        cells = []
        for name in ("factors", "lda"):
            found = []
            for seed in options.seeds:
                if name == "factors":
                    parts = factors(counts, number, seed)[1]
                else:
                    model = LatentDirichletAllocation(number, random_state=seed, max_iter=20)
                    parts = model.fit(there).components_
                found.append(statistics.mean(npmi(there, own) for own in top_terms(parts)))
            cells.append(f"{statistics.mean(found):.3f} ± {deviation(found):.3f}")
        print(f"| {number} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
