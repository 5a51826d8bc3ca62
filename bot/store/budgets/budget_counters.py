"""Stores daily token limits, and names the subjects that tokens count against.

A turn's tokens count against three subjects at once: ``user:ID``, ``channel:ID`` and ``tenant``. Their rows are always
locked in this order (``bot.store.budgets.budget_reservations``). Limits are stored by subject: those three,
``role:ROLE``, and ``*`` and ``channel:*`` for all people and channels without a limit of their own. A day is a date in
the tenant's time zone.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.schema import budgets, turns
from bot.types.conversation import Role
from bot.types.usage import BudgetOwner

EVERYBODY = "*"
EVERY_CHANNEL = "channel:*"
TENANT = "tenant"
ROLES: tuple[Role, ...] = ("admin", "member")


@dataclass(frozen=True, slots=True)
class Defaults:
    """Default daily limits, for subjects without a limit of their own; 0 means no limit."""

    user: int
    channel: int
    tenant: int


@dataclass(frozen=True, slots=True)
class Account:
    """One subject's day: ``used`` and ``reserved`` of ``cap`` tokens."""

    owner: BudgetOwner
    subject: str
    cap: int
    used: int = 0
    reserved: int = 0


# --- subjects and limits


def of_user(user_id: str) -> str:
    """Return the subject of a person's budget."""
    return f"user:{user_id}"


def of_channel(channel_id: str) -> str:
    """Return the subject of a channel's budget."""
    return f"channel:{channel_id}"


def of_role(role: Role) -> str:
    """Return the subject of a role's limit. The limit applies to each person of the role separately."""
    return f"role:{role}"


def subjects(user_id: str, channel_id: str) -> tuple[str, str, str]:
    """Return the subjects that a turn counts against, in the order in which they are locked."""
    return of_user(user_id), of_channel(channel_id), TENANT


async def set_limit(session: AsyncSession, *, tenant_id: str, subject: str, daily_tokens: int, set_by: str) -> None:
    """Set the daily tokens of a subject. UNLIMITED or more means no limit."""
    statement = insert(budgets).values(tenant_id=tenant_id, subject=subject, daily_tokens=daily_tokens, set_by=set_by)
    await session.execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "subject"],
            set_={name: statement.excluded[name] for name in ("daily_tokens", "set_by", "updated_at")},
        )
    )


async def list_limits(session: AsyncSession, *, tenant_id: str) -> list[tuple[str, int]]:
    """Return every limit that was set."""
    rows = await session.execute(
        select(budgets.c.subject, budgets.c.daily_tokens)
        .where(budgets.c.tenant_id == tenant_id)
        .order_by(budgets.c.subject)
    )
    return [(row.subject, int(row.daily_tokens)) for row in rows]


async def remove_limit(session: AsyncSession, *, tenant_id: str, subject: str) -> None:
    """Remove the subject's limit, so that the default applies."""
    await session.execute(delete(budgets).where(budgets.c.tenant_id == tenant_id, budgets.c.subject == subject))


async def role_of(session: AsyncSession, *, tenant_id: str, user_id: str) -> Role:
    """Return the role with which the person asked last."""
    stored = await session.scalar(
        select(turns.c.user_role)
        .where(turns.c.tenant_id == tenant_id, turns.c.user_id == user_id)
        .order_by(turns.c.seq.desc())
        .limit(1)
    )
    return "admin" if stored == "admin" else "member"
