"""The ``parley feedback`` command: lists answers with a thumb down and unanswered questions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bot.cli.command_runtime import with_tenant
from bot.cli.options import data_options
from bot.cli.output import print_json, show_reply

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.commands.base import Reply
    from bot.reports.feedback import Rating


@click.command()
@click.option("--since", "period", default="7d", show_default=True, metavar="PERIOD", help="How far back: 12h, 7d, 4w.")
@click.option("--all", "thumbs_up", is_flag=True, help="List the thumbs up too.")
@data_options
def feedback(period: str, thumbs_up: bool, tenant: str, as_json: bool) -> None:
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

    if as_json:
        print_json([rating.as_json() for rating in with_tenant(tenant, load)])
    else:
        show_reply(with_tenant(tenant, load_latest))


COMMANDS = (feedback,)
