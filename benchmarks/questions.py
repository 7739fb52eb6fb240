"""Questions about films: how often the answer is right, beside what the question alone says.

python benchmarks/questions.py DATA --out DIR [--seeds 0 1 2] [--folds N]

DATA holds the folders drone, fight, sleap and meld. Of five parts of the clips, three train, the
next chooses the epoch, the fifth is tested, on phrasings that were not trained. A head is trained
with the film and, the same, without it. Open questions are asked about dialogues of a sitcom:
what is said at a time, and when something is said. DIR gets links and subtitles, what is seen in
the clips, results.json and table.md; what results.json holds is not made again.
"""

import argparse
import csv
import json
import shutil
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
from _folds import PARTS, deviation
from _machine import print_machine
from _questions import PHRASINGS, asked, dialogues, facts

from sora_tf._files import write_json
from sora_tf._keras import keras
from sora_tf.models.minilm import SentenceEncoder
from sora_tf.tasks.answer import ask
from sora_tf.tasks.quote import remembered
from sora_tf.tasks.storyboard import clock
from sora_tf.train.answer_table import Asked, write_questions
from sora_tf.train.answerer import USUAL, train_answers
from sora_tf.video.subtitles import Cue

TRACKS, LINES = 10, 200  # of subtitles for open questions, and lines of each
EACH = 20  # open questions of a kind to a track
PIECE = 4  # words of a line that is asked for

Hits = dict[str, list[bool]]


def closed(rows: list[Asked], kinds: dict[str, str], out: Path, seed: int, encode) -> dict:
    """Hits by kind of question: of a head, of one that sees nothing, and of the usual answer."""
    write_questions(rows, out / "rows.csv")
    found = {}
    for name, blind in (("with the film", False), ("question alone", True)):
        keras.backend.clear_session()
        folder = out / f"run-{'blind' if blind else 'seen'}"
        run = train_answers(
            out / "rows.csv",
            folder,
            encode,
            training=replace(USUAL, seed=seed),
            cache=out / "cache",
            blind=blind,
            verbose=0,
        )
        found[name] = _hits(run.path / "predictions.csv", kinds)
        shutil.rmtree(folder)
    usual = {}
    for kind in PHRASINGS:
        trained = [
            r.clip.label for r in rows if kinds[r.question] == kind and r.clip.split == "train"
        ]
        if trained:
            usual[kind] = Counter(trained).most_common(1)[0][0]
    found["usual answer"] = _grouped(
        (kinds[r.question], r.clip.label == usual.get(kinds[r.question]))
        for r in rows
        if r.clip.split == "test"
    )
    return found


def _hits(path: Path, kinds: dict[str, str]) -> Hits:
    with open(path, newline="", encoding="utf-8") as file:
        return _grouped(
            (kinds[row["question"]], row["answer"] == row["predicted"])
            for row in csv.DictReader(file)
        )


def _grouped(pairs) -> Hits:
    found: Hits = {}
    for kind, hit in pairs:
        found.setdefault(kind, []).append(bool(hit))
    return found


def opened(data: Path, encode, seed: int) -> dict[str, dict[str, float]]:
    """Share of open questions answered rightly by the first answer, and by chance."""
    rng = np.random.default_rng(seed)
    talks = dialogues(data / "meld" / "train_sent_emo.csv")
    hits: Hits = {
        "what is said at m:ss": [],
        "when is “…” said": [],
        "when, by half of its words": [],
    }
    for track in range(TRACKS):
        cues: list[Cue] = []
        for number in rng.permutation(len(talks)):
            begin = cues[-1].end + 3.0 if cues else 0.0
            cues += [Cue(c.start + begin, c.end + begin, c.text) for c in talks[number][0]]
            if len(cues) >= LINES:
                break
        duration = cues[-1].end
        long = [cue for cue in cues if len(cue.text.split()) >= 2 * PIECE]
        for number in rng.permutation(len(long))[:EACH]:
            cue = long[number]
            middle = (cue.start + cue.end) / 2
            words = cue.text.split()
            first = int(rng.integers(len(words) - PIECE))
            piece = " ".join(words[first : first + PIECE])
            few = " ".join(str(w) for w in rng.permutation(words)[: len(words) // 2])
            for kind, question in (
                ("what is said at m:ss", f"What is said at {clock(middle)}?"),
                ("when is “…” said", f"When is “{piece}” said?"),
                ("when, by half of its words", f"When do they talk about {few}?"),
            ):
                answers = ask(question, (), cues, duration, encode)
                right = answers and any(m.start <= middle <= m.end for m in answers[0].moments)
                hits[kind].append(bool(right))
        print(
            f"track {track}", {k: round(statistics.mean(v), 3) for k, v in hits.items()}, flush=True
        )
    return {
        kind: {"accuracy": statistics.mean(own), "questions": len(own), "chance": 1 / LINES}
        for kind, own in hits.items()
    }


def table(kept: dict) -> str:
    """Accuracy by kind of question, ± over seeds, and over folds."""
    folds = {name: value for name, value in kept.items() if name.startswith("seed")}
    ways = ("with the film", "question alone", "usual answer")
    lines = [f"| question | {' | '.join(ways)} | tests |", "| --- | ---: | ---: | ---: | ---: |"]
    for kind in PHRASINGS:
        cells, count = [], 0
        for way in ways:
            by_seed: dict[str, list[bool]] = {}
            for name, value in folds.items():
                by_seed.setdefault(name.split(",")[0], []).extend(value[way].get(kind, []))
            means = [statistics.mean(own) for own in by_seed.values() if own]
            count = max([len(own) for own in by_seed.values()] or [0])
            cells.append(f"{statistics.mean(means):.1%} ± {deviation(means):.1%}" if means else "")
        lines.append(f"| {kind} | {' | '.join(cells)} | {count} |")
    lines += [
        "",
        "| open question | first answer right | by chance | tests |",
        "| --- | ---: | ---: | ---: |",
    ]
    for kind, row in kept.get("open", {}).items():
        lines.append(
            f"| {kind} | {row['accuracy']:.1%} | {row['chance']:.1%} | {row['questions']} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Trains, tests and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--folds", type=int, default=PARTS, choices=range(PARTS + 1))
    options = parser.parse_args()
    print_machine("sora_tf", "tensorflow", "tf_keras", "numpy")
    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.json"
    kept = json.loads(results.read_text()) if results.exists() else {}
    encode = remembered(SentenceEncoder().encode)
    known = facts(options.data.resolve(), (options.out / "clips").resolve())
    print(dict(Counter((f.kind, f.clip.label) for f in known)))
    for fold in range(options.folds):
        for seed in options.seeds:
            name = f"seed {seed}, fold {fold}"
            if name not in kept:
                rows, kinds = asked(known, fold, seed)
                kept[name] = closed(rows, kinds, options.out, seed, encode)
                write_json(results, kept)
            print(f"after {name}\n{table(kept)}", flush=True)
            (options.out / "table.md").write_text(table(kept))
    if "open" not in kept:
        kept["open"] = opened(options.data, encode, 0)
        write_json(results, kept)
    (options.out / "table.md").write_text(table(kept))
    print(table(kept))


if __name__ == "__main__":
    main()
