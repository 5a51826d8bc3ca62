"""After the answer, when nobody waits: the thread's summary takes in what has outgrown the history's budget."""

from __future__ import annotations

import logging
from dataclasses import replace

from bot.engine import memory, prompt
from bot.engine.hold import closing, whole
from bot.engine.means import HISTORY_SHARE, Means
from bot.engine.ports import Prompt, Restarted, TextDelta
from bot.engine.run import Run, cache_key_of
from bot.errors import LLMError, OverBudget
from bot.types import Lease, Turn
from knowledge.types import Scope

log = logging.getLogger(__name__)

STEPS = 3
"""Steps of the summary after one answer; what is left waits for the next."""


async def reflect(means: Means, turn: Turn) -> None:
    """Append what has outgrown the history's budget to the thread's summary, in a few steps at most."""
    for _ in range(STEPS):
        if not await _step(means, turn):
            return


async def _step(means: Means, turn: Turn) -> bool:
    """One step; whether it was taken and another is due."""
    store, budget = means.store, means.share(HISTORY_SHARE)
    history = await store.history(turn)
    due = memory.to_summarise(history, budget)
    if not due:
        return False
    settings = await store.settings(turn.thread)
    longest = int(budget * memory.MESSAGE_SHARE)
    request = prompt.summary(
        [memory.shortened(message, longest, means.count) for message in due],
        memory.compose(history, (), int(budget * (1 - memory.RECALL_SHARE)), means.count),
        persona=settings.persona,
        max_tokens=memory.SUMMARY_TOKENS,
        cache_key=cache_key_of(turn),
    )
    run = means.run(turn, Lease(turn.id, 0), Scope(turn.thread.tenant_id))
    try:
        run.reservation = await store.reserve(turn, prompt.size(request, means.count) + request.max_tokens)
        text = await whole_text(means, request, run)
        if not text:
            return False
        taken = await store.summarise(turn, since=history.summary_upto, summary=text, upto=due[-1].seq)
        rest = tuple(message for message in history.messages if message.seq > due[-1].seq)
        return taken and bool(memory.to_summarise(replace(history, messages=rest), budget))
    except (OverBudget, LLMError) as error:
        log.info("thread of turn %s not summarised: %s", turn.id, error)
        return False
    finally:
        await whole(store.bill(turn, run.calls, run.reservation))


async def whole_text(means: Means, request: Prompt, run: Run) -> str:
    """The model's answer to ``request`` in one piece, metered by the run."""
    text = ""
    async with closing(means.llm.stream(request, meter=run.meter)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Restarted):
                text = ""
    return text.strip()
