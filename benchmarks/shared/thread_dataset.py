"""Loads the threads of a data set for replay: questions with their passages, and the times at which they are asked."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rank_bm25 import BM25Okapi

from bot.evals import beir
from knowledge.types.search_results import Passage

PASSAGES = 5
DAY = 8 * 3600.0
SLOW_SHARE = 0.25
"""The share of threads with slow users."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One turn of a thread. ``at`` is in seconds from the start."""

    thread: int
    turn: int
    question: str
    passages: tuple[Passage, ...]
    at: float


def read(folder: Path, *, threads: int, seed: int = 1) -> list[Asked]:
    """Return the first ``threads`` follow-ups of ``queries.jsonl``, each with its earlier turns as a thread of its own.

    A turn's passages are those that ``qrels.tsv`` names, filled up to five with results of BM25. The data set has no
    times, so they are generated: threads start throughout two days of eight hours. Three in four are quick (a question
    a minute, one in seven later than five minutes), one in four is slow (one in a quarter of an hour).
    """
    queries = beir.rows(folder, "queries.jsonl")[:threads]
    rng, passages_of = random.Random(seed), _Passages(folder)
    turns: list[Asked] = []
    for number, query in enumerate(queries):
        conversation, at = str(query["_id"]).partition("<::>")[0], rng.random() * 2 * DAY
        median, spread = (900.0, 0.8) if rng.random() < SLOW_SHARE else (60.0, 1.5)
        for turn, question in enumerate(query["user_turns"], 1):
            found = passages_of(f"{conversation}<::>{turn}", question)
            turns.append(Asked(number, turn, str(question), found, at))
            at += math.exp(rng.gauss(math.log(median), spread))
    return sorted(turns, key=lambda asked: asked.at)


class _Passages:
    """Finds the passages of a turn, relevant ones first."""

    def __init__(self, folder: Path) -> None:
        self._corpus = beir.rows(folder, "corpus.jsonl")
        self._row = {str(document["_id"]): at for at, document in enumerate(self._corpus)}
        self._bm25 = BM25Okapi([_words(str(document["text"])) for document in self._corpus])
        self._relevant = beir.relevance(folder)
        self._cache: dict[str, tuple[Passage, ...]] = {}

    def __call__(self, turn: str, question: str) -> tuple[Passage, ...]:
        if turn not in self._cache:
            rows = dict.fromkeys(self._row[name] for name in self._relevant.get(turn, {}) if name in self._row)
            scores = self._bm25.get_scores(_words(question))
            rows |= dict.fromkeys(int(at) for at in scores.argsort()[::-1][:PASSAGES])
            self._cache[turn] = tuple(_passage(self._corpus[at], at) for at in list(rows)[:PASSAGES])
        return self._cache[turn]


def _passage(document: Mapping[str, Any], at: int) -> Passage:
    text = str(document["text"])
    title = str(document["title"])
    return Passage(at, str(document["_id"]), text, title, title, (), 0, len(text), None, 1.0)


def _words(text: str) -> list[str]:
    return [word.strip(".,?!").lower() for word in text.split()]
