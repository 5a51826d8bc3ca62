"""After the answer, when nobody waits: the thread's summary takes in what has outgrown the history's budget."""

from __future__ import annotations

import logging

from bot.engine import memory, prompt
from bot.engine.hold import closing, whole
from bot.engine.means import HISTORY_SHARE, Means
from bot.engine.ports import Prompt, Restarted, TextDelta
from bot.engine.run import Run, cache_key_of
from bot.errors import LLMError, OverBudget
from bot.types import Lease, Turn
from knowledge.types import Scope

log = logging.getLogger(__name__)


async def reflect(means: Means, turn: Turn) -> None:
    """Append what has outgrown the history's budget to the thread's summary."""
    store = means.store
    history = await store.history(turn)
    due = memory.to_summarise(history, means.share(HISTORY_SHARE))
    if not due:
        return
    request = prompt.summary(due, history.summary, max_tokens=memory.SUMMARY_TOKENS, cache_key=cache_key_of(turn))
    run = Run(turn, Lease(turn.id, 0), means.monotonic(), Scope(turn.thread.tenant_id))
    try:
        run.reservation = await store.reserve(turn, prompt.size(request, means.count) + request.max_tokens)
        text = await whole_text(means, request, run)
        if text:
            await store.summarise(turn, since=history.summary_upto, summary=text, upto=due[-1].seq)
    except (OverBudget, LLMError) as error:
        log.info("thread of turn %s not summarised: %s", turn.id, error)
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
