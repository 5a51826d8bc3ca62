"""Whether a kept answer still stands: SQL on a row of ``answers``, and the row as the engine reads it."""

from __future__ import annotations

from typing import Any

from bot.store.threads import citations_from
from bot.types.answer_cache import CachedAnswer

INTACT = """NOT EXISTS (
    SELECT FROM jsonb_each_text(answers.documents) AS cited (id, hash)
    LEFT JOIN documents ON documents.tenant_id = answers.tenant_id AND documents.id = CAST(cited.id AS uuid)
    WHERE documents.content_hash IS DISTINCT FROM cited.hash)"""
"""Whether every document that a kept answer cites is there and reads as it did."""
CURRENT = """answers.knowledge_version IS NOT DISTINCT FROM coalesce(
    (SELECT version FROM knowledge_state WHERE knowledge_state.tenant_id = answers.tenant_id), 0)"""
"""Whether no document of the tenant has changed since a kept answer was found to stand."""


def cached(row: Any) -> CachedAnswer:
    """A kept answer as it was stored."""
    return CachedAnswer(
        str(row.turn_id),
        row.answer,
        citations_from(row.citations),
        row.created_at,
        row.question or "",
        row.evidence or "",
        row.current,
        row.intact,
    )
