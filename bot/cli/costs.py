"""The ``parley costs`` command: reports what the models cost and what was saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import json_option, print_json, run, settings, tenant_option
from bot.errors import ParleyError

if TYPE_CHECKING:
    from bot.reports.costs import CostReport

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


COMMANDS = (costs,)
