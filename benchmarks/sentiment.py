"""What is felt in utterances of a sitcom: a graph of the dialogue beside simpler ways.

python benchmarks/sentiment.py ../shared/data/meld --out DIR [--seeds 0 1 2]

Trained on train_sent_emo.csv, tested on dev_sent_emo.csv, which nothing is chosen on: a fifth of
the training dialogues chooses the epoch. DIR gets a run of each, vectors.npz, results.json and
table.md; what results.json holds is not made again.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from _folds import deviation
from _machine import print_machine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from sora_tf._files import replacing, write_json
from sora_tf._keras import keras
from sora_tf.data.utterances import Utterance, read_utterances
from sora_tf.data.words import BagOfWords
from sora_tf.models.dialogue import DialogueConfig
from sora_tf.models.sentence_vectors import sentence_vectors
from sora_tf.models.text import TextConfig
from sora_tf.train.sentiment import train_sentiment, usual_sentiment_training

COLUMNS = {
    "text": "Utterance",
    "dialogue": "Dialogue_ID",
    "order": "Utterance_ID",
    "speaker": "Speaker",
}
FILES = {"train": "train_sent_emo.csv", "test": "dev_sent_emo.csv"}
CACHE = "vectors.npz"
USUAL = DialogueConfig()
MODELS = {
    "graph": USUAL,
    "without the graph": replace(USUAL, relation=None),
    "graph, and words learnt from scratch": replace(USUAL, words=TextConfig(8000)),
    "graph, MiniLM alone": replace(USUAL, bag=0),
    "graph, words learnt from scratch alone": replace(
        USUAL, bag=0, vector=0, words=TextConfig(8000)
    ),
}
Way = Callable[[list[Utterance], list[Utterance], Path], np.ndarray]


def utterances(folder: Path, label: str) -> dict[str, list[Utterance]]:
    """Those of both files; dialogues are numbered anew in each file."""
    columns = {**COLUMNS, "label": label}
    return {
        part: [
            replace(one, split=part, dialogue=f"{part} {one.dialogue}")
            for one in read_utterances(folder / name, columns)
        ]
        for part, name in FILES.items()
    }


def majority(train: list[Utterance], test: list[Utterance], out: Path) -> np.ndarray:
    """The class that is most frequent in training."""
    labels = [one.label for one in train]
    return np.array([max(sorted(set(labels)), key=labels.count)] * len(test))


def bags(train: list[Utterance], test: list[Utterance], out: Path) -> np.ndarray:
    """TF-IDF and a logistic regression."""
    bag = BagOfWords.of([one.text for one in train], USUAL.bag)
    return _regressed(*(bag.weigh([one.text for one in part]) for part in (train, test)), train)


def vectors(train: list[Utterance], test: list[Utterance], out: Path) -> np.ndarray:
    """MiniLM's vectors and a logistic regression."""
    made = [sentence_vectors([one.text for one in part], out / CACHE) for part in (train, test)]
    scaler = StandardScaler().fit(made[0])
    return _regressed(*map(scaler.transform, made), train, c=0.003)


def _regressed(x, other, train, c=1.0):
    model = LogisticRegression(C=c, max_iter=300).fit(x, [one.label for one in train])
    return model.predict(other)


BASELINES: dict[str, Way] = {
    "majority": majority,
    "TF-IDF, logistic regression": bags,
    "MiniLM, logistic regression": vectors,
}


def trained(
    name: str, label: str, parts: dict[str, list[Utterance]], seed: int, out: Path
) -> float:
    """Weighted F1 of a model of ours."""
    table = out / f"{label}.csv"
    if not table.exists():
        rows = [vars(one) for part in parts.values() for one in part]
        with replacing(table) as beside:
            pd.DataFrame(rows).to_csv(beside, index=False)
    keras.backend.clear_session()
    run = train_sentiment(
        table,
        out / f"{label} {name} seed{seed}",
        name=label.lower(),
        model=MODELS[name],
        training=replace(usual_sentiment_training(), seed=seed),
        cache=out / CACHE,
        verbose=0,
    )
    return run.read_metrics()["weighted_f1"]


def table(results: dict[str, dict[str, list[float]]]) -> str:
    """Weighted F1 of each way: mean and standard deviation over seeds."""
    labels = list(results)
    lines = [
        f"| weighted F1 | {' | '.join(label.lower() for label in labels)} |",
        f"| --- |{' ---: |' * len(labels)}",
    ]
    for name in (*BASELINES, *MODELS):
        cells = []
        for label in labels:
            values = results[label].get(name, [])
            spread = f" ± {deviation(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}" if values else "")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("meld", type=Path, help="folder of the two tables")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy", "tokenizers")
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "results.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    parts = {label: utterances(options.meld, label) for label in ("Sentiment", "Emotion")}
    for label, both in parts.items():
        kept = results.setdefault(label, {})
        truth = [one.label for one in both["test"]]
        for name, way in BASELINES.items():
            if name not in kept:
                found = way(both["train"], both["test"], options.out)
                kept[name] = [float(f1_score(truth, found, average="weighted"))]
                write_json(path, results)
    for name in MODELS:
        for number, seed in enumerate(options.seeds):
            for label, both in parts.items():
                scores = results[label].setdefault(name, [])
                if len(scores) <= number:
                    scores.append(trained(name, label, both, seed, options.out))
                    write_json(path, results)
        print(f"after {name}\n{table(results)}", flush=True)
        (options.out / "table.md").write_text(table(results))


if __name__ == "__main__":
    main()
