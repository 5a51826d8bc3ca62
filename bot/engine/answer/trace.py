"""Builds the trace of an answer, which ``why`` shows: the query, the passages, recalled messages and the prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.engine.answer import allowed_links, prompt
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.prompt import SentPrompt
from bot.engine.answer.results import Results
from bot.engine.memory import NOTHING
from bot.types.verified_answers import VerifiedAnswer
from knowledge.types.search_results import Passage


def build(attempt: Attempt, results: Results) -> Mapping[str, Any]:
    """Return the trace as JSON values. Steps that did not run leave empty values."""
    journal, accounting, route = attempt.journal, attempt.accounting, results.route
    found = results.evidence.found if results.evidence else None
    sent = journal.sent or SentPrompt(results.passages, NOTHING, {})
    query = results.evidence.query if results.evidence else results.query
    left_out = len(found.passages) - len(sent.passages) if found and sent.passages else 0
    return {
        "prompt_version": prompt.VERSION,
        "query": query.question if query else "",
        "searched": found.searched if found else "",
        "searched_again": list(results.evidence.searched_again) if results.evidence else [],
        "cached_from": results.lookup.hit.turn_id if results.lookup.hit else None,
        "verified": _verified(results.verified) if results.verified else None,
        "passages": [_passage(n, passage) for n, passage in enumerate(sent.passages, 1)],
        "confidence": found.confidence if found else None,
        "unanswered": results.evidence is not None and results.evidence.unanswered,
        "knowledge_version": found.knowledge_version if found else None,
        "standby": found.standby if found else "none",
        "search_ms": dict(found.timings_ms) if found else {},
        "route": {"tier": route.tier, "model": route.model, "reason": route.reason} if route else None,
        "reserved_tokens": accounting.reservation.tokens if accounting.reservation else 0,
        "prompt_tokens_counted": accounting.prompt_tokens,
        "messages_left_out": sent.past.left_out,
        "recalled": [[message.author, message.at.isoformat(), message.text] for message in sent.past.recalled],
        "facts": [[fact.author, fact.said_at.isoformat(), fact.text] for fact in sent.past.facts],
        "prompt_parts": dict(sent.parts),
        "passages_left_out": left_out,
        "links": allowed_links.linked(attempt, results),
        "restarts": list(journal.events),
        "outage": journal.outage,
        "notes": list(journal.notes),
        "timings_ms": dict(journal.timings_ms),
    }


def _verified(known: VerifiedAnswer) -> dict[str, Any]:
    return {
        "id": known.id,
        "question": known.questions[0],
        "owner": known.owner_name or known.owner_id,
        "verified_at": known.verified_at.isoformat(),
    }


def _passage(n: int, passage: Passage) -> dict[str, Any]:
    return {
        "n": n,
        "source": passage.source,
        "title": passage.title,
        "heading": list(passage.heading),
        "page": passage.page,
        "place": passage.place,
        "start": passage.start,
        "end": passage.end,
        "score": passage.score,
        "legs": {
            "dense": passage.legs.dense,
            "sparse": passage.legs.sparse,
            "fused": passage.legs.fused,
            "rerank": passage.legs.rerank,
        },
        "text": passage.text,
    }
