"""Verbs about what is said: learning what is felt in it, and telling it."""

import argparse
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import OK, code, complain, print_json, verbosity
from sora_tf.cli.settings import given_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb

ENDINGS = (".json", ".csv")


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("train-text", train_text)
    sub.add_argument("table", metavar="TABLE", help=".csv or .parquet of utterances")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument(
        "--columns",
        metavar="NAME=COLUMN,…",
        help="columns that have other names than text, label, dialogue, order, speaker, split",
    )
    sub.add_argument(
        "--name", help="of what is told, such as emotion (default: the labels' column)"
    )
    sub.add_argument(
        "--alone", action="store_true", help="hear each utterance without those around it"
    )
    sub.add_argument("--epochs", type=int, help="default 8")
    sub.add_argument("--batch-size", type=int, help="dialogues in a step (default 16)")
    sub.add_argument("--learning-rate", type=float, help="default 0.001")
    sub.add_argument("--cache", metavar="NPZ", help="sentence vectors, to share between runs")
    sub.add_argument("--seed", type=int, default=0)

    sub = verb("sentiment", sentiment)
    sub.add_argument(
        "files", nargs="+", metavar="FILE", help="a film with subtitles, .srt, .vtt, .ass or .txt"
    )
    sub.add_argument(
        "--run",
        action="append",
        required=True,
        metavar="RUN",
        help="of `sora-tf train-text`; may be given twice, for sentiment and emotion",
    )
    sub.add_argument("-o", "--out", metavar="FILE", help=".json, or .csv: a row a sentence")
    sub.add_argument("--every", type=float, metavar="S", help="of a window (default 60)")


def train_text(args: argparse.Namespace) -> int:
    """Trains a model that tells what is felt in each utterance of dialogues."""
    from dataclasses import replace

    from sora_tf.models.dialogue import DialogueConfig
    from sora_tf.train.sentiment import train_sentiment, usual_sentiment_training

    given = given_of(args, "epochs", "batch_size", "learning_rate")
    model = DialogueConfig()
    run = train_sentiment(
        args.table,
        args.out,
        columns=_columns(args.columns),
        name=args.name,
        model=replace(model, relation=None) if args.alone else model,
        training=replace(usual_sentiment_training(), seed=args.seed, **given),
        cache=args.cache,
        verbose=verbosity(args),
    )
    metrics = run.read_metrics()
    if args.json:
        print_json(metrics)
        return OK
    print(
        f"{metrics['part']}: weighted F1 {metrics['weighted_f1']:.3f}, macro F1 "
        f"{metrics['macro_f1']:.3f}, {metrics['accuracy']:.1%} of {metrics['utterances']} "
        "utterances right"
    )
    for label, row in metrics["per_class"].items():
        print(
            f"  {label}: precision {row['precision']:.3f}, recall {row['recall']:.3f}, "
            f"F1 {row['f1']:.3f} ({row['utterances']} utterances)"
        )
    print(f"run: {run.path} (metrics.json, predictions.csv, curves.png, confusion.png)")
    return OK


def sentiment(args: argparse.Namespace) -> int:
    """Tells what is felt in every sentence of films or texts, and over the time of the whole."""
    import os

    from sora_tf import _checks
    from sora_tf._files import write_json
    from sora_tf._progress import progress
    from sora_tf.tasks.sentiment_files import EVERY_S, sentiment_files
    from sora_tf.train.run import write_csv
    from sora_tf.train.sentiment_run import SentimentRun

    if args.out:
        ending = os.path.splitext(args.out)[1].lower()
        _checks.one_of("sentiment", "the ending of --out", ending, ENDINGS)
    tellers = [SentimentRun(path).sentiment() for path in args.run]
    every = EVERY_S if args.every is None else args.every
    answers = []
    for answer in progress(sentiment_files(tellers, args.files, every), "files", len(args.files)):
        answers.append(answer)
        if "error" in answer:
            complain(answer["error"])
        elif not args.json and not args.out:
            _print(answer)
    failed = sum("error" in answer for answer in answers)
    if args.out and failed < len(answers):
        if ending == ".json":
            write_json(args.out, answers)
        else:
            rows = [row for answer in answers for row in _rows(answer)]
            write_csv(args.out, list(rows[0]), rows)
    if args.json:
        print_json(answers)
    elif args.out:
        print(f"{args.out}: {len(answers) - failed} files, {failed} failed")
    return code(failed, len(answers))


def _columns(text: str | None) -> dict[str, str]:
    pairs = [pair.split("=", 1) for pair in (text or "").split(",") if pair]
    wrong = [pair for pair in pairs if len(pair) < 2 or not all(pair)]
    if wrong:
        raise ValueError(
            f"train-text: --columns must be NAME=COLUMN,…, got {'='.join(wrong[0])!r}. "
            "Use text=Utterance,label=Emotion, say."
        )
    return {name.strip(): column.strip() for name, column in pairs}


def _rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a sentence, its scores in columns of their own."""
    found = []
    for one in answer.get("sentences", []):
        row = {"path": answer["path"], **{key: one[key] for key in ("start", "end", "text")}}
        for name, felt in one.items():
            if isinstance(felt, dict):
                row[name] = felt["label"]
                row.update({f"{name}({key})": f"{p:.6f}" for key, p in felt["scores"].items()})
        found.append(row)
    return found


def _print(answer: dict[str, Any]) -> None:
    whole = "; ".join(
        f"{name} " + ", ".join(f"{label} {p:.2f}" for label, p in _ranked(scores))
        for name, scores in answer["whole"].items()
    )
    print(f"{answer['path']}: {len(answer['sentences'])} sentences; {whole}")
    for one in answer["sentences"]:
        felt = ", ".join(
            f"{value['label']} {value['scores'][value['label']]:.2f}"
            for value in one.values()
            if isinstance(value, dict)
        )
        time = "" if one["start"] is None else f"{one['start']:8.1f} s  "
        print(f"  {time}{felt}: {one['text']}")


def _ranked(scores: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(scores.items(), key=lambda item: -item[1])[:3]
