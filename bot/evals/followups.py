"""Evaluates search for follow-up questions: the last turn alone, rewritten, and as rewritten by a person.

The data is a folder in BEIR format whose queries have ``last_turn``, ``user_turns`` (oldest first, including the last
turn) and ``standalone``, the question as rewritten by a person. Each variant is scored like the last stage of ``eval
retrieval``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from bot.engine.ports.llm import LLM
from bot.errors import LLMError, UsageError
from bot.evals import beir, retrieval
from bot.evals.metrics import means
from bot.evals.scratch_schema import scratch_schema
from bot.llm.query_rewriting import ModelRewriter
from bot.llm.quoting import extractive
from bot.types.conversation import PastMessage
from knowledge.store.chunk_lookup import chunk_spans
from knowledge.types.scope import Scope

log = logging.getLogger(__name__)

WAYS = ("last_turn", "rewritten", "standalone")
METRICS = ("ndcg@10", "recall@5", "recall@10", "recall@20")
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FollowUp:
    """A question in a thread. ``earlier`` are the questions before it, oldest first."""

    id: str
    last_turn: str
    earlier: tuple[str, ...]
    standalone: str


class Rewrites(Protocol):
    """Rewrites a follow-up as a standalone question; returns None on failure."""

    async def __call__(self, question: str, earlier: Sequence[str]) -> str | None: ...


def by_model(llm: LLM) -> Rewrites:
    """Return a rewriter that uses the cheap model, as in production. Raises UsageError if no model is configured."""
    if llm.model("cheap") == extractive.NAME:
        raise UsageError("--model needs a model: set ANTHROPIC_API_KEY or OPENAI_API_KEY.")
    rewriter = ModelRewriter(llm)

    async def rewrite(question: str, earlier: Sequence[str]) -> str | None:
        past = [PastMessage(n, "user", "user", text, 0, _UNDATED) for n, text in enumerate(earlier)]
        try:
            rewritten = await rewriter(rewriter.prompt(question, past), meter=lambda call: None)
        except LLMError as error:
            log.warning("question was not rewritten: %s", error)
            return None
        return rewritten.question

    return rewrite


async def evaluate(data: Path, app: retrieval.Running, *, rewrites: Rewrites | None = None) -> dict[str, Any]:
    """Ingest the corpus into a scratch schema and search for three variants of every question.

    Without ``rewrites``, or if rewriting fails, the local method searches for the question together with the thread.
    Raises UsageError if the folder is not such a data set, ConfigError if the database cannot be used.
    """
    dataset, asked = retrieval.read(data), read(data)
    asked = [follow_up for follow_up in asked if dataset.relevance.get(follow_up.id)]
    async with scratch_schema(app.database.session_url) as database:
        await retrieval.ingest(dataset, database, app.embedder, app.settings.chunk_tokens)
        retriever, scope = app.retriever.on(database.tenant), Scope(retrieval.TENANT)
        async with database.tenant(retrieval.TENANT) as session:
            names = retrieval.judged(dataset.corpus, await chunk_spans(session, scope))
        found: dict[str, list[tuple[list[str], Mapping[str, int]]]] = {way: [] for way in WAYS}
        for follow_up in asked:
            last_turn, previous = follow_up.last_turn, follow_up.earlier
            rewritten = await rewrites(last_turn, previous) if rewrites and previous else None
            for way, query, earlier in (
                ("last_turn", last_turn, ()),
                ("rewritten", rewritten or last_turn, () if rewritten else previous),
                ("standalone", follow_up.standalone, ()),
            ):
                ranking = await retriever.rank(query, scope, earlier=earlier)
                documents = list(dict.fromkeys(name for number, _ in ranking.reranked for name in names[number]))
                found[way].append((documents, dataset.relevance[follow_up.id]))
    return {way: means(runs) for way, runs in found.items()}


def read(data: Path) -> list[FollowUp]:
    """Return the follow-up questions of a folder. Raises UsageError."""
    try:
        return [_follow_up(row) for row in beir.rows(data, "queries.jsonl")]
    except (KeyError, ValueError, TypeError) as error:
        raise UsageError(
            f"{data} has no follow-up questions ({type(error).__name__}: {error}). "
            "Its queries need last_turn, user_turns and standalone."
        ) from None


def _follow_up(row: Mapping[str, Any]) -> FollowUp:
    turns = [str(turn) for turn in row["user_turns"]]
    last = str(row["last_turn"])
    earlier = turns[:-1] if turns and turns[-1] == last else turns
    return FollowUp(str(row["_id"]), last, tuple(earlier), str(row["standalone"]))


def table(document: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str | float, ...]]]:
    """Return the result as a table."""
    rows: list[tuple[str | float, ...]] = [
        (way.replace("_", " "), *(float(document[way][metric]) for metric in METRICS)) for way in WAYS
    ]
    return ("searched for", *METRICS), rows
