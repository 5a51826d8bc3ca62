"""Translates the filter of a scope to SQL: which chunks and documents pass it.

Dense search has the conditions in its WHERE clause; BM25 reads the passing chunk numbers as a mask.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types.scope import EVERYTHING, Filter, Scope

Numbers = npt.NDArray[np.int64]

_LISTS = (
    ("kinds", "lower(sources.kind)"),
    ("formats", "lower(documents.metadata ->> 'format')"),
    ("languages", "lower(documents.metadata ->> 'language')"),
    ("authors", "lower(documents.metadata ->> 'author')"),
)

# The chunks of the audiences, with the documents and sources that conditions refer to.
_CHUNKS_OF_SCOPE = """
    FROM chunks
    JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id
    JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences)
"""

# Postgres compares a text with the empty text by its length only, so it reads no text.
_COUNT_DOCUMENTS = """
    SELECT count(*)
    FROM documents
    JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE documents.tenant_id = :tenant AND documents.audience = ANY(:audiences) AND documents.text <> ''
"""


async def count_documents(session: AsyncSession, scope: Scope) -> int:
    """Return how many documents of the scope are searched: those that have a text and pass the filter."""
    conditions, values = _conditions(scope.filter) if scope.filter != EVERYTHING else ("true", {})
    counted = await session.scalar(
        text(f"{_COUNT_DOCUMENTS} AND {conditions}"),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences), **values},
    )
    return int(counted or 0)


def passing_chunks(scope: Scope) -> tuple[str, dict[str, Any]]:
    """Return a condition on ``chunk_id`` that starts with AND, and its values; empty if every document passes.

    The statement must already have the parameters ``:tenant`` and ``:audiences``.
    """
    if scope.filter == EVERYTHING:
        return "", {}
    conditions, values = _conditions(scope.filter)
    return f" AND chunk_id IN (SELECT chunks.chunk_id {_CHUNKS_OF_SCOPE} AND {conditions})", values


async def passing(session: AsyncSession, scope: Scope) -> Numbers | None:
    """Return the numbers of the chunks that pass the scope's filter; None if all pass."""
    if scope.filter == EVERYTHING:
        return None
    conditions, values = _conditions(scope.filter)
    packed = await session.scalar(
        text(f"SELECT string_agg(int8send(chunks.chunk_id), ''::bytea) {_CHUNKS_OF_SCOPE} AND {conditions}"),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences), **values},
    )
    return np.frombuffer(packed or b"", dtype=">i8").astype(np.int64)


def _conditions(wanted: Filter) -> tuple[str, dict[str, Any]]:
    conditions: list[str] = []
    values: dict[str, Any] = {}
    if wanted.sources is not None:
        conditions.append(
            "EXISTS (SELECT FROM unnest(CAST(:prefixes AS text[])) AS prefix "
            "WHERE starts_with(documents.uri, prefix) OR starts_with(sources.uri, prefix))"
        )
        values["prefixes"] = list(wanted.sources)
    for name, expression in _LISTS:
        allowed = getattr(wanted, name)
        if allowed is not None:
            conditions.append(f"{expression} = ANY(CAST(:{name} AS text[]))")
            values[name] = [value.lower() for value in allowed]
    for name, comparison in (("since", ">="), ("until", "<")):
        moment = getattr(wanted, name)
        if moment is not None:
            conditions.append(f"coalesce(documents.dated_at, documents.fetched_at) {comparison} :{name}")
            values[name] = moment
    return " AND ".join(conditions), values
