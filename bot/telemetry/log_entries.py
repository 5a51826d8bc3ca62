"""Writes one log entry for each model call and one for each turn, with their figures as fields.

The ids of the turn, its asker and its place are not among the fields: ``bot.engine.dispatch.log_ids`` binds them once
for everything that is logged while a turn runs.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from bot.types.turns import Outcome, Turn
from bot.types.usage import Call
from knowledge.types.search_results import Found

ENTRIES = "parley.requests"
"""The logger of the entries."""
FIELDS = "fields"
"""The attribute of a log record that holds the fields of an entry."""

log = logging.getLogger(ENTRIES)


class LogEntries:
    """Telemetry as log entries. Questions and answers are among the fields only with ``content``."""

    def __init__(self, *, content: bool = False) -> None:
        self._content = content

    def turn_began(self, turn: Turn) -> None:
        """Write nothing: the entry follows at the end."""

    def search_ended(self, turn: Turn, found: Found | None, milliseconds: float) -> None:
        """Write nothing: the entry of the turn has the times of its search."""

    def call_ended(self, turn: Turn | None, call: Call) -> None:
        log.info("model call", extra={FIELDS: call_fields(call)})

    def turn_ended(self, turn: Turn, outcome: Outcome | None) -> None:
        fields = turn_fields(outcome)
        if self._content:
            fields |= {"question": turn.question, "answer": outcome.answer if outcome else ""}
        log.info("turn", extra={FIELDS: fields})


def call_fields(call: Call) -> dict[str, Any]:
    """Return the fields of a model call. Times are in milliseconds; None stands for what is unknown."""
    usage = call.usage
    return {
        "provider": call.provider,
        "model": call.model,
        "purpose": call.purpose,
        "prompt_tokens": usage.prompt_tokens,
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens + usage.cache_write_long_tokens,
        "completion_tokens": usage.completion_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": None if call.cost_usd is None else float(call.cost_usd),
        "price_version": call.price_version,
        "latency_ms": round(call.latency_ms, 2),
        "ttft_ms": None if call.ttft_ms is None else round(call.ttft_ms, 2),
        "status": call.status,
        "attempt": call.attempt,
    }


def turn_fields(outcome: Outcome | None) -> dict[str, Any]:
    """Return the fields of a turn. A step that did not run has None for its time, which is in milliseconds."""
    times: Mapping[str, float] = outcome.timings_ms if outcome else {}
    trace: Mapping[str, Any] = outcome.trace if outcome else {}
    return {
        "state": outcome.state if outcome else "left to another process",
        "accept_ms": times.get("accept"),
        "queue_ms": times.get("queue"),
        "search_ms": times.get("search"),
        "rerank_ms": (trace.get("search_ms") or {}).get("rerank"),
        "prompt_ms": times.get("prompt"),
        "first_token_ms": times.get("ttft"),
        "edits_ms": times.get("edits"),
        "total_ms": times.get("total"),
        "route": outcome.route.tier if outcome and outcome.route else None,
        "cache": outcome.cached if outcome else False,
        "confidence": trace.get("confidence"),
        "refused": outcome is not None and outcome.refused is not None,
    }
