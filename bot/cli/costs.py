"""The ``parley costs`` command: reports what the models cost and what was saved."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli import user_messages
from bot.cli.command_runtime import require_tenant, run, settings
from bot.cli.daily_sums import check_daily_sums
from bot.cli.invoice import compare_invoice
from bot.cli.options import data_options
from bot.cli.output import STDOUT, echo, print_data, write_output
from bot.cli.parameter_types import FilePath

if TYPE_CHECKING:
    from bot.reports.costs import CostReport, Dimension

_OUTPUT_FILE = FilePath(dir_okay=False)


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
@click.option(
    "--invoice",
    type=FilePath(exists=True, dir_okay=False),
    help="Compare a usage or cost export (CSV) of Claude Console or OpenAI with the calls, and do nothing else.",
)
@click.option("--check", is_flag=True, help="Compare the daily sums with the single calls, and do nothing else.")
@click.option("--rebuild", is_flag=True, help="Compute every daily sum again, and do nothing else.")
@data_options
def costs(
    period: str,
    by: Any,
    chart: Path | None,
    csv_file: Path | None,
    invoice: Path | None,
    check: bool,
    rebuild: bool,
    tenant: str,
    as_json: bool,
) -> None:
    """Show what the models cost, and what caching and routing saved.

    The file - stands for stdout.
    """
    from bot.commands.costs import csv_text, summary, table_of

    if invoice:
        compare_invoice(invoice, tenant, as_json=as_json)
        return
    if check or rebuild:
        check_daily_sums(tenant, rebuild=rebuild, as_json=as_json)
        return
    if [csv_file, chart, STDOUT if as_json else None].count(STDOUT) > 1:
        raise click.UsageError(user_messages.ONE_THING_ON_STDOUT)
    reports = _reports(period, {by, "day"} if chart else {by}, tenant)
    report = reports[by]
    if csv_file:
        write_output(csv_file, csv_text(report).encode())
    if chart:
        from bot.reports.charts import costs_by_day

        write_output(chart, costs_by_day(reports["day"]))
    if STDOUT in (csv_file, chart):
        return
    if not as_json:
        echo(summary(report))
    table = table_of(report, by)
    print_data(report.as_json(), table.columns, table.rows, as_json=as_json)


def _reports(period: str, dimensions: Collection[Dimension], tenant: str) -> dict[Dimension, CostReport]:
    """Return the report of each dimension, all of the same period. Raises UsageError for an invalid period."""
    loaded = settings()

    async def load() -> dict[Dimension, CostReport]:
        from datetime import UTC, datetime

        from bot.commands.arguments import start_of
        from bot.llm.build import build
        from bot.llm.prices import Prices
        from bot.reports.costs import report
        from bot.store.database_startup import opened_database

        now = datetime.now(UTC)
        start = start_of(period, now)
        prices = Prices.load(loaded.prices_file)
        strong_model = build(loaded, prices=prices).model("strong")
        async with opened_database(loaded) as database:
            await require_tenant(database, tenant)
            async with database.tenant(tenant) as session:
                return {
                    by: await report(
                        session, tenant_id=tenant, start=start, now=now, by=by, prices=prices, strong_model=strong_model
                    )
                    for by in dimensions
                }

    return run(load())


COMMANDS = (costs,)
