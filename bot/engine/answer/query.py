"""What a question of a thread means, and what is found for it.

The question is searched for with the thread before it at once; where it leans on the thread and a cheap model is there,
the model makes it stand alone meanwhile, so that little time is lost. A model that fails costs nothing but a line in
the trace. Its answer is a query, a yes or no, and a language: whatever old messages tell it, it can do no more.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from bot.engine import memory
from bot.engine.answer import memory as recalling
from bot.engine.answer import prompt
from bot.engine.answer.context import Context
from bot.engine.answer.run import Run, cache_key_of
from bot.engine.ports.rewriter import Rewritten
from bot.errors import LLMError
from bot.types.conversation import History
from knowledge.types import Found

log = logging.getLogger(__name__)


async def search(context: Context, run: Run, history: History) -> Found | None:
    """The passages for the question; None where nothing is to be looked up. Raises knowledge errors."""
    if await _asks_nothing(context, run):
        run.looked_up, run.cache_key = False, None
        return None
    earlier = memory.asked_before(history)
    plain = asyncio.ensure_future(_search(context, run, run.turn.question, earlier))
    try:
        rewritten = await _rewritten(context, run, history)
        if rewritten is None:
            return await plain
        run.query, run.language = rewritten.question, rewritten.language
        if not rewritten.needs_search:
            run.looked_up = False
            run.restarts.append("the model says that nothing is to be looked up for this")
            return None
        if _same(rewritten.question, run.turn.question):
            return await plain
        return max(await _search(context, run, rewritten.question), await plain, key=lambda found: found.confidence)
    finally:
        if not plain.done():
            plain.cancel()
        await asyncio.gather(plain, return_exceptions=True)


async def _asks_nothing(context: Context, run: Run) -> bool:
    """Whether the message tells something, which is kept before the answer says so, or is small talk."""
    if run.beside:
        return False
    if context.memory is not None and (told := memory.only_told(run.turn.question)):
        run.told = told
        await recalling.keep_told(context, run)
        return True
    return memory.is_small_talk(run.turn.question)


async def _search(context: Context, run: Run, question: str, earlier: Sequence[str] = ()) -> Found:
    if run.ahead is not None and question == run.turn.question and not earlier:
        return run.ahead
    return await context.search(question, run.scope, k=context.settings.passages, earlier=earlier)


async def _rewritten(context: Context, run: Run, history: History) -> Rewritten | None:
    """The question made to stand alone; None where it does so already, and where the model does not serve."""
    rewriter = context.rewriter
    if rewriter is None or not history.messages or not memory.leans_on_thread(run.turn.question):
        return None
    request = rewriter.prompt(run.turn.question, history.messages, cache_key=cache_key_of(run.turn))
    need = prompt.size(request, context.count) + request.max_tokens
    if run.reservation is None or any(state.left < 2 * need for state in run.budgets):
        run.restarts.append("the question was not rewritten by a model: too little is left of today's tokens")
        return None
    start = context.monotonic()
    try:
        return await rewriter(request, meter=run.meter)
    except LLMError as error:
        log.info("turn %s: not rewritten: %s", run.turn.id, error)
        run.restarts.append(f"the question was not rewritten by a model ({error.kind})")
        return None
    finally:
        run.timings_ms["rewrite"] = context.since(start)


def _same(one: str, other: str) -> bool:
    return " ".join(one.lower().split()).rstrip("?!. ") == " ".join(other.lower().split()).rstrip("?!. ")
