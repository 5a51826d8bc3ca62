"""The ``parley budget`` command: shows and sets daily token limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from bot.cli.command_runtime import ensure_tenant, require_tenant, run, settings
from bot.cli.options import data_options
from bot.cli.output import echo, print_json

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.engine.ports.stores import Stores
    from bot.store.database.session import Database


@click.group()
def budget() -> None:
    """Show or set daily token budgets."""


@budget.command()
@click.argument("subject", default="you")
@data_options
def show(subject: str, tenant: str, as_json: bool) -> None:
    """Show how many tokens SUBJECT used today, and its limit.

    SUBJECT is a user's id, channel:ID or tenant; * shows all limits. Without SUBJECT, show the terminal's user.
    """
    from bot.commands.budget import owner_of, subject_of

    key = subject_of(subject)
    if key != "*":
        owner_of(key)
    loaded = settings()

    async def load() -> dict[str, Any]:
        from bot.store.database_startup import opened_database

        async with opened_database(loaded) as database:
            await require_tenant(database, tenant)
            if key == "*":
                return await _limits(database, loaded, tenant)
            return await _usage_today(_stores(database, loaded), tenant, key)

    document = run(load())
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value if value else 'none'}")


async def _limits(database: Database, configured: Settings, tenant: str) -> dict[str, Any]:
    """Return the default limits and the limits that were set. None means no limit."""
    from bot.store.budgets import budget_counters

    async with database.tenant(tenant) as session:
        limits = await budget_counters.list_limits(session, tenant_id=tenant)
    return {
        "default": configured.daily_tokens or None,
        "channel_default": configured.channel_daily_tokens or None,
        "tenant_default": configured.tenant_daily_tokens or None,
        "limits": {subject: _limit(tokens) for subject, tokens in limits},
    }


async def _usage_today(stores: Stores, tenant: str, subject: str) -> dict[str, Any]:
    """Return a subject's usage today and its limit; None means no limit."""
    from bot.commands.budget import state_of

    state = await state_of(stores, tenant, subject)
    return {
        "subject": subject,
        "used": state.used,
        "reserved": state.reserved,
        "limit": _limit(state.limit),
        "resets_at": state.resets_at.isoformat(),
    }


def _stores(database: Database, loaded: Settings) -> Stores:
    from datetime import UTC, datetime

    from bot.llm.tokens import TokenCounter
    from bot.store.stores import open_stores

    return open_stores(database, loaded, count_tokens=TokenCounter().count, clock=lambda: datetime.now(UTC))


def _limit(tokens: int) -> int | None:
    from bot.types.usage import UNLIMITED

    return None if tokens >= UNLIMITED else tokens


@budget.command(name="set")
@click.argument("subject")
@click.argument("tokens")
@data_options
def set_budget(subject: str, tokens: str, tenant: str, as_json: bool) -> None:
    """Set how many TOKENS SUBJECT may use per day.

    SUBJECT is a user's id, channel:ID, role:admin, role:member, * for every user without a limit of their own,
    channel:* for every channel without a limit of its own, or tenant for all together.

    TOKENS is a number such as 200000 or 200k, 'unlimited', 'blocked' for none at all, or 'default' to remove the limit.
    """
    from bot.commands.budget import describe_change, limit_of, store, subject_of, tokens_of

    daily, key = tokens_of(tokens), subject_of(subject)
    loaded = settings()

    async def store_limit() -> int:
        from bot.store.database_startup import opened_database

        async with opened_database(loaded) as database:
            await ensure_tenant(database, tenant)
            await store(database, tenant, key, daily, set_by="terminal")
            return await limit_of(database, _stores(database, loaded), tenant, key)

    limit = run(store_limit())
    if as_json:
        print_json({"subject": key, "limit": _limit(limit), "default": daily is None})
        return
    echo(describe_change(key, daily))


COMMANDS = (budget,)
