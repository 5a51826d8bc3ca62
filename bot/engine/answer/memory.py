"""Recognizes small talk and statements, recalls a thread's old messages, and remembers what people state in it."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.engine import memory
from bot.engine.answer.attempt_state import Attempt
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.answer.query import Query
from bot.engine.answer.question_context import Attachments
from bot.engine.memory import Remembered
from bot.engine.ports.memory import Memory
from bot.errors import ParleyError, for_operator
from bot.types.conversation import History
from bot.types.turns import Turn
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)


async def understand_statement(context: Context, attempt: Attempt, query: Query, attachments: Attachments) -> Query:
    """Return the query, marked if its message asks nothing: it is small talk, or it only makes statements.

    Statements are stored before they are answered, so that the answer can confirm them.
    """
    if attachments.context:
        return query
    silent = replace(query, needs_search=False, asks_nothing=True)
    if context.memory is not None and (statements := memory.facts_only(attempt.turn.question)):
        await _keep_statements(context.memory, attempt)
        return replace(silent, statements=statements)
    return silent if memory.small_talk(attempt.turn.question) else query


async def recall(context: Context, attempt: Attempt, query: Query, history: History) -> tuple[Remembered, ...]:
    """Return the thread's old messages scored against the query.

    Return none for small talk, or if the prompt shows them all anyway. Unless the query is tenant-wide, answers that
    may rest on the tenant's documents are left out. If the search fails, the trace says so and the answer does without.
    """
    if context.memory is None or query.is_small_talk or memory.fits(history, context.share(HISTORY_SHARE)):
        return ()
    start = context.monotonic()
    try:
        older = await context.memory.older(attempt.turn, query.expanded)
        return tuple(one for one in older if query.tenant_wide or not one.message.tenant_wide)
    except (ParleyError, KnowledgeError) as error:
        log.warning("turn %s: nothing recalled: %s", attempt.turn.id, for_operator(error))
        attempt.journal.events.append(f"old messages could not be searched: {error}")
        return ()
    finally:
        attempt.journal.timings_ms["recall"] = context.since(start)


async def _keep_statements(thread_memory: Memory, attempt: Attempt) -> None:
    """Store the facts that the message states."""
    turn = attempt.turn
    stated = memory.stated(turn.question, turn.author.name, thread_memory.terms)
    try:
        await thread_memory.learn(turn, stated)
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
        log.warning("turn %s: not everything was stored in the thread's memory: %s", turn.id, for_operator(error))
