"""After the answer, when nobody waits: the thread's summary takes in what has outgrown the history's budget, and the
facts that people stated there are kept apart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.engine import memory
from bot.engine.answer import prompt, prompt_cache
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.answer.lease import closing, whole
from bot.engine.answer.run import Run, cache_key_of
from bot.engine.ports.llm import Prompt, Restarted, TextDelta
from bot.errors import LLMError, OverBudget
from bot.types.conversation import Fact, History, PastMessage
from bot.types.turns import Lease, Turn
from knowledge.types import Scope

log = logging.getLogger(__name__)

STEPS = 3
"""Steps of the summary after one answer; what is left waits for the next."""


async def reflect(context: Context, turn: Turn) -> None:
    """Append what has outgrown the history's budget to the thread's summary, in a few steps at most."""
    for step in range(STEPS):
        if not await _step(context, turn, first=step == 0):
            return


async def _step(context: Context, turn: Turn, *, first: bool) -> bool:
    """One step; whether it was taken and another is due."""
    store, budget = context.store, context.share(HISTORY_SHARE)
    history = await store.history(turn)
    due = memory.to_summarize(history, budget)
    if not due:
        return False
    request = await _request(context, turn, history, due, cached=first and history.tier == "cheap")
    known = await _known(context, turn)
    asked = context.summarizer.prompt(request, known) if context.summarizer else request
    run = context.run(turn, Lease(turn.id, 0), Scope(turn.thread.tenant_id))
    try:
        run.reservation = await store.reserve(turn, prompt.size(asked, context.count) + asked.max_tokens)
        made = await _report(context, run, request, asked)
        if not made.summary:
            return False
        quoted = memory.borne_out(made.claims, due, known, context.memory.terms) if context.memory else ()
        taken = await store.summarize(turn, since=history.summary_upto, due=due, summary=made.summary, quoted=quoted)
        rest = tuple(message for message in history.messages if message.seq > due[-1].seq)
        return taken and bool(memory.to_summarize(replace(history, messages=rest), budget))
    except (OverBudget, LLMError) as error:
        log.info("thread of turn %s not summarised: %s", turn.id, error)
        return False
    finally:
        await whole(store.bill(turn, run.calls, run.reservation))


async def _request(
    context: Context, turn: Turn, history: History, due: Sequence[PastMessage], *, cached: bool
) -> Prompt:
    """The request for the summary of the due messages; ``cached`` where the provider's cache holds its prefix."""
    budget = context.share(HISTORY_SHARE)
    settings = await context.store.settings(turn.thread)
    longest = int(budget * memory.MESSAGE_SHARE)
    return prompt.summary(
        [memory.shortened(message, longest, context.count) for message in due],
        memory.compose(history, (), int(budget * (1 - memory.RECALL_SHARE)), context.count),
        persona=settings.persona,
        max_tokens=memory.SUMMARY_TOKENS,
        cache_key=cache_key_of(turn),
        life=prompt_cache.life(prompt_cache.pauses(history, turn.created_at)) if cached else None,
    )


async def _known(context: Context, turn: Turn) -> tuple[Fact, ...]:
    """The latest facts of the thread that there is room to show."""
    if context.memory is None or context.summarizer is None:
        return ()
    room = int(context.share(HISTORY_SHARE) * memory.FACT_SHARE)
    return memory.latest(await context.memory.facts(turn), room, context.count)


async def _report(context: Context, run: Run, request: Prompt, asked: Prompt) -> memory.Report:
    """What the model makes of the messages; the summary alone where it cannot give the facts in the form asked for."""
    if context.summarizer is None:
        return memory.Report(await whole_text(context, request, run))
    try:
        return await context.summarizer(asked, meter=run.meter)
    except LLMError as error:
        if error.kind not in ("schema", "cut"):
            raise
        log.info("turn %s: no facts of the summarised messages: %s", run.turn.id, error)
        return memory.Report(await whole_text(context, request, run))


async def whole_text(context: Context, request: Prompt, run: Run) -> str:
    """The model's answer to ``request`` in one piece, metered by the run."""
    text = ""
    async with closing(context.llm.stream(request, meter=run.meter)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Restarted):
                text = ""
    return text.strip()
