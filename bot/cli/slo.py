"""The ``parley slo`` command: shows whether answers are as fast as they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_tenant
from bot.cli.options import data_options
from bot.cli.output import echo, print_data

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.reports.slo import Objectives


@click.command()
@click.option("--since", "period", default="7d", show_default=True, metavar="PERIOD", help="How far back: 12h, 7d, 4w.")
@data_options
def slo(period: str, tenant: str, as_json: bool) -> None:
    """Show how fast answers are, against the objectives, and where the time goes.

    'parley why' shows the trace of a slow answer.
    """
    from datetime import UTC, datetime

    from bot.commands.arguments import start_of

    start = start_of(period, datetime.now(UTC))

    async def load(session: AsyncSession) -> Objectives:
        from bot.reports.slo import objectives

        return await objectives(session, tenant_id=tenant, start=start)

    found = with_tenant(tenant, load)
    rows = [
        (name, target, _shown(spread.p50), _shown(spread.p95), _met(ok)) for name, target, spread, ok in found.rows()
    ]
    print_data(found.as_json(), ("objective", "target ms", "p50", "p95", "met"), rows, as_json=as_json)
    if not as_json:
        echo(user_messages.time_spent({name: part.p50 for name, part in found.parts.items()}, found.answers))
        echo(user_messages.slowest_answers(found.worst))


def _shown(value: float | None) -> float | str:
    return "-" if value is None else value


def _met(ok: bool | None) -> str:
    return "-" if ok is None else "yes" if ok else "no"


COMMANDS = (slo,)
