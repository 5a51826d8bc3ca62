"""Records calls that answer nobody: those of judges and for digests. They count against no budget but their own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from bot.engine.ports.telemetry import Telemetry
from bot.store.budgets import ledger
from bot.store.database.pipelined_transactions import Statement
from bot.store.database.session import Database
from bot.types.conversation import ThreadKey
from bot.types.usage import Call


async def record(
    database: Database,
    telemetry: Telemetry,
    thread: ThreadKey,
    calls: Sequence[Call],
    *,
    user_id: str,
    day: date,
    turn_id: str | None = None,
    beside: Sequence[Statement] = (),
) -> None:
    """Store and report calls that have ended, with the purpose that they bear. ``user_id`` is who caused them.

    ``beside`` are run in the same transaction: what the calls were made for is stored with their costs or not at all.
    """
    _, statements = ledger.settled(thread, user_id=user_id, turn_id=turn_id, day=day, calls=calls)
    if statements or beside:
        await database.flush(thread.tenant_id, *beside, *statements)
    for call in calls:
        telemetry.call_ended(None, call)
