"""The ``parley why`` command: prints the trace of one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bot.cli import user_messages
from bot.cli.command_runtime import with_database
from bot.cli.options import data_options
from bot.cli.output import print_json, show_reply
from bot.errors import ParleyError

if TYPE_CHECKING:
    from bot.reports.trace import Trace
    from bot.store.session import Database


@click.command()
@click.argument("turn_id")
@data_options
def why(turn_id: str, tenant: str, as_json: bool) -> None:
    """Show how an answer was made: search, passages, model calls, cost and timings.

    'parley ask --json' prints the TURN_ID of an answer.
    """

    async def load(database: Database) -> Trace | None:
        from bot.reports.trace import trace_of

        async with database.tenant(tenant) as session:
            return await trace_of(session, tenant_id=tenant, turn_id=turn_id)

    trace = with_database(load)
    if trace is None:
        raise ParleyError(user_messages.unknown_answer(turn_id))
    if as_json:
        print_json(trace.as_json())
        return
    from bot.commands.why import reply_of

    show_reply(reply_of(trace, for_operator=True))


COMMANDS = (why,)
