"""Verbs that answer questions about films, and learn to."""

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import FAILED, OK, SOME_FAILED, complain, print_json, verbosity
from sora_tf.cli.settings import given_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verbs."""
    sub = verb("ask", ask)
    sub.add_argument("film", metavar="FILM")
    sub.add_argument("question", metavar="QUESTION")
    sub.add_argument("--run", metavar="RUN", help="of `sora-tf train-answers`, for what is seen")
    sub.add_argument(
        "--seen",
        metavar="RUN",
        help="of `sora-tf train` or `align`, for when something is seen and how long",
    )
    sub.add_argument(
        "--subtitles",
        metavar="FILE",
        help="of the film, or `embedded` (default: those beside it, else inside it)",
    )

    sub = verb("train-answers", train_answers)
    sub.add_argument(
        "source",
        metavar="TABLE",
        help=".csv or .parquet: path, question, answer; start, end, split, group where wanted",
    )
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument("--frames", type=int, help="frames a clip (default 16)")
    sub.add_argument("--epochs", type=int, help="default 20")
    sub.add_argument("--batch-size", type=int, help="default 32")
    sub.add_argument("--learning-rate", type=float, help="default 0.003")
    sub.add_argument("--cache", metavar="DIR", help="what is seen in clips, to share between runs")
    sub.add_argument("--seed", type=int, default=0)


def ask(args: argparse.Namespace) -> int:
    """Answers a question about a film, with the moments that support it."""
    from sora_tf.data.beside import cues_of
    from sora_tf.models.minilm import SentenceEncoder
    from sora_tf.tasks.answer import as_json, checked
    from sora_tf.tasks.answer import ask as answers_to
    from sora_tf.tasks.storyboard import clock
    from sora_tf.train.answer_run import AnswerRun
    from sora_tf.video import probe

    question = checked(args.question)
    run = AnswerRun(args.run) if args.run else None
    if run is not None:
        run.read_config()
    info = probe(args.film)
    cues = cues_of(args.film, args.subtitles)
    encode = SentenceEncoder().encode
    head = None if run is None else run.load_head(encode)
    duration = info.duration or max((cue.end for cue in cues), default=0.0)
    seen = _stretches(args.film, run) if run is not None else iter(())
    watch = _watch(args, encode) if args.seen else None
    answers = answers_to(question, seen, cues, duration, encode, head, watch)
    if args.json:
        print_json({"path": args.film, "question": question, "answers": as_json(answers)})
    else:
        for answer in answers:
            moments = ", ".join(f"{clock(m.start)} to {clock(m.end)}" for m in answer.moments)
            print(f"{answer.score:.3f}  {answer.text}  ({moments})")
    if answers:
        return OK
    complain(f"{args.film}: nothing found: {_why(args, cues, head)}")
    return FAILED


def _watch(args: argparse.Namespace, encode: Any) -> Any:
    """What looks at the film, with a run that names what it sees."""
    from sora_tf.cli.common import reading_of
    from sora_tf.tasks.segments import cutter, segment_edges
    from sora_tf.tasks.sightings import watch
    from sora_tf.train.align import is_aligned, texts_of, vector_model
    from sora_tf.train.run import Run

    run = Run(args.seen)
    texts, config = texts_of(run), run.read_config()
    reading = reading_of(config, config.clip_seconds, None)

    def look() -> Any:
        aligned = is_aligned(run)
        model = vector_model(run) if aligned else run.load_model()
        edges = segment_edges(args.film, cutter())
        watched, damage = watch(model, encode(texts), aligned, args.film, reading, edges)
        if damage:
            complain(f"{args.film}: {damage}")
        return watched

    return look


def _why(args: argparse.Namespace, cues: list[Any], head: Any) -> str:
    from sora_tf.tasks.sightings import wanted_sight

    wanted = wanted_sight(args.question)
    if wanted is not None and args.seen:
        return f"no moment looks more like {wanted.thing!r} than like what else the run knows."
    said = "nothing that is said answers it" if cues else "the film has no subtitles"
    if wanted is not None:
        return f"{said}, and no --seen was given that knows what things look like."
    if head is None:
        return f"{said}, and no --run was given that knows what is seen."
    return f"{said}, and it is like no question that the run has learnt."


def _stretches(film: str, run: Any) -> Iterator[Any]:
    """What a run's head is shown of a film, stretch by stretch."""
    from sora_tf.tasks.places import seen_stretch
    from sora_tf.tasks.windows import Reading, read_windows
    from sora_tf.train.answer_rows import answering_eyes
    from sora_tf.video import VideoError

    config = run.read_config()
    eyes = answering_eyes(config.model)
    reading = Reading(config.model.frames, config.model.size, "stretch", config.clip_seconds)
    for _, window, _ in read_windows([film], reading):
        if isinstance(window, VideoError):
            raise window
        if window.damage:
            complain(f"{film}: {window.damage}")
        yield seen_stretch(eyes, window.frames, window.mask, window.times, window.end)


def train_answers(args: argparse.Namespace) -> int:
    """Trains a head that answers questions, on a table of films, questions and answers."""
    from dataclasses import replace

    from sora_tf.models.answerer import AnswererConfig
    from sora_tf.models.minilm import SentenceEncoder
    from sora_tf.tasks.quote import remembered
    from sora_tf.train.answerer import USUAL
    from sora_tf.train.answerer import train_answers as learn

    run = learn(
        args.source,
        args.out,
        remembered(SentenceEncoder().encode),
        model=AnswererConfig(**given_of(args, "frames")),
        training=replace(
            USUAL, seed=args.seed, **given_of(args, "epochs", "batch_size", "learning_rate")
        ),
        cache=args.cache,
        verbose=verbosity(args),
    )
    metrics = run.read_metrics()
    if args.json:
        print_json(metrics)
    else:
        print(
            f"{metrics['part']}: {metrics['accuracy']:.1%} of {metrics['clips']} answers right; "
            f"{len(metrics['skipped'])} skipped"
        )
        for question, row in metrics["per_question"].items():
            print(f"  {question}: {row['accuracy']:.1%} of {row['rows']}")
        print(f"run: {run.path}")
    return SOME_FAILED if metrics["skipped"] else OK
