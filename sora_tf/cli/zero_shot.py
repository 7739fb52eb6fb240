"""Verbs that name clips by any text, and find clips for a text."""

import argparse
import os
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import (
    code,
    complain,
    print_answers,
    print_json,
    reading_of,
    report,
    verbosity,
)
from sora_tf.cli.use import print_scores

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb
    from sora_tf.tasks.heard_words import HeardWords
    from sora_tf.tasks.windows import Reading


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("align", align)
    sub.add_argument("source", metavar="DIR", help="class folders, or a table; a label is a text")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument(
        "--text",
        action="append",
        default=[],
        metavar="LABEL=TEXT",
        help="what is said of a label (default: its name as words); may be repeated",
    )
    sub.add_argument("--epochs", type=int, help="default 20")
    sub.add_argument("--cache", metavar="DIR", help="decoded clips, to share between runs")
    sub.add_argument("--seed", type=int, default=0)

    sub = verb("zero-shot", zero_shot)
    _add_files(sub)
    sub.add_argument("--texts", nargs="+", metavar="TEXT", help="such as 'a bird' 'a helicopter'")
    sub.add_argument("--texts-file", metavar="FILE", help="a text a line, captions say")

    sub = verb("search", search)
    sub.add_argument("text", metavar="TEXT", help="such as 'a bird in the sky'")
    _add_files(sub)


def _add_files(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="a run of `sora-tf align` may stand first; without one, the words of ImageNet alone",
    )
    sub.add_argument(
        "--window", type=float, metavar="S", help="seconds a window (default: whole file)"
    )
    sub.add_argument("--step", type=float, metavar="S", help="seconds between windows")
    sub.add_argument(
        "--heard", action="store_true", help="by what is heard, not seen; files of sound will do"
    )


def align(args: argparse.Namespace) -> int:
    """Teaches a model the texts of clips, so that it can be asked for others."""
    from dataclasses import replace

    from sora_tf.train.align import align as learn
    from sora_tf.train.settings import usual_training

    pairs = [text.partition("=") for text in args.text]
    for label, sign, text in pairs:
        if not (label and sign and text.strip()):
            raise ValueError(f"align: --text must be LABEL=TEXT, got {label + sign + text!r}.")
    training = replace(usual_training("lite"), seed=args.seed)
    if args.epochs is not None:
        training = replace(training, epochs=args.epochs)
    run = learn(
        args.source,
        args.out,
        texts={label: text.strip() for label, _, text in pairs},
        training=training,
        cache=args.cache,
        verbose=verbosity(args),
    )
    return report(run.read_metrics(), run.path, args)


def zero_shot(args: argparse.Namespace) -> int:
    """Names files by texts that no model was trained on."""
    from sora_tf._progress import progress
    from sora_tf.models.minilm import SentenceEncoder
    from sora_tf.tasks.classify import classify_files
    from sora_tf.tasks.zero_shot import namer, several

    texts = _texts(args)
    encoder = SentenceEncoder()
    if args.heard:
        from sora_tf.tasks.heard_words import name_heard

        answers = name_heard(_heard(args, encoder), texts, several(encoder, texts), args.files)
    else:
        model, reading, args.files = _given(args, encoder)
        answers = classify_files(namer(model, encoder, texts), texts, args.files, reading)
    return print_answers(progress(answers, "files", len(args.files)), print_scores, args)


def search(args: argparse.Namespace) -> int:
    """Ranks files by how well a text suits them, with the moments that do best."""
    from sora_tf._progress import progress
    from sora_tf.models.minilm import SentenceEncoder
    from sora_tf.tasks.zero_shot import LIKENESS, search_files, text_vectors

    encoder = SentenceEncoder()
    (vector,) = text_vectors(encoder, [args.text])
    if args.heard:
        from sora_tf.tasks.heard_words import search_heard

        files = args.files
        answers = search_heard(_heard(args, encoder), vector, files)
    else:
        model, reading, files = _given(args, encoder)
        answers = search_files(model, vector, files, reading)
    found: list[dict[str, Any]] = []
    failed = 0
    for answer in progress(answers, "files", len(files)):
        if "error" in answer:
            failed += 1
            complain(answer["error"])
        else:
            found.append(answer)
    found.sort(key=lambda answer: -answer[LIKENESS])
    if args.json:
        print_json({"text": args.text, "files": found})
    else:
        for answer in found:
            best = max(answer["windows"], key=lambda window: window["scores"][LIKENESS])
            where = f" at {best['start']:.1f} s" if len(answer["windows"]) > 1 else ""
            print(f"{answer[LIKENESS]:.3f} {answer['path']}{where}")
    return code(failed, len(files))


def _texts(args: argparse.Namespace) -> list[str]:
    if bool(args.texts) == bool(args.texts_file):
        raise ValueError("zero-shot: give --texts or --texts-file, one of the two.")
    if args.texts:
        return list(args.texts)
    from sora_tf.data.sentences import read_text

    lines = read_text(args.texts_file).splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def _given(args: argparse.Namespace, encoder: Any) -> tuple[Any, "Reading", list[str]]:
    """The model, how it reads, and the files."""
    if os.path.isdir(args.files[0]):
        from sora_tf.train.align import vector_model
        from sora_tf.train.run import Run

        if len(args.files) < 2:
            raise ValueError(f"no file after the run {args.files[0]}. Name one or more.")
        run = Run(args.files[0])
        reading = reading_of(run.read_config(), args.window, args.step)
        return vector_model(run), reading, args.files[1:]
    from sora_tf.config import lite
    from sora_tf.models.aligned import build_aligned, imagenet_words
    from sora_tf.tasks.windows import Reading

    config = lite()
    reading = Reading(config.frames, config.size, "stretch", args.window, args.step)
    return build_aligned(imagenet_words(encoder)), reading, args.files


def _heard(args: argparse.Namespace, encoder: Any) -> "HeardWords":
    """What compares texts with sounds."""
    from sora_tf.models.yamnet import yamnet_names, yamnet_network
    from sora_tf.tasks.heard_words import HeardWords

    if os.path.isdir(args.files[0]):
        raise ValueError(f"--heard: {args.files[0]} is of what is seen. Leave the run out.")
    return HeardWords(yamnet_network(), yamnet_names(), encoder, args.window, args.step)
