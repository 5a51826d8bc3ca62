"""Evaluates memory: how much of the evidence for a question about a long conversation fits into the prompt.

The data is a JSON file: ``{"conversations": [{"id", "turns": [{"id", "author", "time", "text"}], "questions": [{"text",
"evidence": [turn ids]}]}]}``. Every question is asked after the last turn. The baseline shows only the last turns.
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
from knowledge.ports import Embedder
from knowledge.search.message_relevance import ConversationMessage, relevance
from knowledge.text.date_expressions import spans

log = logging.getLogger(__name__)

BATCH = 256
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})\s*([ap]m)?", re.IGNORECASE)
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)

Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order, and questions with the indexes of their evidence turns."""

    turns: tuple[ConversationMessage, ...]
    questions: tuple[tuple[str, frozenset[int]], ...]


@dataclass(frozen=True, slots=True)
class QuestionResult:
    """How many evidence turns of one question were selected, and how many tokens the selection has."""

    evidence: int
    selected: int
    recent: int
    tokens: int


async def evaluate(
    conversations: Sequence[Conversation], embedder: Embedder, *, budget: int, count: Count
) -> dict[str, Any]:
    """Return the share of evidence that is selected within ``budget`` tokens. Raises EmbeddingError."""
    results: list[QuestionResult] = []
    for conversation in conversations:
        results += await _ask(conversation, embedder, budget, count)
    evidence = sum(result.evidence for result in results)
    return {
        "questions": len(results),
        "evidence_recall": round(sum(result.selected for result in results) / evidence, 4),
        "all_evidence": round(fmean(result.selected == result.evidence for result in results), 4),
        "tokens_mean": round(fmean(result.tokens for result in results), 1),
        "baselines": {"recent": round(sum(result.recent for result in results) / evidence, 4)},
    }


async def _ask(conversation: Conversation, embedder: Embedder, budget: int, count: Count) -> list[QuestionResult]:
    turns = conversation.turns
    messages = [
        PastMessage(n, "user", turn.author, turn.text, count(turn.text), turn.at or _UNDATED)
        for n, turn in enumerate(turns)
    ]
    vectors = await _encoded([turn.line for turn in turns], embedder, "passage")
    questions = await _encoded([text for text, _ in conversation.questions], embedder, "query")
    today = next((turn.at for turn in reversed(turns) if turn.at), _UNDATED).date()
    recent = _recent(messages, budget, count)
    older, last = messages[:-VERBATIM_MESSAGES], messages[-VERBATIM_MESSAGES:]
    results = []
    for (text, evidence), vector in zip(conversation.questions, questions, strict=True):
        scores = relevance(text, turns, vectors=vectors, question_vector=vector, today=today)
        remembered = [Remembered(message, float(scores[message.seq])) for message in older]
        past = compose(History("", 0, tuple(last)), remembered, budget, count)
        places = {message.seq for message in (*past.messages, *past.recalled)}
        tokens = past.tokens(count) + count(transcript(past.recalled))
        results.append(QuestionResult(len(evidence), len(evidence & places), len(evidence & recent), tokens))
    return results


def _recent(messages: Sequence[PastMessage], budget: int, count: Count) -> set[int]:
    """Return the indexes of the last turns that fit into the budget."""
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
    """Return the conversations that have questions. Raises UsageError with the place of the invalid value."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{path} cannot be read as text. Name a JSON file of conversations.") from None
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON ({error}). Name a JSON file of conversations.") from None
    rows = _listed(document, "conversations", str(path))
    conversations = [_conversation(row, f"{path}, conversation {n}") for n, row in enumerate(rows, 1)]
    conversations = [conversation for conversation in conversations if conversation.questions]
    if not conversations:
        raise UsageError(f"{path} has no question whose evidence is among the turns.")
    return conversations


def _listed(value: object, name: str, where: str) -> list[Any]:
    """Return a list field. Raises UsageError."""
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise UsageError(f"{where}: {name} must be a list.")
    return found


def _conversation(row: Any, where: str) -> Conversation:
    turns = _listed(row, "turns", where)
    parsed = tuple(_turn(turn, f"{where}, turn {n}") for n, turn in enumerate(turns, 1))
    places = {str(turn.get("id")): n for n, turn in enumerate(turns)}
    questions = []
    for number, question in enumerate(_listed(row, "questions", where), 1):
        place = f"{where}, question {number}"
        ids = [str(turn) for turn in _listed(question, "evidence", place)]
        evidence = frozenset(places[turn] for turn in ids if turn in places)
        if len(evidence) < len(set(ids)):
            log.warning("%s: ignored evidence that is not a turn of the conversation: %s", place, ids)
        if evidence:
            questions.append((jsonl.text(question, "text", place), evidence))
    return Conversation(parsed, tuple(questions))


def _turn(turn: Any, where: str) -> ConversationMessage:
    if not isinstance(turn, dict) or "id" not in turn:
        raise UsageError(f"{where}: must be an object with id, author, time and text.")
    return ConversationMessage(
        jsonl.text(turn, "author", where), jsonl.text(turn, "text", where), parse_time(turn.get("time"))
    )


def parse_time(value: object) -> datetime | None:
    """Parse ISO 8601, seconds since 1970, or words such as ``1:56 pm on 8 May, 2023``; None if there is no time."""
    text = str(value or "").strip()
    try:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value, UTC)
        stated = datetime.fromisoformat(text)
        return stated if stated.tzinfo else stated.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError):
        pass
    mentioned = spans(text, datetime.max.date())
    days = [span.first for span in mentioned if span.first == span.last] or [span.first for span in mentioned]
    if not days:
        return None
    clock = _CLOCK.search(text)
    hour = int(clock[1]) % 24 if clock else 0
    if clock and clock[3]:
        hour = hour % 12 + 12 * (clock[3].lower() == "pm")
    minute = int(clock[2]) % 60 if clock else 0
    return datetime(days[0].year, days[0].month, days[0].day, hour, minute, tzinfo=UTC)


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the result as a table."""
    return ("selection", "evidence recall", "all evidence", "tokens"), [
        ("selected", document["evidence_recall"], document["all_evidence"], document["tokens_mean"]),
        ("last turns", document["baselines"]["recent"], "", ""),
    ]
