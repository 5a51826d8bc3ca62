"""Stores the ratios between real and estimated token counts that were learned, by model, for all processes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.errors import StoreAway
from bot.store.database.session import NO_TENANT, Database

_SAVE = text("""
    INSERT INTO token_ratios (tenant_id, model, ratio)
    SELECT '*', model, ratio
    FROM unnest(CAST(:models AS text[]), CAST(:ratios AS double precision[])) AS learned (model, ratio)
    ORDER BY model
    ON CONFLICT (tenant_id, model) DO UPDATE SET ratio = excluded.ratio
""")


async def load(database: Database) -> dict[str, float]:
    """Return the stored ratios by model; none if the database is away."""
    try:
        async with database.tenant(NO_TENANT) as session:
            rows = await session.execute(text("SELECT model, ratio FROM token_ratios WHERE tenant_id = '*'"))
            return {row.model: row.ratio for row in rows}
    except StoreAway:
        return {}


async def save(database: Database, ratios: Mapping[str, float]) -> None:
    """Store ratios, which replace those of the same models. Raises StoreAway."""
    if ratios:
        values = {"models": list(ratios), "ratios": list(ratios.values())}
        await database.run(NO_TENANT, partial(_save, values=values))


async def _save(session: AsyncSession, values: Mapping[str, object]) -> None:
    await session.execute(_SAVE, values)
