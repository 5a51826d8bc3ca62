"""Daily token budgets: reserved in one statement each, all or nothing, and settled once.

A reservation stands on three days at once: those of ``user:ID``, ``channel:ID`` and ``tenant``, always locked in this
order, so that no two transactions wait for each other. Limits are kept by subject: those three, ``role:ROLE``, and
``*`` and ``channel:*`` for everybody and every channel without a limit of their own. A day is a date in the tenant's
time zone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import BigInteger, ColumnElement, Date, bindparam, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bot.store.tables import budget_days, budgets, reservations, turns
from bot.types import UNLIMITED, BudgetOwner, Role

EVERYBODY = "*"
EVERY_CHANNEL = "channel:*"
TENANT = "tenant"
ROLES: tuple[Role, ...] = ("admin", "member")

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
class Defaults:
    """Tokens a day where nothing was set; 0 is no limit."""

    user: int
    channel: int
    tenant: int


@dataclass(frozen=True, slots=True)
class Account:
    """One subject's day: tokens ``used`` and ``reserved`` of ``cap``."""

    owner: BudgetOwner
    subject: str
    cap: int
    used: int = 0
    reserved: int = 0


class FullError(Exception):
    """The tokens do not fit under the cap of ``account``."""

    def __init__(self, account: Account) -> None:
        super().__init__(f"{account.subject} has too few tokens left")
        self.account = account


# --- subjects and limits


def of_user(user_id: str) -> str:
    """A person as the subject of a budget."""
    return f"user:{user_id}"


def of_channel(channel_id: str) -> str:
    """A channel as the subject of a budget."""
    return f"channel:{channel_id}"


def of_role(role: Role) -> str:
    """Everybody of a role, each with a budget of their own."""
    return f"role:{role}"


def subjects(user_id: str, channel_id: str) -> tuple[str, str, str]:
    """Whose days a turn counts on, in the order in which they are locked."""
    return of_user(user_id), of_channel(channel_id), TENANT


async def accounts(
    session: AsyncSession, *, tenant_id: str, user_id: str, role: Role, channel_id: str, day: date, defaults: Defaults
) -> tuple[Account, Account, Account]:
    """The day of the person, the channel and the tenant."""
    user, channel, tenant = subjects(user_id, channel_id)
    stored = dict(await list_limits(session, tenant_id=tenant_id))
    rows = await session.execute(
        select(budget_days.c.subject, budget_days.c.used, budget_days.c.reserved).where(
            budget_days.c.tenant_id == tenant_id,
            budget_days.c.subject.in_((user, channel, tenant)),
            budget_days.c.day == day,
        )
    )
    days = {row.subject: (int(row.used), int(row.reserved)) for row in rows}

    def account(owner: BudgetOwner, subject: str, otherwise: int, *wider: str) -> Account:
        cap = next((stored[name] for name in (subject, *wider) if name in stored), otherwise or UNLIMITED)
        return Account(owner, subject, cap, *days.get(subject, (0, 0)))

    return (
        account("user", user, defaults.user, of_role(role), EVERYBODY),
        account("channel", channel, defaults.channel, EVERY_CHANNEL),
        account("tenant", tenant, defaults.tenant),
    )


async def set_limit(session: AsyncSession, *, tenant_id: str, subject: str, daily_tokens: int, set_by: str) -> None:
    """Set the tokens a day of a subject; from UNLIMITED on there is no limit."""
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


async def role_of(session: AsyncSession, *, tenant_id: str, user_id: str) -> Role:
    """The role with which a person asked last."""
    stored = await session.scalar(
        select(turns.c.user_role)
        .where(turns.c.tenant_id == tenant_id, turns.c.user_id == user_id)
        .order_by(turns.c.seq.desc())
        .limit(1)
    )
    return "admin" if stored == "admin" else "member"


# --- reserve, settle, charge


async def reserve(
    session: AsyncSession,
    *,
    tenant_id: str,
    accounts: Sequence[Account],
    day: date,
    turn_id: str,
    tokens: int,
    reservation_id: str = "",
) -> str:
    """Set tokens aside on every account and return the reservation's id, a fresh one unless it is given.

    Raises FullError at the first account under whose cap they do not fit: the transaction must then be rolled back,
    for the accounts before it hold them already.
    """
    for account in accounts:
        used = await session.scalar(
            _RESERVE,
            {"tenant": tenant_id, "subject": account.subject, "day": day, "need": tokens, "cap": account.cap},
        )
        if used is None:
            raise FullError(account)
    rid = uuid.UUID(reservation_id) if reservation_id else uuid.uuid4()
    rows = [
        {
            "tenant_id": tenant_id,
            "reservation_id": rid,
            "turn_id": uuid.UUID(turn_id),
            "subject": account.subject,
            "day": day,
            "tokens": tokens,
            "state": "held",
        }
        for account in accounts
    ]
    await session.execute(insert(reservations), rows)
    return str(rid)


async def extend(
    session: AsyncSession, *, tenant_id: str, accounts: Sequence[Account], reservation_id: str, tokens: int
) -> bool:
    """Set more tokens aside under a reservation; False where it is no longer held. Raises FullError."""
    rid = uuid.UUID(reservation_id)
    held = await session.execute(
        update(reservations)
        .where(
            reservations.c.tenant_id == tenant_id,
            reservations.c.reservation_id == rid,
            reservations.c.state == "held",
        )
        .values(tokens=reservations.c.tokens + tokens)
        .returning(reservations.c.day)
    )
    day = next((row.day for row in held), None)
    if day is None:
        return False
    for account in accounts:
        asked = {"tenant": tenant_id, "subject": account.subject, "day": day, "need": tokens, "cap": account.cap}
        if await session.scalar(_RESERVE, asked) is None:
            raise FullError(account)
    return True


async def is_held(session: AsyncSession, *, tenant_id: str, reservation_id: str) -> bool:
    """Whether the reservation was made: its commit may go through though nobody hears of it."""
    found = await session.scalar(
        select(func.count()).where(
            reservations.c.tenant_id == tenant_id, reservations.c.reservation_id == uuid.UUID(reservation_id)
        )
    )
    return bool(found)


async def settle(session: AsyncSession, *, tenant_id: str, reservation_id: str, used: int) -> bool:
    """Give the reservation back and count what was really used; False where it was settled before."""
    closed = await _close(session, tenant_id, reservations.c.reservation_id == uuid.UUID(reservation_id))
    await _add(session, tenant_id, [(subject, day, used, -tokens) for subject, day, tokens in closed])
    return bool(closed)


async def release_held(session: AsyncSession, *, tenant_id: str, turn_id: str) -> None:
    """Give back what an interrupted run of the turn still holds."""
    closed = await _close(session, tenant_id, reservations.c.turn_id == uuid.UUID(turn_id))
    await _add(session, tenant_id, [(subject, day, 0, -tokens) for subject, day, tokens in closed])


async def charge(session: AsyncSession, *, tenant_id: str, subjects: Sequence[str], day: date, tokens: int) -> None:
    """Count tokens that no reservation covers; ``subjects`` in the order in which they are locked."""
    for subject in subjects:
        statement = insert(budget_days).values(tenant_id=tenant_id, subject=subject, day=day, used=tokens)
        await session.execute(
            statement.on_conflict_do_update(
                index_elements=["tenant_id", "subject", "day"], set_={"used": budget_days.c.used + tokens}
            )
        )


async def _close(session: AsyncSession, tenant_id: str, which: ColumnElement[bool]) -> list[tuple[str, date, int]]:
    """Mark held reservations as settled: subject, day and tokens of each that still was held."""
    rows = await session.execute(
        update(reservations)
        .where(reservations.c.tenant_id == tenant_id, which, reservations.c.state == "held")
        .values(state="settled")
        .returning(reservations.c.subject, reservations.c.day, reservations.c.tokens)
    )
    return [(row.subject, row.day, int(row.tokens)) for row in rows]


async def _add(session: AsyncSession, tenant_id: str, changes: Iterable[tuple[str, date, int, int]]) -> None:
    """Add to ``used`` and ``reserved`` of days, each day locked once and in the order of all transactions."""
    sums: dict[tuple[str, date], tuple[int, int]] = {}
    for subject, day, used, reserved in changes:
        before = sums.get((subject, day), (0, 0))
        sums[subject, day] = (before[0] + used, before[1] + reserved)
    for subject, day in sorted(sums, key=_lock_order):
        used, reserved = sums[subject, day]
        await session.execute(
            update(budget_days)
            .where(budget_days.c.tenant_id == tenant_id, budget_days.c.subject == subject, budget_days.c.day == day)
            .values(used=budget_days.c.used + used, reserved=budget_days.c.reserved + reserved)
        )


def _lock_order(key: tuple[str, date]) -> tuple[int, str, date]:
    subject, day = key
    return ("user", "channel", "tenant").index(subject.partition(":")[0]), subject, day
