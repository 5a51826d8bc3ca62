"""Decides in SQL whether a cached answer is still valid, and reads its row."""

from __future__ import annotations

from typing import Any

from bot.store.threads import citations_from
from bot.types.answer_cache import CachedAnswer


def intact(table: str, tenant: str) -> str:
    """Return SQL: every document that a row of the table cites still exists unchanged.

    The table's column ``documents`` has the content hash of each by its ID. A join would read all documents of the
    tenant for each row, because PostgreSQL expects an answer to cite a hundred. ``tenant`` is the
    parameter with the tenant.
    """
    return f"""NOT EXISTS (
    SELECT FROM jsonb_each_text({table}.documents) AS cited (id, hash)
    WHERE cited.hash IS DISTINCT FROM (
        SELECT content_hash FROM documents
        WHERE documents.tenant_id = {tenant} AND documents.id = CAST(cited.id AS uuid)))"""  # noqa: S608


INTACT = intact("answers", "%(tenant)s")
"""SQL: every document that a cached answer cites still exists unchanged."""
CURRENT = """answers.knowledge_version IS NOT DISTINCT FROM coalesce(
    (SELECT version FROM knowledge_state WHERE knowledge_state.tenant_id = %(tenant)s), 0)"""
"""SQL: no document of the tenant has changed since the cached answer was last verified."""


def cached(row: Any) -> CachedAnswer:
    """Return a cached answer from its row."""
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
