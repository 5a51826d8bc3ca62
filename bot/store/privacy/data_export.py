"""Exports everything stored about one person."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.budgets.budget_counters import of_user
from bot.store.schema import added_days, attachments, budget_days, facts, feedback, ledger, turns
from bot.store.verified_answers import records
from knowledge.store import message_erasure


async def export(session: AsyncSession, *, tenant_id: str, user_id: str) -> dict[str, Any]:
    """Return everything stored about the person in this tenant, oldest first."""
    asked = await session.execute(
        select(turns).where(turns.c.tenant_id == tenant_id, turns.c.user_id == user_id).order_by(turns.c.seq)
    )
    stated = await session.execute(
        select(facts).where(facts.c.tenant_id == tenant_id, facts.c.author_id == user_id).order_by(facts.c.said_at)
    )
    attached = await session.execute(
        select(attachments)
        .join(turns, (turns.c.tenant_id == attachments.c.tenant_id) & (turns.c.turn_id == attachments.c.turn_id))
        .where(attachments.c.tenant_id == tenant_id, turns.c.user_id == user_id, attachments.c.kind == "file")
        .order_by(turns.c.seq, attachments.c.position)
    )
    rated = await session.execute(
        select(feedback).where(feedback.c.tenant_id == tenant_id, feedback.c.user_id == user_id)
    )
    days = await session.execute(
        select(budget_days).where(budget_days.c.tenant_id == tenant_id, budget_days.c.subject == of_user(user_id))
    )
    added = await session.execute(
        select(added_days).where(added_days.c.tenant_id == tenant_id, added_days.c.user_id == user_id)
    )
    calls = await session.execute(
        select(ledger).where(ledger.c.tenant_id == tenant_id, ledger.c.user_id == user_id).order_by(ledger.c.created_at)
    )
    verified = [one for one in await records.every(session, tenant_id=tenant_id) if one.owner_id == user_id]
    return {
        "tenant": tenant_id,
        "user": user_id,
        "turns": [_turn(row) for row in asked],
        "facts": [
            {"kind": r.kind, "text": r.text, "said_at": r.said_at.isoformat(), "turn_id": str(r.turn_id)}
            for r in stated
        ],
        "attachments": [{"turn_id": str(r.turn_id), "name": r.name, "text": r.text} for r in attached],
        "channel_messages": await message_erasure.messages_by(session, tenant_id=tenant_id, user_id=user_id),
        "feedback": [{"turn_id": str(r.turn_id), "value": r.value, "reason": r.reason} for r in rated],
        "verified_answers": [
            {"id": one.id, "questions": one.questions, "answer": one.answer, "at": one.verified_at.isoformat()}
            for one in verified
        ],
        "budget_days": [{"day": str(r.day), "used": r.used, "reserved": r.reserved} for r in days],
        "added_days": [{"day": str(r.day), "bytes": r.bytes, "documents": r.documents} for r in added],
        "calls": [
            {"at": r.created_at.isoformat(), "model": r.model, "purpose": r.purpose, "cost_usd": r.cost_usd}
            for r in calls
        ],
    }


def _turn(row: Any) -> dict[str, Any]:
    return {
        "turn_id": str(row.turn_id),
        "platform": row.platform,
        "channel": row.channel_id,
        "thread": row.thread_id,
        "asked_at": row.created_at.isoformat(),
        "name": row.user_name,
        "question": row.question,
        "answer": row.answer,
        "refused": row.refused,
        "citations": row.citations,
    }
