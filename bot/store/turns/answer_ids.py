"""Short ids of answers, as people see and type them: 8 characters, or all where another answer begins like this."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from knowledge.store.id_prefixes import SHORT_CHARS, id_range

_AMBIGUOUS = text(
    """
    SELECT CAST(id AS text) AS id
    FROM unnest(CAST(:ids AS uuid[]), CAST(:lows AS uuid[]), CAST(:highs AS uuid[])) AS asked (id, low, high)
    WHERE EXISTS (
        SELECT FROM turns WHERE tenant_id = :tenant AND turn_id BETWEEN low AND high AND turn_id <> id
    )
    """
)


async def shortened(session: AsyncSession, *, tenant_id: str, turn_ids: Iterable[str]) -> dict[str, str]:
    """Return the short id of each of the tenant's turns, by the id as given."""
    given = {turn_id: str(uuid.UUID(turn_id)) for turn_id in turn_ids}
    ids = sorted(set(given.values()))
    ranges = [found for one in ids if (found := id_range(one[:SHORT_CHARS])) is not None]
    asked = {"tenant": tenant_id, "ids": ids, "lows": [low for low, _ in ranges], "highs": [high for _, high in ranges]}
    ambiguous = set(await session.scalars(_AMBIGUOUS, asked)) if ids else set()
    return {name: one if one in ambiguous else one[:SHORT_CHARS] for name, one in given.items()}
