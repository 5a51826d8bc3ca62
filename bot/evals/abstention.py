"""How well weak evidence is told from an answer: which questions are declined for the passages that were found.

The data are JSONL: ``question``, ``passages`` (texts, or objects with ``text``) and ``answerable``; ``history`` where
the question follows earlier messages (texts of the asker, or objects with ``text`` and ``speaker`` or ``role``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.engine.memory import standalone
from bot.errors import UsageError
from bot.evals import jsonl
from bot.types.conversation import PastMessage
from knowledge.embedders.token_vectors import TokenEmbedder, TokenVectors
from knowledge.evidence_confidence import Evidence, Weights, matches
from knowledge.ports import Embedder, EncodeKind

BATCH = 64


@dataclass(frozen=True, slots=True)
class Case:
    """A question as it stands alone, what was found for it, and whether the answer is in there."""

    question: str
    passages: tuple[str, ...]
    answerable: bool


def read(path: Path) -> list[Case]:
    """The cases of a file. Raises UsageError with the number of the line that is wrong."""
    cases = jsonl.read(path, _case, of="questions")
    if not any(case.answerable for case in cases) or all(case.answerable for case in cases):
        raise UsageError(f"{path} needs both answerable and unanswerable questions; nothing can be told apart.")
    return cases


def _case(row: Mapping[str, Any], where: str) -> Case:
    question, answerable = jsonl.words(row, "question", where), jsonl.verdict(row, "answerable", where)
    passages = _texts(row.get("passages"), f"{where}: passages")
    past = _history(row.get("history") or [], f"{where}: history")
    return Case(standalone(question, past), passages, answerable)


def _texts(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{where} must be a list.")
    texts = [one.get("text") if isinstance(one, dict) else one for one in value]
    kept = tuple(text for text in texts if isinstance(text, str))
    if len(kept) < len(texts):
        raise UsageError(f"{where} must be texts, or objects with text.")
    return tuple(text for text in kept if text.strip())


def _history(value: object, where: str) -> list[PastMessage]:
    texts = _texts(value, where)
    spoken = (
        [one for one in value if not isinstance(one, dict) or one["text"].strip()] if isinstance(value, list) else []
    )
    now = datetime.now(UTC)
    past = []
    for seq, (one, text) in enumerate(zip(spoken, texts, strict=False)):
        who = str(one.get("role") or one.get("speaker") or "user") if isinstance(one, dict) else "user"
        past.append(PastMessage(seq, "user" if who == "user" else "assistant", who, text, 0, now))
    return past


def evaluate(cases: Sequence[Case], evidence: Sequence[Sequence[Evidence]], weights: Weights) -> dict[str, Any]:
    """What the shipped threshold declines of each kind, and how well the score ranks them at all."""
    scores = [weights.confidence(case.question, seen) for case, seen in zip(cases, evidence, strict=True)]
    answerable = [score for score, case in zip(scores, cases, strict=True) if case.answerable]
    unanswerable = [score for score, case in zip(scores, cases, strict=True) if not case.answerable]
    return {
        "threshold": weights.threshold,
        "declined_unanswerable": _declined(unanswerable, weights.threshold),
        "declined_answerable": _declined(answerable, weights.threshold),
        "auc": round(auc(answerable, unanswerable), 4),
    }


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """How often one of ``high`` stands above one of ``low``; a tie counts half."""
    won = sum((one > other) + 0.5 * (one == other) for one in high for other in low)
    return won / (len(high) * len(low))


def _declined(scores: Sequence[float], threshold: float) -> float:
    return round(sum(score < threshold for score in scores) / len(scores), 4)


def from_words(cases: Sequence[Case]) -> list[list[Evidence]]:
    """The evidence without an embedding model."""
    return [[Evidence(text) for text in case.passages] for case in cases]


async def encoded(cases: Sequence[Case], embedder: Embedder) -> list[list[Evidence]]:
    """The evidence as the embedding model sees it; the embedder is closed. Raises EmbeddingError."""
    if not isinstance(embedder, TokenEmbedder):
        return from_words(cases)
    async with aclosing(embedder):
        asked = await _rows(embedder, [case.question for case in cases], "query")
        found = await _rows(embedder, [text for case in cases for text in case.passages], "passage")
    return [
        [
            Evidence(
                text,
                float(asked[case.question].pooled @ found[text].pooled),
                matches(asked[case.question].tokens, found[text].signs),
            )
            for text in case.passages
        ]
        for case in cases
    ]


async def _rows(embedder: TokenEmbedder, texts: Sequence[str], kind: EncodeKind) -> Mapping[str, TokenVectors]:
    order = sorted(set(texts), key=lambda text: (len(text), text))
    rows: dict[str, TokenVectors] = {}
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        rows |= dict(zip(part, await embedder.encode_tokens(part, kind), strict=True))
    return rows


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """A measurement as a table for a person."""
    names = ("threshold", "declined_unanswerable", "declined_answerable", "auc")
    return names, [tuple(float(document[name]) for name in names)]
