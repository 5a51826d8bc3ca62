"""Builds months of small talk between two people with questions about it, as input for ``parley eval memory``.

    python -m benchmarks.make_smalltalk_memory_data FOLDER > smalltalk.json

``smalltalk.txt`` contains the facts that the two tell each other, and questions that avoid their words; some questions
need several messages of different months. Exchanges from the dated chat logs in FOLDER (BEIR format, as
``benchmarks.make_conversation_data`` reads them) are inserted between them under the same two names. A session of some
twenty messages has one time and several subjects. Three conversations have two inserted exchanges a session, the fourth
has four. Deterministic.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.make_conversation_data import exchanges

SCRIPT_FILE = Path(__file__).with_name("smalltalk.txt")
NAMES = {"M": "Maya", "T": "Tomas"}
SESSIONS = 26
START = datetime(2023, 1, 22, 13, 56)
EXCHANGES_PER_SESSION = (2, 2, 2, 4)
"""Exchanges of the chat logs in each session, by conversation."""


@dataclass(frozen=True, slots=True)
class Line:
    """A message. ``id`` is its ID in the text file, empty for a message of the chat logs."""

    id: str
    who: str
    text: str


def read_script() -> tuple[list[list[Line]], list[tuple[str, list[str]]]]:
    """Return the messages with facts, in order and in groups, and the questions with the IDs of their evidence."""
    spoken, asked = SCRIPT_FILE.read_text(encoding="utf-8").split("\n\n")
    lines = [Line(*row.split("|", 2)) for row in spoken.splitlines() if not row.startswith("#")]
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(line.id[0], []).append(line)
    questions = [row.split("|") for row in asked.splitlines() if not row.startswith("#")]
    return list(groups.values()), [(text, ids.split(",")) for text, ids in questions]


def fillers(folder: Path) -> list[list[Line]]:
    """Return exchanges of the chat logs with four to fourteen messages."""
    found = exchanges(folder).values()
    return [
        [Line("", "MT"[place % 2], turn["text"]) for place, turn in enumerate(turns)]
        for turns in found
        if 4 <= len(turns) <= 14
    ]


def sessions(filling: Sequence[list[Line]], per_session: int, rng: random.Random) -> Iterator[list[Line]]:
    """Yield the messages of each session: an exchange first, and the facts somewhere after it."""
    groups, _ = read_script()
    drawn = iter(rng.sample(list(filling), SESSIONS * per_session))
    for number in range(SESSIONS):
        first, *others = [next(drawn) for _ in range(per_session)]
        own = [one for place, one in enumerate(groups) if place * SESSIONS // len(groups) == number]
        rest = [*others, *own]
        rng.shuffle(rest)
        yield [line for block in (first, *rest) for line in block]


def conversation(number: int, filling: Sequence[list[Line]]) -> dict[str, Any]:
    """Return one conversation with all questions."""
    rng, day = random.Random(number), START
    turns, places = [], {}
    for session, lines in enumerate(sessions(filling, EXCHANGES_PER_SESSION[number], rng), 1):
        day += timedelta(days=rng.randint(6, 16), minutes=rng.randint(-180, 180))
        at = f"{day.hour % 12 or 12}:{day:%M} {'pm' if day.hour >= 12 else 'am'} on {day.day} {day:%B}, {day.year}"
        for place, line in enumerate(lines, 1):
            turns.append({"id": f"D{session}:{place}", "author": NAMES[line.who], "time": at, "text": line.text})
            places[line.id] = f"D{session}:{place}"
    asked = [{"text": text, "evidence": [places[one] for one in ids]} for text, ids in read_script()[1]]
    return {"id": str(number), "turns": turns, "questions": asked}


def main() -> None:
    """Print the conversations as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    filling = fillers(parser.parse_args().folder)
    print(
        json.dumps({"conversations": [conversation(number, filling) for number in range(len(EXCHANGES_PER_SESSION))]})
    )


if __name__ == "__main__":
    main()
