"""Verb that finds the topics of a collection."""

import argparse
from typing import TYPE_CHECKING

from sora_tf.cli.common import FAILED, OK, SOME_FAILED, complain, print_json

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("topics", topics)
    sub.add_argument(
        "sources", nargs="+", metavar="DIR", help="folders, films, or files of subtitles"
    )
    sub.add_argument("--out", required=True, metavar="DIR", help="folder to write")
    sub.add_argument("--topics", type=int, metavar="N", help="how many (default: found)")
    sub.add_argument("--vectors", metavar="TABLE", help="of `sora-tf embed`, for what is seen")
    sub.add_argument("--seed", type=int, default=0)


def topics(args: argparse.Namespace) -> int:
    """Finds what a collection of films is about, from what is said and seen in them."""
    from sora_tf.tasks.topic_files import (
        PAGE,
        as_values,
        list_films,
        looks_in,
        said_in,
        write_topics,
    )
    from sora_tf.tasks.topics import find_topics

    films, skipped = said_in(list_films(args.sources))
    for line in skipped:
        complain(line)
    if not films:
        complain(f"topics: nothing is said in any of {len(skipped)} files. Add subtitles.")
        return FAILED
    looks = looks_in(args.vectors, list(films)) if args.vectors else None
    found = find_topics(films, args.topics, looks, args.seed)
    write_topics(found, skipped, args.out)
    if args.json:
        print_json(as_values(found, skipped))
    else:
        for number, topic in enumerate(found.topics, 1):
            print(f"{number}  {topic.share:4.0%}  {' '.join(term for term, _ in topic.terms)}")
        print(
            f"{len(found.topics)} topics of {len(films)} films, coherence {found.coherence:.2f}, "
            f"stability {found.stability:.2f}; {len(skipped)} skipped: {args.out}/{PAGE}"
        )
    return SOME_FAILED if skipped else OK
