"""``costs`` and ``budget``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.command_runtime import json_option, print_json, run, settings, tenant_option
from bot.errors import ParleyError, UsageError

if TYPE_CHECKING:
    from bot.config import Settings
    from bot.engine.ports.stores import Stores
    from bot.reports.costs import CostReport
    from bot.store.session import Database


@click.command()
@click.option("--since", "period", default="30d", show_default=True, help="12h, 30d, 4w.")
@click.option("--by", type=click.Choice(["user", "channel", "model", "purpose", "day"]), default="user")
@click.option("--chart", type=click.Path(dir_okay=False, path_type=Path), help="Write a PNG chart of the days.")
@click.option("--csv", "csv_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the rows as CSV.")
@tenant_option
@json_option
def costs(period: str, by: Any, chart: Path | None, csv_file: Path | None, tenant: str, as_json: bool) -> None:
    """Show what the models cost."""
    from bot.commands.costs import csv_text, summary, table_of

    made = _report(period, by, tenant)
    if csv_file:
        _write(csv_file, csv_text(made).encode())
    if chart:
        from bot.reports.charts import costs_by_day

        _write(chart, costs_by_day(_report(period, "day", tenant)))
    if as_json:
        print_json(made.as_json())
        return
    from bot.cli.output import show_table

    click.echo(summary(made))
    table = table_of(made, by)
    show_table(table.columns, table.rows)


@click.group()
def budget() -> None:
    """Show or set daily token budgets."""


@budget.command()
@click.argument("subject", default="you")
@tenant_option
@json_option
def show(subject: str, tenant: str, as_json: bool) -> None:
    """Show the day of SUBJECT: a person's id, channel:ID or tenant; * shows the limits that were set."""
    from bot.commands.budget import subject_of

    made, who = settings(), subject_of(subject)

    async def shown() -> dict[str, Any]:
        from bot.app import opened_database, opened_stores

        async with opened_database(made) as database:
            if who == "*":
                return await _limits(database, made, tenant)
            return await _day(opened_stores(database, made), tenant, who)

    document = run(shown())
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        click.echo(f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value if value else 'none'}")


async def _limits(database: Database, made: Settings, tenant: str) -> dict[str, Any]:
    from bot.store import budgets

    async with database.tenant(tenant) as session:
        limits = await budgets.list_limits(session, tenant_id=tenant)
    return {
        "default": made.daily_tokens or None,
        "channel_default": made.channel_daily_tokens or None,
        "tenant_default": made.tenant_daily_tokens or None,
        "limits": {subject: _limit(tokens) for subject, tokens in limits},
    }


async def _day(stores: Stores, tenant: str, subject: str) -> dict[str, Any]:
    """A limit of None is no limit."""
    from bot.types.conversation import Author

    kind, _, name = subject.partition(":")
    if kind == "user":
        state = await stores.budgets.budget(tenant, name)
    elif kind in ("channel", "tenant"):
        _, channel, whole = await stores.budgets.budgets(tenant, name, Author("terminal", "terminal"))
        state = channel if kind == "channel" else whole
    else:
        raise UsageError("A role has no day of its own; show a person, channel:ID, tenant, or * for every limit.")
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
    """Give SUBJECT a limit of TOKENS a day.

    SUBJECT is a person's id, channel:ID, role:admin, role:member, * for every person without a limit of their own,
    channel:* for every such channel, or tenant. TOKENS is a number, unlimited, or default.
    """
    from bot.commands.budget import set_in_words, subject_of, tokens_of

    daily, who, made = tokens_of(tokens), subject_of(subject), settings()

    async def stored() -> None:
        from bot.app import opened_database
        from bot.store import budgets

        async with opened_database(made) as database, database.tenant(tenant) as session:
            if daily is None:
                await budgets.remove_limit(session, tenant_id=tenant, subject=who)
            else:
                await budgets.set_limit(session, tenant_id=tenant, subject=who, daily_tokens=daily, set_by="terminal")

    run(stored())
    if as_json:
        print_json({"subject": subject, "limit": None if daily is None else _limit(daily)})
        return
    click.echo(set_in_words(who, daily))


def _report(period: str, by: Any, tenant: str) -> CostReport:
    made = settings()

    async def reported() -> CostReport:
        from datetime import UTC, datetime

        from bot.app import opened_database
        from bot.commands.arguments import start_of
        from bot.llm.build import build
        from bot.llm.prices import Prices
        from bot.reports.costs import report

        start = start_of(period, datetime.now(UTC))
        async with opened_database(made) as database, database.tenant(tenant) as session:
            return await report(
                session,
                tenant_id=tenant,
                start=start,
                by=by,
                prices=Prices.load(made.prices_file),
                strong_model=build(made).model("strong"),
            )

    return run(reported())


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ParleyError(f"{path} cannot be written ({error.strerror}). Choose another file.") from None
    click.echo(f"Written to {path}", err=True)


COMMANDS = (costs, budget)
