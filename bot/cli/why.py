"""The ``parley why`` command: prints the trace of one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_tenant
from bot.cli.options import data_options
from bot.cli.output import print_json, show_reply
from bot.cli.parameter_types import Identifier
from bot.errors import ParleyError

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from bot.reports.trace import Trace


@click.command()
@click.argument("turn_id", type=Identifier())
@data_options
def why(turn_id: str, tenant: str, as_json: bool) -> None:
    """Show how an answer was made: search, passages, model calls, cost and timings.

    'parley ask --json' prints the TURN_ID of an answer.
    """

    async def load(session: AsyncSession) -> Trace | None:
        from bot.reports.trace import trace_of

        return await trace_of(session, tenant_id=tenant, turn_id=turn_id)

    trace = with_tenant(tenant, load)
    if trace is None:
        raise ParleyError(user_messages.unknown_answer(turn_id))
    if as_json:
        print_json(trace.as_json())
        return
    from bot.commands.why import reply_of

    show_reply(reply_of(trace, for_operator=True))


COMMANDS = (why,)
