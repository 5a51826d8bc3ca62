"""Builds long conversations with questions from dated chat logs in BEIR format, as input for ``parley eval memory``.

    python -m benchmarks.make_conversation_data FOLDER --turns 600 > conversations.json

Each document of the corpus is one exchange: its first line is ``Time: YYYYMMDD_HH:MM``, the others are ``Name: text``.
A conversation joins exchanges in order of time. The relevance judgments of a question name whole exchanges. Its
evidence in each of them is the turn that shares most words with the answer, with rare words weighted more; if no turn
has words of the answer, the turn that shares most with the question.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.evals import beir
from knowledge.text.search_terms import document_terms

_SPOKEN = re.compile(r"([\w .\-]{2,30}): (.+)")
_TIME = re.compile(r"Time: (\d{8})_?(\d{2}:?\d{2})?")

Turn = dict[str, str]


def exchanges(folder: Path) -> dict[str, list[Turn]]:
    """Return the turns of each document, with documents in order of time."""
    read = [_exchange(row) for row in beir.rows(folder, "corpus.jsonl")]
    return {name: turns for _, name, turns in sorted(read, key=lambda one: one[:2]) if turns}


def _exchange(document: Mapping[str, Any]) -> tuple[str, str, list[Turn]]:
    lines = str(document["text"]).splitlines()
    time = _TIME.match(lines[0])
    day, hour = (time[1], (time[2] or "12:00").replace(":", "")) if time else ("19700101", "0000")
    at = datetime.strptime(day + hour, "%Y%m%d%H%M").isoformat()
    turns: list[Turn] = []
    for line in lines[1:]:
        if spoken := _SPOKEN.match(line):
            turns.append({"id": f"{document['_id']}:{len(turns)}", "author": spoken[1], "time": at, "text": spoken[2]})
        elif turns and line.strip():
            turns[-1]["text"] += "\n" + line
    return at, str(document["_id"]), turns


def conversations(folder: Path, most: int) -> Iterator[dict[str, Any]]:
    """Yield conversations of about ``most`` turns, with the questions whose evidence is in one of them."""
    turns_by_exchange = exchanges(folder)
    rarity = _rarity([turn["text"] for turns in turns_by_exchange.values() for turn in turns])
    relevance = beir.relevance(folder)
    asked = [row for row in beir.rows(folder, "queries.jsonl") if row["_id"] in relevance]
    for n, names in enumerate(_blocks(turns_by_exchange, most)):
        questions = [
            {
                "text": row["text"],
                "evidence": [_evidence(row, turns_by_exchange[name], rarity) for name in relevance[row["_id"]]],
            }
            for row in asked
            if set(relevance[row["_id"]]) <= set(names)
        ]
        if questions:
            yield {
                "id": str(n),
                "turns": [turn for name in names for turn in turns_by_exchange[name]],
                "questions": questions,
            }


def _blocks(turns_by_exchange: Mapping[str, Sequence[Turn]], most: int) -> Iterator[list[str]]:
    block: list[str] = []
    size = 0
    for name, turns in turns_by_exchange.items():
        block.append(name)
        size += len(turns)
        if size >= most:
            yield block
            block, size = [], 0
    if block:
        yield block


def _rarity(texts: Sequence[str]) -> dict[str, float]:
    counts = Counter(term for text in texts for term in set(document_terms(text)))
    return {term: math.log(1 + len(texts) / count) for term, count in counts.items()}


def _evidence(question: Mapping[str, Any], turns: Sequence[Turn], rarity: Mapping[str, float]) -> str:
    for wanted in (str(question.get("answer", "")), str(question["text"])):
        terms = set(document_terms(wanted))
        shared = [
            sum(rarity.get(term, 0.0) for term in terms & set(document_terms(f"{turn['author']} {turn['text']}")))
            for turn in turns
        ]
        if max(shared) > 0:
            break
    return turns[shared.index(max(shared))]["id"]


def main() -> None:
    """Print the conversations as one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--turns", type=int, default=600)
    given = parser.parse_args()
    print(json.dumps({"conversations": list(conversations(given.folder, given.turns))}))


if __name__ == "__main__":
    main()
