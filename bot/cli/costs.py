"""The ``parley costs`` and ``parley budget`` commands: report model costs, show and set daily token budgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import json_option, print_json, run, settings, tenant_option, with_database
from bot.errors import ParleyError, UsageError

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.engine.ports.stores import Stores
    from bot.reports.costs import CostReport
    from bot.store.session import Database

_OUTPUT_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--since", "period", default="30d", show_default=True, metavar="PERIOD", help="How far back: 12h, 30d, 4w."
)
@click.option(
    "--by",
    type=click.Choice(["user", "channel", "model", "purpose", "day"]),
    default="user",
    show_default=True,
    help="How to group the costs.",
)
@click.option("--chart", type=_OUTPUT_FILE, help="Write a PNG chart of the costs by day to this file.")
@click.option("--csv", "csv_file", type=_OUTPUT_FILE, help="Write the rows as CSV to this file.")
@tenant_option
@json_option
def costs(period: str, by: Any, chart: Path | None, csv_file: Path | None, tenant: str, as_json: bool) -> None:
    """Show what the models cost, and what caching and routing saved."""
    from bot.commands.costs import csv_text, summary, table_of

    report = _report(period, by, tenant)
    if csv_file:
        _write(csv_file, csv_text(report).encode())
    if chart:
        from bot.reports.charts import costs_by_day

        _write(chart, costs_by_day(_report(period, "day", tenant)))
    if as_json:
        print_json(report.as_json())
        return
    from bot.cli.output import show_table

    click.echo(summary(report))
    table = table_of(report, by)
    show_table(table.columns, table.rows)


@click.group()
def budget() -> None:
    """Show or set daily token budgets."""


@budget.command()
@click.argument("subject", default="you")
@tenant_option
@json_option
def show(subject: str, tenant: str, as_json: bool) -> None:
    """Show how many tokens SUBJECT used today, and its limit.

    SUBJECT is a user's id, channel:ID or tenant; * shows all limits. Without SUBJECT, show the terminal's user.
    """
    from bot.commands.budget import subject_of

    loaded, key = settings(), subject_of(subject)

    async def load() -> dict[str, Any]:
        from bot.app import opened_database, opened_stores

        async with opened_database(loaded) as database:
            if key == "*":
                return await _limits(database, loaded, tenant)
            return await _usage_today(opened_stores(database, loaded), tenant, key)

    document = run(load())
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        click.echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value if value else 'none'}")


async def _limits(database: Database, configured: Settings, tenant: str) -> dict[str, Any]:
    """Return the default limits and the limits that were set. None means no limit."""
    from bot.store import budget_counters

    async with database.tenant(tenant) as session:
        limits = await budget_counters.list_limits(session, tenant_id=tenant)
    return {
        "default": configured.daily_tokens or None,
        "channel_default": configured.channel_daily_tokens or None,
        "tenant_default": configured.tenant_daily_tokens or None,
        "limits": {subject: _limit(tokens) for subject, tokens in limits},
    }


async def _usage_today(stores: Stores, tenant: str, subject: str) -> dict[str, Any]:
    """Return a subject's usage today and its limit; None means no limit. Raises UsageError for a role."""
    from bot.types.conversation import Author

    kind, _, name = subject.partition(":")
    if kind == "user":
        state = await stores.budgets.budget(tenant, name)
    elif kind in ("channel", "tenant"):
        _, of_channel, of_tenant = await stores.budgets.budgets(tenant, name, Author("terminal", "terminal"))
        state = of_channel if kind == "channel" else of_tenant
    else:
        raise UsageError(user_messages.NO_BUDGET_OF_ROLE)
    return {
        "subject": name or subject,
        "used": state.used,
        "reserved": state.reserved,
        "limit": _limit(state.limit),
        "resets_at": state.resets_at.isoformat(),
    }


def _limit(tokens: int) -> int | None:
    from bot.types.usage import UNLIMITED

    return None if tokens >= UNLIMITED else tokens


@budget.command(name="set")
@click.argument("subject")
@click.argument("tokens")
@tenant_option
@json_option
def set_budget(subject: str, tokens: str, tenant: str, as_json: bool) -> None:
    """Set how many TOKENS SUBJECT may use per day.

    SUBJECT is a user's id, channel:ID, role:admin, role:member, * for every user without an own limit, channel:* for
    every channel without an own limit, or tenant for all users together.

    TOKENS is a number such as 200000 or 200k, 'unlimited', or 'default' to remove the limit.
    """
    from bot.commands.budget import describe_change, subject_of, tokens_of

    daily, key = tokens_of(tokens), subject_of(subject)

    async def store_limit(database: Database) -> None:
        from bot.store import budget_counters

        async with database.tenant(tenant) as session:
            if daily is None:
                await budget_counters.remove_limit(session, tenant_id=tenant, subject=key)
            else:
                await budget_counters.set_limit(
                    session, tenant_id=tenant, subject=key, daily_tokens=daily, set_by="terminal"
                )

    with_database(store_limit)
    if as_json:
        print_json({"subject": subject, "limit": None if daily is None else _limit(daily)})
        return
    click.echo(describe_change(key, daily))


def _report(period: str, by: Any, tenant: str) -> CostReport:
    loaded = settings()

    async def load() -> CostReport:
        from datetime import UTC, datetime

        from bot.app import opened_database
        from bot.commands.arguments import start_of
        from bot.llm.build import build
        from bot.llm.prices import Prices
        from bot.reports.costs import report

        start = start_of(period, datetime.now(UTC))
        async with opened_database(loaded) as database, database.tenant(tenant) as session:
            return await report(
                session,
                tenant_id=tenant,
                start=start,
                by=by,
                prices=Prices.load(loaded.prices_file),
                strong_model=build(loaded).model("strong"),
            )

    return run(load())


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ParleyError(user_messages.not_writable(path, error.strerror)) from None
    click.echo(user_messages.written(path), err=True)


COMMANDS = (costs, budget)
