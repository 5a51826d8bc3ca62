"""Marks verified answers that are out of date, and records that people were told.

Every function runs inside its caller's transaction, and all but ``tenants_not_told`` inside its tenant.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.verified_answers.records import COLUMNS, answer_of, current_titles
from bot.types.verified_answers import VerifiedAnswer
from knowledge.document_states import with_note

_IN_FORCE = text(f"SELECT {COLUMNS} FROM verified_answers WHERE tenant_id = :tenant AND stale = '' ORDER BY id")  # noqa: S608
_MARK = text("""
    UPDATE verified_answers SET stale = :reason WHERE tenant_id = :tenant AND id = ANY(CAST(:ids AS uuid[]))
""")


async def mark(session: AsyncSession, *, tenant_id: str) -> None:
    """Mark the answers whose time is over, or that cite a document which changed or is superseded by now."""
    known = [answer_of(row) for row in await session.execute(_IN_FORCE, {"tenant": tenant_id})]
    if not known:
        return
    cited = [citation for one in known for citation in one.citations]
    notes = await current_titles(session, tenant_id=tenant_id, citations=cited)
    reasons: dict[str, list[str]] = {}
    for one in known:
        superseded = any(_is_superseded_since(one, *notes[name], name) for name in notes)
        if reason := one.stale or ("changed" if superseded else ""):
            reasons.setdefault(reason, []).append(one.id)
    for why, ids in reasons.items():
        await session.execute(_MARK, {"tenant": tenant_id, "reason": why, "ids": ids})


def _is_superseded_since(known: VerifiedAnswer, title: str, note: str, document_id: str) -> bool:
    """Return whether the answer cites the document as if it were in force, although it is superseded."""
    shown = {one.title for one in known.citations if one.document_id == document_id}
    return bool(note) and bool(shown) and with_note(title, note) not in shown


_TENANTS_NOT_TOLD = text("""
    SELECT DISTINCT tenant_id FROM verified_answers
    WHERE tenant_id = ANY(:tenants) AND stale <> '' AND NOT told ORDER BY tenant_id
""")
_NOT_TOLD = text(f"""
    SELECT {COLUMNS} FROM verified_answers WHERE tenant_id = :tenant AND stale <> '' AND NOT told ORDER BY id
""")  # noqa: S608


async def tenants_not_told(session: AsyncSession, *, tenants: Sequence[str]) -> list[str]:
    """Return those of the tenants that have answers out of date about which nobody was told.

    Runs in a transaction without a tenant, which sees no other verified answers.
    """
    return list(await session.scalars(_TENANTS_NOT_TOLD, {"tenants": list(tenants)}))


async def not_told(session: AsyncSession, *, tenant_id: str) -> list[VerifiedAnswer]:
    """Return the answers out of date about which nobody was told."""
    return [answer_of(row) for row in await session.execute(_NOT_TOLD, {"tenant": tenant_id})]


async def mark_told(session: AsyncSession, *, tenant_id: str, answer_id: str) -> None:
    """Record that somebody was told that the answer is out of date."""
    await session.execute(
        text("UPDATE verified_answers SET told = true WHERE tenant_id = :tenant AND id = CAST(:id AS uuid)"),
        {"tenant": tenant_id, "id": answer_id},
    )
