"""How much of what a question about an old conversation needs stands in the prompt, at a budget of tokens.

A JSON file: ``{"conversations": [{"id", "turns": [{"id", "author", "time", "text"}], "questions": [{"text", "evidence":
[turn ids]}]}]}``. Every question is asked after the last turn. What the product's own selection shows is compared with
the evidence, and with showing the last turns alone.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from bot.engine.memory import VERBATIM_MESSAGES, Remembered, compose, transcript
from bot.errors import UsageError
from bot.evals import jsonl
from bot.types.conversation import History, PastMessage
from knowledge.date_expressions import spans
from knowledge.message_relevance import ConversationMessage, relevance
from knowledge.ports import Embedder

log = logging.getLogger(__name__)

BATCH = 256
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})\s*([ap]m)?", re.IGNORECASE)
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """``said`` are the turns in order; each question has the places of its evidence among them."""

    said: tuple[ConversationMessage, ...]
    questions: tuple[tuple[str, frozenset[int]], ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """One question's outcome: how many of its evidence turns were shown, and what that took."""

    evidence: int
    found: int
    recent: int
    tokens: int


async def evaluate(
    conversations: Sequence[Conversation], embedder: Embedder, *, budget: int, count: Count
) -> dict[str, Any]:
    """Raises EmbeddingError."""
    shown: list[Shown] = []
    for conversation in conversations:
        shown += await _ask(conversation, embedder, budget, count)
    evidence = sum(one.evidence for one in shown)
    return {
        "questions": len(shown),
        "evidence_recall": round(sum(one.found for one in shown) / evidence, 4),
        "all_evidence": round(fmean(one.found == one.evidence for one in shown), 4),
        "tokens_mean": round(fmean(one.tokens for one in shown), 1),
        "baselines": {"recent": round(sum(one.recent for one in shown) / evidence, 4)},
    }


async def _ask(conversation: Conversation, embedder: Embedder, budget: int, count: Count) -> list[Shown]:
    said = conversation.said
    messages = [
        PastMessage(n, "user", one.author, one.text, count(one.text), one.at or _UNDATED) for n, one in enumerate(said)
    ]
    vectors = await _encoded([one.line for one in said], embedder, "passage")
    asked = await _encoded([text for text, _ in conversation.questions], embedder, "query")
    today = next((one.at for one in reversed(said) if one.at), _UNDATED).date()
    recent = _recent(messages, budget, count)
    older, last = messages[:-VERBATIM_MESSAGES], messages[-VERBATIM_MESSAGES:]
    shown = []
    for (text, evidence), vector in zip(conversation.questions, asked, strict=True):
        scores = relevance(text, said, vectors=vectors, question_vector=vector, today=today)
        remembered = [Remembered(message, float(scores[message.seq])) for message in older]
        past = compose(History("", 0, tuple(last)), remembered, budget, count)
        places = {message.seq for message in (*past.messages, *past.recalled)}
        tokens = past.tokens(count) + count(transcript(past.recalled))
        shown.append(Shown(len(evidence), len(evidence & places), len(evidence & recent), tokens))
    return shown


def _recent(messages: Sequence[PastMessage], budget: int, count: Count) -> set[int]:
    """The last turns that the budget holds."""
    places: set[int] = set()
    for message in reversed(messages):
        budget -= count(transcript([message]))
        if budget < 0:
            break
        places.add(message.seq)
    return places


async def _encoded(texts: Sequence[str], embedder: Embedder, kind: Any) -> Any:
    import numpy as np

    rows = [
        (await embedder.encode(texts[start : start + BATCH], kind)).vectors for start in range(0, len(texts), BATCH)
    ]
    return np.concatenate(rows)


def read(path: Path) -> list[Conversation]:
    """The conversations with a question. Raises UsageError where the file is something else, and says where."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read as text; give a JSON file of conversations.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is no JSON ({error}); give a JSON file of conversations.") from None
    rows = _listed(document, "conversations", str(path))
    conversations = [_conversation(row, f"{path}, conversation {n}") for n, row in enumerate(rows, 1)]
    conversations = [one for one in conversations if one.questions]
    if not conversations:
        raise UsageError(f"{path} has no question whose evidence is among the turns.")
    return conversations


def _listed(value: object, name: str, where: str) -> list[Any]:
    """The list ``name`` of an object. Raises UsageError."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise UsageError(f"{where}: {name} must be a list.")
    return found


def _conversation(row: Any, where: str) -> Conversation:
    turns = _listed(row, "turns", where)
    said = tuple(_said(turn, f"{where}, turn {n}") for n, turn in enumerate(turns, 1))
    places = {str(turn.get("id")): n for n, turn in enumerate(turns)}
    questions = []
    for number, question in enumerate(_listed(row, "questions", where), 1):
        at = f"{where}, question {number}"
        named = [str(turn) for turn in _listed(question, "evidence", at)]
        evidence = frozenset(places[turn] for turn in named if turn in places)
        if len(evidence) < len(set(named)):
            log.warning("%s: evidence that is no turn of it is left out: %s", at, named)
        if evidence:
            questions.append((jsonl.words(question, "text", at), evidence))
    return Conversation(said, tuple(questions))


def _said(turn: Any, where: str) -> ConversationMessage:
    if not isinstance(turn, dict) or "id" not in turn:
        raise UsageError(f"{where}: must be an object with id, author, time and text.")
    return ConversationMessage(
        jsonl.words(turn, "author", where), jsonl.words(turn, "text", where), when(turn.get("time"))
    )


def when(value: object) -> datetime | None:
    """A time as data sets write it: ISO 8601, seconds since 1970, or words such as ``1:56 pm on 8 May, 2023``."""
    text = str(value or "").strip()
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        stated = datetime.fromisoformat(text)
        return stated if stated.tzinfo else stated.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    named = spans(text, datetime.max.date())
    days = [span.first for span in named if span.first == span.last] or [span.first for span in named]
    if not days:
        return None
    clock = _CLOCK.search(text)
    hour = int(clock[1]) % 24 if clock else 0
    if clock and clock[3]:
        hour = hour % 12 + 12 * (clock[3].lower() == "pm")
    minute = int(clock[2]) % 60 if clock else 0
    return datetime(days[0].year, days[0].month, days[0].day, hour, minute, tzinfo=UTC)


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """A measurement as a table for a person."""
    return ("shown", "evidence", "all of it", "tokens"), [
        ("selected", document["evidence_recall"], document["all_evidence"], document["tokens_mean"]),
        ("last turns", document["baselines"]["recent"], "", ""),
    ]
