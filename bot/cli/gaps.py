"""The ``parley gaps`` command: shows what people ask and the documents do not answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from bot.cli.command_runtime import settings, with_tenant
from bot.cli.options import data_options
from bot.cli.output import print_data

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.reports.gaps import Gap


@click.command()
@click.option("--since", "period", default="7d", show_default=True, metavar="PERIOD", help="How far back: 12h, 7d, 4w.")
@data_options
def gaps(period: str, tenant: str, as_json: bool) -> None:
    """Show what people ask and the documents do not answer, grouped by subject.

    Unanswered questions, answers with a thumb down, and answers from passages that probably did not contain the answer.
    At the end, what is answered, but asked often.
    """
    from datetime import UTC, datetime

    from bot.commands.arguments import start_of

    start, loaded = start_of(period, datetime.now(UTC)), settings()

    async def load(session: AsyncSession) -> list[Gap]:
        from contextlib import aclosing

        from bot.app import build_models
        from bot.reports import gaps as reports

        async with aclosing(build_models(loaded).current) as embedder:

            async def encode(texts: Sequence[str]) -> Any:
                return (await embedder.encode(texts, "query")).vectors

            return await reports.gaps(session, tenant_id=tenant, start=start, encode=encode, model=embedder.model)

    found = with_tenant(tenant, load)
    rows = [(gap.label, gap.times, gap.askers, gap.best_source or "-", "yes" if gap.stale else "no") for gap in found]
    columns = ("about", "times", "askers", "best source", "stale")
    print_data([gap.as_json() for gap in found], columns, rows, as_json=as_json)


COMMANDS = (gaps,)
