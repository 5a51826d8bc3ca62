"""The filter of a scope as SQL: which chunks pass it. Both legs apply it inside their own search."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.types import EVERYTHING, Filter, Scope

Numbers = npt.NDArray[np.int64]

_LISTS = (
    ("kinds", "lower(sources.kind)"),
    ("formats", "lower(documents.metadata ->> 'format')"),
    ("languages", "lower(documents.metadata ->> 'language')"),
    ("authors", "lower(documents.metadata ->> 'author')"),
)
_FROM = """
    FROM chunks
    JOIN documents ON documents.tenant_id = chunks.tenant_id AND documents.id = chunks.document_id
    JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id
    WHERE chunks.tenant_id = :tenant AND chunks.audience = ANY(:audiences)
"""


async def documents(session: AsyncSession, scope: Scope) -> int:
    """How many documents are looked through in the scope: those of it that have a text and pass its filter."""
    conditions, values = _conditions(scope.filter) if scope.filter != EVERYTHING else ("true", {})
    # Comparing with an empty text looks at its length alone: no text is read.
    counted = await session.scalar(
        text(
            "SELECT count(*) FROM documents "  # noqa: S608 - conditions of this module, values bound
            "JOIN sources ON sources.tenant_id = documents.tenant_id AND sources.id = documents.source_id "
            "WHERE documents.tenant_id = :tenant AND documents.audience = ANY(:audiences) AND documents.text <> '' "
            f"AND {conditions}"
        ),
        {"tenant": scope.tenant_id, "audiences": list(scope.audiences), **values},
    )
    return int(counted or 0)


def passing_chunks(scope: Scope) -> tuple[str, dict[str, Any]]:
    """A condition on ``chunk_id``, to follow other conditions, and its values; empty for a filter that all pass.

    The statement has ``:tenant`` and ``:audiences`` already.
    """
    if scope.filter == EVERYTHING:
        return "", {}
    conditions, values = _conditions(scope.filter)
    return f" AND chunk_id IN (SELECT chunks.chunk_id {_FROM} AND {conditions})", values


async def passing(session: AsyncSession, scope: Scope) -> Numbers | None:
    """The numbers of the chunks that pass the scope's filter; None where all do."""
    if scope.filter == EVERYTHING:
        return None
    conditions, values = _conditions(scope.filter)
    packed = await session.scalar(
        text(f"SELECT string_agg(int8send(chunks.chunk_id), ''::bytea) {_FROM} AND {conditions}"),
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
