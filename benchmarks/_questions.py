"""Questions about real clips, with answers from the files that come with them.

Answers come from boxes, folders' names and subtitles. Clips that share footage follow on each
other in number, so a class is dealt into parts of neighbours. Some phrasings are kept for the test.
"""

import csv
import json
import os
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from _folds import PARTS

from sora_tf.data import Clip
from sora_tf.data.box_questions import (
    ends_at,
    goes_across,
    goes_down,
    grows,
    moves_more,
)
from sora_tf.train.answer_table import Asked
from sora_tf.video.subtitles import Cue

FPS, SIZE = 30.0, (640, 512)
FLY_FPS, FLY_S = 25, 1.0
CLIP_S = 10.0  # of a track of subtitles over a clip
NONE = float("nan")

# Question → phrasings to learn from, and phrasings that the test alone has.
PHRASINGS = {
    "what flies": (
        ("What is flying?", "What do you see in the sky?", "Which kind of flying thing is it?"),
        ("What flies here?", "What is that thing in the air?"),
    ),
    "left or right": (
        (
            "Is it moving left or right?",
            "Does it go to the left or to the right?",
            "Which way does it move, left or right?",
        ),
        ("Is it flying to the right or to the left?", "Left or right: where does it go?"),
    ),
    "up or down": (
        ("Is it moving up or down?", "Does it rise or sink?", "Which way does it go, up or down?"),
        ("Is it going up or down?", "Up or down: where does it fly?"),
    ),
    "bigger or smaller": (
        (
            "Is it getting bigger or smaller?",
            "Does it grow or shrink?",
            "Does its size become bigger or smaller?",
        ),
        ("Does it get larger or smaller?", "Bigger or smaller: how does its size change?"),
    ),
    "where at the end": (
        (
            "Where is it at the end: left, middle or right?",
            "In which part of the picture is it at the end?",
            "Where does it end up in the picture?",
        ),
        ("Which part of the picture is it in when the clip ends?", "Where is it in the end?"),
    ),
    "fight": (
        ("Is there a fight?", "Are people fighting?", "Does somebody hit somebody?"),
        ("Do people fight?", "Is anyone in a fight?"),
    ),
    "which fly moves more": (
        (
            "Which fly is moving more, the left or the right one?",
            "Which of the two flies goes farther?",
            "Which fly walks more?",
        ),
        ("Which of the flies moves the most?", "Which fly goes the longer way?"),
    ),
    "mood of the talk": (
        (
            "Is what is said in a good or a bad mood?",
            "Do the people who talk sound happy or unhappy?",
            "Is the talk positive or negative?",
        ),
        ("What mood are the speakers in, good or bad?", "Does the conversation sound positive?"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Fact:
    """What is known of a clip: the answer to a question, and the part that the clip is dealt to."""

    kind: str
    clip: Clip
    part: int


def facts(data: Path, folder: Path) -> list[Fact]:
    """All that is known of the clips in `data`; links to them and subtitles go to `folder`."""
    return [*_flying(data / "drone", data / "meld", folder), *_fights(data), *_flies(data)]


def asked(known: list[Fact], fold: int, seed: int) -> tuple[list[Asked], dict[str, str]]:
    """The rows of a fold, and the kind of each question.

    Part `fold` is tested, with as many clips of each answer to a kind of question; the next part
    chooses the epoch, the others train.
    """
    rng = np.random.default_rng((seed, fold))
    names = {fold: "test", (fold + 1) % PARTS: "val"}
    rows, kinds = [], {}
    of_test: dict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in known:
        part = names.get(fact.part, "train")
        if part == "test":
            of_test[fact.kind, fact.clip.label].append(fact)
            continue
        rows.append(_row(fact, part, str(rng.choice(PHRASINGS[fact.kind][0]))))
    for kind in PHRASINGS:
        pools = [pool for (own, _), pool in of_test.items() if own == kind]
        least = min(map(len, pools), default=0) if len(pools) > 1 else 0
        for pool in pools:
            for number in rng.permutation(len(pool))[:least]:
                phrasing = str(rng.choice(PHRASINGS[kind][1]))
                rows.append(_row(pool[number], "test", phrasing))
    for kind, both in PHRASINGS.items():
        kinds |= {phrasing: kind for phrasings in both for phrasing in phrasings}
    return rows, kinds


def _row(fact: Fact, part: str, question: str) -> Asked:
    # The folds are dealt here: windows of one film, far apart in time, may stand on two sides.
    return Asked(question, replace(fact.clip, split=part, group=f"{fact.clip.path} {fact.part}"))


def _part_of(number: int, count: int) -> int:
    return number * PARTS // count


def _flying(drone: Path, meld: Path, folder: Path) -> list[Fact]:
    boxes = json.loads((drone / "boxes.json").read_text())
    classes: dict[str, list[str]] = defaultdict(list)
    for name in sorted(boxes):
        classes[name.split("_")[1].lower()].append(name)
    tracks = iter(dialogues(meld / "train_sent_emo.csv"))
    found = []
    folder.mkdir(parents=True, exist_ok=True)
    for label, names in classes.items():
        for number, name in enumerate(names):
            path = folder / f"{name}.mp4"
            if not path.is_symlink():
                os.symlink((drone / label / f"{name}.mp4").resolve(), path)
            mood = _laid_over(path, *next(tracks))
            rows = np.array([box or [NONE] * 4 for box in boxes[name]], float)
            part = _part_of(number, len(names))
            whole, half = len(rows) / FPS, len(rows) // 2
            if mood:
                found.append(Fact("mood of the talk", Clip(str(path), mood), part))
            for start, end, own in (
                (None, None, rows),
                (0.0, whole / 2, rows[:half]),
                (whole / 2, whole, rows[half:]),
            ):
                answers = {
                    "what flies": label,
                    "left or right": goes_across(own, SIZE),
                    "up or down": goes_down(own, SIZE),
                    "bigger or smaller": grows(own),
                    "where at the end": ends_at(own, SIZE[0]),
                }
                found += [
                    Fact(kind, Clip(str(path), answer, start, end), part)
                    for kind, answer in answers.items()
                    if answer is not None
                ]
    return found


def _fights(data: Path) -> list[Fact]:
    found = []
    for folder, answer in (("fight", "yes"), ("noFight", "no")):
        paths = sorted((data / "fight" / folder).glob("*.mp4"))
        found += [
            Fact("fight", Clip(str(path), answer), _part_of(number, len(paths)))
            for number, path in enumerate(paths)
        ]
    return found


def _flies(data: Path) -> list[Fact]:
    """Which of two flies goes farther in each second; a part is a stretch of the film."""
    rows = np.loadtxt(data / "sleap" / "gt.txt", delimiter=",")
    path, found = str(data / "sleap" / "clip.mp4"), []
    count = int(rows[:, 0].max() / FLY_FPS / FLY_S)
    for number in range(count):
        start = number * FLY_S
        frames = (rows[:, 0] > start * FLY_FPS) & (rows[:, 0] <= (start + FLY_S) * FLY_FPS)
        both = [rows[frames & (rows[:, 1] == fly)][:, 2:6] for fly in (1, 2)]
        if min(map(len, both)) and (answer := moves_more(*both)):
            clip = Clip(path, answer, start, start + FLY_S)
            found.append(Fact("which fly moves more", clip, _part_of(number, count)))
    return found


def dialogues(table: Path) -> list[tuple[list[Cue], list[str]]]:
    """Lines of each dialogue with the times they are said at, from its first; and their moods."""
    found: dict[str, list[tuple[Cue, str]]] = defaultdict(list)
    with open(table, newline="", encoding="utf-8", errors="replace") as file:
        for row in csv.DictReader(file):
            start, end = _seconds(row["StartTime"]), _seconds(row["EndTime"])
            text = " ".join(row["Utterance"].replace("\x92", "’").split())
            if end > start and text:
                found[row["Dialogue_ID"]].append((Cue(start, end, text), row["Sentiment"]))
    made = []
    for lines in found.values():
        lines.sort(key=lambda line: line[0].start)
        begin = lines[0][0].start
        cues = [Cue(cue.start - begin, cue.end - begin, cue.text) for cue, _ in lines]
        if len(cues) > 1 and cues[1].start < CLIP_S / 2:
            made.append((cues, [mood for _, mood in lines]))
    return made


def _laid_over(path: Path, cues: list[Cue], moods: list[str]) -> str | None:
    """Writes the start of a dialogue as a clip's subtitles; "good" or "bad", as most lines are."""
    said = [(cue, mood) for cue, mood in zip(cues, moods, strict=True) if cue.start < CLIP_S - 1]
    lines = [
        f"{n}\n{_stamp(cue.start)} --> {_stamp(min(cue.end, CLIP_S))}\n{cue.text}\n"
        for n, (cue, _) in enumerate(said, 1)
    ]
    path.with_suffix(".srt").write_text("\n".join(lines), encoding="utf-8")
    counts = Counter(mood for _, mood in said)
    good, bad = counts["positive"], counts["negative"]
    return None if good == bad else ("good" if good > bad else "bad")


def _seconds(text: str) -> float:
    hours, minutes, seconds = text.strip().replace(",", ".").split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)


def _stamp(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"00:{int(minutes):02d}:{rest:06.3f}".replace(".", ",")
