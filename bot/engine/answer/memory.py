"""Recalls a thread's old messages for a question, and remembers what people state in it."""

from __future__ import annotations

import logging

from bot.engine import memory
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.memory import Remembered
from bot.errors import ParleyError
from bot.types.conversation import History
from bot.types.turns import Turn
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)


async def recall(
    context: Context, attempt: Attempt, query: str, history: History, *, tenant_wide: bool
) -> tuple[Remembered, ...]:
    """Return the thread's old messages scored against ``query``; none if the prompt shows them all anyway.

    Unless ``tenant_wide``, answers that may rest on the tenant's documents are left out. If the search
    fails, the trace says so and the answer does without.
    """
    if context.memory is None or memory.fits(history, context.share(HISTORY_SHARE)):
        return ()
    start = context.monotonic()
    try:
        older = await context.memory.older(attempt.turn, query or attempt.turn.question)
        return tuple(one for one in older if tenant_wide or not one.message.tenant_wide)
    except (ParleyError, KnowledgeError) as error:
        log.warning("turn %s: nothing recalled: %s", attempt.turn.id, error)
        attempt.journal.events.append(f"old messages could not be searched: {error}")
        return ()
    finally:
        attempt.journal.timings_ms["recall"] = context.since(start)


async def keep_statements(context: Context, attempt: Attempt) -> None:
    """Store the facts that the message states before it is answered, so that the answer can confirm them."""
    assert context.memory is not None
    turn = attempt.turn
    stated = memory.stated(turn.question, turn.author.name, context.memory.terms)
    try:
        await context.memory.learn(turn, stated)
    except ParleyError as error:
        log.warning("turn %s: its statements will be stored after the answer: %s", turn.id, error)
        attempt.journal.events.append(f"statements will be stored after the answer: {error}")


async def learn(context: Context, turn: Turn) -> None:
    """After the answer, store the facts that the author stated and make the new messages searchable."""
    if context.memory is None:
        return
    stated = memory.stated(turn.question, turn.author.name, context.memory.terms)
    try:
        await context.memory.learn(turn, stated)
        await context.memory.index(turn)
    except (ParleyError, KnowledgeError) as error:
        log.warning("turn %s: not everything was stored in the thread's memory: %s", turn.id, error)
