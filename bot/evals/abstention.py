"""Evaluates abstention: how many answerable and unanswerable questions are declined for low confidence.

The data is JSONL with ``question``, ``passages`` (texts, or objects with ``text``) and ``answerable``. A question that
follows earlier messages also has ``history`` (texts of the asker, or objects with ``text`` and ``speaker`` or
``role``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.errors import UsageError
from bot.evals import jsonl
from knowledge.embedders.token_vectors import TokenEmbedder, TokenVectors
from knowledge.ports import Embedder, EncodeKind
from knowledge.search.evidence_confidence import Evidence, Weights, matches
from knowledge.search.followup_queries import with_carried_words

BATCH = 64


@dataclass(frozen=True, slots=True)
class Case:
    """A question with the words that it leans on, the passages found for it, and whether they hold the answer."""

    question: str
    passages: tuple[str, ...]
    answerable: bool


def read(path: Path) -> list[Case]:
    """Return the cases of a file. Raises UsageError with the number of the invalid line."""
    cases = jsonl.read(path, _case, of="questions")
    if not any(case.answerable for case in cases) or all(case.answerable for case in cases):
        raise UsageError(f"{path} needs both answerable and unanswerable questions.")
    return cases


def _case(row: Mapping[str, Any], where: str) -> Case:
    question, answerable = jsonl.text(row, "question", where), jsonl.boolean(row, "answerable", where)
    passages = _texts(row.get("passages"), f"{where}: passages")
    earlier = _earlier_questions(row.get("history") or [], f"{where}: history")
    return Case(with_carried_words(question, earlier), passages, answerable)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list.")
    texts = [item.get("text") if isinstance(item, dict) else item for item in value]
    valid = tuple(text for text in texts if isinstance(text, str))
    if len(valid) < len(texts):
        raise UsageError(f"{where} must be texts, or objects with text.")
    return tuple(text for text in valid if text.strip())


def _earlier_questions(value: object, where: str) -> list[str]:
    """Return the texts of the asker in a history, oldest first. Raises UsageError."""
    _texts(value, where)
    messages = value if isinstance(value, list) else []
    asked = [one["text"] if isinstance(one, dict) else one for one in messages if _is_askers(one)]
    return [text for text in asked if text.strip()]


def _is_askers(message: object) -> bool:
    """Return whether a message of a history is the asker's: a bare text, or one whose role or speaker is the user."""
    return not isinstance(message, dict) or (message.get("role") or message.get("speaker") or "user") == "user"


def evaluate(cases: Sequence[Case], evidence: Sequence[Sequence[Evidence]], weights: Weights) -> dict[str, Any]:
    """Return the share of each kind that the shipped threshold declines, and the AUC of the confidence score."""
    scores = [weights.confidence(case.question, found) for case, found in zip(cases, evidence, strict=True)]
    answerable = [score for score, case in zip(scores, cases, strict=True) if case.answerable]
    unanswerable = [score for score, case in zip(scores, cases, strict=True) if not case.answerable]
    return {
        "threshold": weights.threshold,
        "declined_unanswerable": _declined(unanswerable, weights.threshold),
        "declined_answerable": _declined(answerable, weights.threshold),
        "auc": round(auc(answerable, unanswerable), 4),
    }


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """Return how often one of ``high`` is above one of ``low``; a tie counts half."""
    wins = sum((one > other) + 0.5 * (one == other) for one in high for other in low)
    return wins / (len(high) * len(low))


def _declined(scores: Sequence[float], threshold: float) -> float:
    return round(sum(score < threshold for score in scores) / len(scores), 4)


def from_words(cases: Sequence[Case]) -> list[list[Evidence]]:
    """Return the evidence without an embedding model, by shared words only."""
    return [[Evidence(text) for text in case.passages] for case in cases]


async def encoded(cases: Sequence[Case], embedder: Embedder) -> list[list[Evidence]]:
    """Return the evidence with the embedding model's similarities; closes the embedder. Raises EmbeddingError."""
    if not isinstance(embedder, TokenEmbedder):
        return from_words(cases)
    async with aclosing(embedder):
        questions = await _vectors(embedder, [case.question for case in cases], "query")
        passages = await _vectors(embedder, [text for case in cases for text in case.passages], "passage")
    return [
        [
            Evidence(
                text,
                float(questions[case.question].pooled @ passages[text].pooled),
                matches(questions[case.question].tokens, passages[text].signs),
            )
            for text in case.passages
        ]
        for case in cases
    ]


async def _vectors(embedder: TokenEmbedder, texts: Sequence[str], kind: EncodeKind) -> Mapping[str, TokenVectors]:
    shortest_first = sorted(set(texts), key=lambda text: (len(text), text))
    vectors: dict[str, TokenVectors] = {}
    for start in range(0, len(shortest_first), BATCH):
        batch = shortest_first[start : start + BATCH]
        vectors |= dict(zip(batch, await embedder.encode_tokens(batch, kind), strict=True))
    return vectors


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the result as a table."""
    names = ("threshold", "declined_unanswerable", "declined_answerable", "auc")
    return names, [tuple(float(document[name]) for name in names)]
