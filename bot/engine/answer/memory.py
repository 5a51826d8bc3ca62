"""What of the thread's memory belongs to the question: old messages about it, and the facts that people stated."""

from __future__ import annotations

import logging

from bot.engine import memory
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.answer.run import Run
from bot.errors import ParleyError
from bot.types.conversation import History
from bot.types.turns import Turn
from knowledge.errors import KnowledgeError

log = logging.getLogger(__name__)


async def remember(context: Context, run: Run, history: History) -> None:
    """Old messages, where the thread has more of them than are shown anyway. A failure is told in the trace, and the
    answer does without."""
    if context.memory is None or memory.fits(history, context.share(HISTORY_SHARE)):
        return
    start = context.monotonic()
    try:
        run.remembered = tuple(await context.memory.older(run.turn, run.query or run.turn.question))
    except (ParleyError, KnowledgeError) as error:
        log.warning("turn %s: nothing recalled: %s", run.turn.id, error)
        run.restarts.append(f"old messages could not be searched: {error}")
    run.timings_ms["recall"] = context.since(start)


async def keep_told(context: Context, run: Run) -> None:
    """Keep what the message states while it is answered, so that the answer can say that it is kept."""
    assert context.memory is not None
    said = memory.stated(run.turn.question, run.turn.author.name, context.memory.terms)
    try:
        await context.memory.learn(run.turn, said)
    except ParleyError as error:
        log.warning("turn %s: what it tells is kept after the answer: %s", run.turn.id, error)
        run.restarts.append(f"what was told is kept later: {error}")


async def learn(context: Context, turn: Turn) -> None:
    """After the answer: keep what the person stated, and make the new messages searchable."""
    if context.memory is None:
        return
    said = memory.stated(turn.question, turn.author.name, context.memory.terms)
    try:
        await context.memory.learn(turn, said)
        await context.memory.index(turn)
    except (ParleyError, KnowledgeError) as error:
        log.warning("turn %s: not all of it is remembered: %s", turn.id, error)
