"""Summarizes a thread after an answer: messages that no longer fit the history go into the rolling summary.

Facts that people stated in these messages are extracted and stored separately.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.engine import memory, user_messages
from bot.engine.aio import closing, finish_although_cancelled
from bot.engine.answer import prompt, prompt_cache
from bot.engine.answer.accounting import Accounting
from bot.engine.answer.attempt_state import cache_key_of
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.ports.llm import Prompt, Restarted, TextDelta
from bot.errors import LLMError, OverBudget
from bot.types.conversation import Fact, History, PastMessage
from bot.types.turns import Turn

log = logging.getLogger(__name__)

MAX_STEPS = 3
"""Maximum number of summary steps after one answer. Remaining messages are summarized after the next answer."""


async def summarize(context: Context, turn: Turn) -> None:
    """Append messages that no longer fit the history's budget to the thread's summary, in a few steps at most."""
    for step in range(MAX_STEPS):
        if not await _step(context, turn, first=step == 0):
            return


async def _step(context: Context, turn: Turn, *, first: bool) -> bool:
    """Run one summary step. Return whether it succeeded and another step is due."""
    conversation, budgets = context.stores.conversation, context.stores.budgets
    budget = context.share(HISTORY_SHARE)
    history = await conversation.history(turn)
    due = memory.to_summarize(history, budget)
    if not due:
        return False
    request = await _request(context, turn, history, due, cached=first and history.tier == "cheap")
    known = await _known_facts(context, turn)
    asked = context.summarizer.prompt(request, known) if context.summarizer else request
    accounting = Accounting(turn, budgets, context.telemetry)
    try:
        accounting.reservation = await budgets.reserve(turn, prompt.size(asked, context.count) + asked.max_tokens)
        made = await _report(context, accounting, request, asked)
        if not made.summary:
            return False
        quoted = memory.verify_claims(made.claims, due, known, context.memory.terms) if context.memory else ()
        stored = await conversation.summarize(
            turn, since=history.summary_upto, due=due, summary=made.summary, quoted=quoted
        )
        rest = tuple(message for message in history.messages if message.seq > due[-1].seq)
        return stored and bool(memory.to_summarize(replace(history, messages=rest), budget))
    except (OverBudget, LLMError) as error:
        log.info("thread of turn %s not summarized: %s", turn.id, error)
        return False
    finally:
        await finish_although_cancelled(budgets.bill(turn, accounting.calls, accounting.reservation))


async def _request(
    context: Context, turn: Turn, history: History, due: Sequence[PastMessage], *, cached: bool
) -> Prompt:
    """Build the request for the summary of ``due``; ``cached`` if the provider's cache holds its prefix."""
    budget = context.share(HISTORY_SHARE)
    settings = await context.stores.settings.channel_settings(turn.thread)
    longest = int(budget * memory.MESSAGE_SHARE)
    return prompt.summary(
        [memory.shortened(message, longest, context.count) for message in due],
        memory.compose(history, (), int(budget * (1 - memory.RECALL_SHARE)), context.count),
        persona=settings.persona,
        max_tokens=memory.SUMMARY_TOKENS,
        cache_key=cache_key_of(turn.thread),
        life=prompt_cache.life(prompt_cache.pauses(history, turn.created_at)) if cached else None,
    )


async def _known_facts(context: Context, turn: Turn) -> tuple[Fact, ...]:
    """Return the latest facts of the thread that fit the prompt."""
    if context.memory is None or context.summarizer is None:
        return ()
    room = int(context.share(HISTORY_SHARE) * memory.FACT_SHARE)
    return memory.latest(await context.memory.facts(turn), room, context.count)


async def _report(context: Context, accounting: Accounting, request: Prompt, asked: Prompt) -> memory.Report:
    """Ask the model for summary and facts; for the summary alone if it cannot return facts in the required form."""
    if context.summarizer is None:
        return memory.Report(await _complete(context, request, accounting))
    try:
        return await context.summarizer(asked, meter=accounting)
    except LLMError as error:
        if error.kind not in ("schema", "cut"):
            raise
        log.info("turn %s: no facts extracted from the summarized messages: %s", accounting.turn.id, error)
        return memory.Report(await _complete(context, request, accounting))


async def _complete(context: Context, request: Prompt, accounting: Accounting) -> str:
    """Return the model's whole answer to ``request``. Raises LLMError; of kind ``refused`` for words of refusal."""
    text = ""
    async with closing(context.llm.stream(request, meter=accounting)) as events:
        async for event in events:
            if isinstance(event, TextDelta):
                text += event.text
            elif isinstance(event, Restarted):
                text = ""
            elif event.reason == "refused":
                raise LLMError(user_messages.DECLINED, kind="refused")
    return text.strip()
