"""Daily token budgets: reserved in one statement, settled once.

A subject is ``user:ID``; ``*`` is the tenant's default for everybody. A day is a date in the tenant's time zone.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date

from sqlalchemy import BigInteger, Date, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.tables import budget_days, budgets, reservations

DEFAULT = "*"

# One statement closes both races: the day's first request (INSERT) and every later one (UPDATE).
_RESERVE = text(
    """
    INSERT INTO budget_days AS day (tenant_id, subject, day, used, reserved)
    SELECT :tenant, :subject, :day, 0, :need WHERE :need <= :cap
    ON CONFLICT (tenant_id, subject, day) DO UPDATE SET reserved = day.reserved + :need
    WHERE day.used + day.reserved + :need <= :cap
    RETURNING used
    """
).bindparams(bindparam("need", type_=BigInteger), bindparam("cap", type_=BigInteger), bindparam("day", type_=Date))


@dataclass(frozen=True, slots=True)
class Day:
    """Tokens of one subject on one day."""

    used: int
    reserved: int


def subject_of(user_id: str) -> str:
    """A person as the subject of a budget."""
    return f"user:{user_id}"


async def limit(session: AsyncSession, *, tenant_id: str, subject: str, default: int) -> int:
    """Tokens a day: the subject's own, else the tenant's default, else ``default``."""
    rows = await session.execute(
        select(budgets.c.subject, budgets.c.daily_tokens).where(
            budgets.c.tenant_id == tenant_id, budgets.c.subject.in_((subject, DEFAULT))
        )
    )
    stored = {row.subject: int(row.daily_tokens) for row in rows}
    return stored.get(subject, stored.get(DEFAULT, default))


async def set_limit(session: AsyncSession, *, tenant_id: str, subject: str, daily_tokens: int, set_by: str) -> None:
    """Set the tokens a day of a subject."""
    statement = insert(budgets).values(tenant_id=tenant_id, subject=subject, daily_tokens=daily_tokens, set_by=set_by)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "subject"],
            set_={"daily_tokens": daily_tokens, "set_by": set_by, "updated_at": func.now()},
        )
    )


async def list_limits(session: AsyncSession, *, tenant_id: str) -> list[tuple[str, int]]:
    """Every limit that was set."""
    rows = await session.execute(
        select(budgets.c.subject, budgets.c.daily_tokens)
        .where(budgets.c.tenant_id == tenant_id)
        .order_by(budgets.c.subject)
    )
    return [(row.subject, int(row.daily_tokens)) for row in rows]


async def remove_limit(session: AsyncSession, *, tenant_id: str, subject: str) -> None:
    """Let the subject fall back to the default."""
    await session.execute(delete(budgets).where(budgets.c.tenant_id == tenant_id, budgets.c.subject == subject))


async def day_of(session: AsyncSession, *, tenant_id: str, subject: str, day: date) -> Day:
    """What was used and is reserved on the day."""
    row = (
        await session.execute(
            select(budget_days.c.used, budget_days.c.reserved).where(
                budget_days.c.tenant_id == tenant_id, budget_days.c.subject == subject, budget_days.c.day == day
            )
        )
    ).one_or_none()
    return Day(int(row.used), int(row.reserved)) if row else Day(0, 0)


async def reserve(
    session: AsyncSession, *, tenant_id: str, subject: str, day: date, turn_id: str, tokens: int, cap: int
) -> tuple[str, int] | None:
    """Set tokens aside: ``(reservation id, tokens used before)``, or None where they do not fit under ``cap``."""
    used = await session.scalar(
        _RESERVE, {"tenant": tenant_id, "subject": subject, "day": day, "need": tokens, "cap": cap}
    )
    if used is None:
        return None
    reservation_id = uuid.uuid4()
    await session.execute(
        insert(reservations).values(
            tenant_id=tenant_id,
            reservation_id=reservation_id,
            turn_id=uuid.UUID(turn_id),
            subject=subject,
            day=day,
            tokens=tokens,
            state="held",
        )
    )
    return str(reservation_id), int(used)


async def settle(session: AsyncSession, *, tenant_id: str, reservation_id: str, used: int) -> bool:
    """Give the reservation back and count what was really used; False where it was settled before."""
    return await _close(session, reservations.c.reservation_id == uuid.UUID(reservation_id), tenant_id, used)


async def release_held(session: AsyncSession, *, tenant_id: str, turn_id: str) -> None:
    """Give back what an interrupted run of the turn still holds."""
    held = await session.scalars(
        select(reservations.c.reservation_id).where(
            reservations.c.tenant_id == tenant_id,
            reservations.c.turn_id == uuid.UUID(turn_id),
            reservations.c.state == "held",
        )
    )
    for reservation_id in list(held):
        await _close(session, reservations.c.reservation_id == reservation_id, tenant_id, 0)


async def charge(session: AsyncSession, *, tenant_id: str, subject: str, day: date, tokens: int) -> None:
    """Count tokens that no reservation covers."""
    statement = insert(budget_days).values(tenant_id=tenant_id, subject=subject, day=day, used=tokens)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "subject", "day"], set_={"used": budget_days.c.used + tokens}
        )
    )


async def _close(session: AsyncSession, which: object, tenant_id: str, used: int) -> bool:
    row = (
        await session.execute(
            update(reservations)
            .where(reservations.c.tenant_id == tenant_id, which, reservations.c.state == "held")  # type: ignore[arg-type]
            .values(state="settled")
            .returning(reservations.c.subject, reservations.c.day, reservations.c.tokens)
        )
    ).one_or_none()
    if row is None:
        return False
    await session.execute(
        update(budget_days)
        .where(
            budget_days.c.tenant_id == tenant_id,
            budget_days.c.subject == row.subject,
            budget_days.c.day == row.day,
        )
        .values(used=budget_days.c.used + used, reserved=budget_days.c.reserved - row.tokens)
    )
    return True
