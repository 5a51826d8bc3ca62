"""The ``parley feedback`` command: lists answers with a thumb down and unanswered questions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_tenant
from bot.cli.options import data_options
from bot.cli.output import echo, print_json, show_reply, write_file
from bot.cli.parameter_types import FilePath

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.commands.base import Reply
    from bot.reports.feedback import Rating


@click.command()
@click.option("--since", "period", default="7d", show_default=True, metavar="PERIOD", help="How far back: 12h, 7d, 4w.")
@click.option("--all", "thumbs_up", is_flag=True, help="List the thumbs up too.")
@click.option(
    "--as-cases",
    "cases_file",
    type=FilePath(dir_okay=False, writable=True),
    help="Write them to this file as cases for 'parley eval answers --cases' (JSONL). Private questions are left out.",
)
@data_options
def feedback(period: str, thumbs_up: bool, cases_file: Path | None, tenant: str, as_json: bool) -> None:
    """List answers with a thumb down, and questions that no document answers.

    'parley why' shows the whole trace of an answer.
    """
    from datetime import UTC, datetime

    from bot.commands.arguments import start_of

    start = start_of(period, datetime.now(UTC))

    async def load(session: AsyncSession) -> list[Rating]:
        from bot.reports.feedback import ratings

        return await ratings(session, tenant_id=tenant, start=start, thumbs_up=thumbs_up)

    async def load_latest(session: AsyncSession) -> Reply:
        from bot.commands.feedback import reply_of

        return await reply_of(session, tenant_id=tenant, start=start, thumbs_up=thumbs_up)

    if cases_file is not None:
        _write_cases(cases_file, tenant, start, as_json=as_json)
    elif as_json:
        print_json([rating.as_json() for rating in with_tenant(tenant, load)])
    else:
        show_reply(with_tenant(tenant, load_latest))


def _write_cases(cases_file: Path, tenant: str, start: datetime, *, as_json: bool) -> None:
    from bot.reports import feedback_cases

    found = with_tenant(tenant, lambda session: feedback_cases.cases(session, tenant_id=tenant, start=start))
    write_file(cases_file, feedback_cases.as_jsonl(found).encode())
    if as_json:
        print_json({"file": str(cases_file), "cases": len(found)})
    else:
        echo(user_messages.wrote_cases(len(found), str(cases_file)))


COMMANDS = (feedback,)
