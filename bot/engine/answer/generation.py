"""The writing of an answer: set tokens aside, stream the model's text, try again where that may help."""

from __future__ import annotations

from dataclasses import replace

from bot.engine import memory, user_messages
from bot.engine.answer import budget, prompt, prompt_cache
from bot.engine.answer.budget import PASSAGE_SHARE
from bot.engine.answer.citations import renumber
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.answer.lease import closing
from bot.engine.answer.run import Run, cache_key_of
from bot.engine.display.stream import Display
from bot.engine.ports.llm import Ended, Prompt, Restarted
from bot.errors import ContextTooLong, LLMError, OverBudget, Refused
from bot.types.conversation import History
from bot.types.settings import ChannelSettings
from knowledge.passage_compression import compress
from knowledge.types import Passage

KEPT_SHARE = 0.5
"""How much of the passages is shown where they are compressed."""


async def write(context: Context, run: Run, display: Display, settings: ChannelSettings, history: History) -> None:
    """Reserve and stream; a prompt that proves too long is halved, an empty answer asked for again, once each."""
    share, empty = 1.0, False
    while True:
        request = _prompt(context, run, settings, history, share)
        request = await _reserve(context, run, request)
        try:
            ended = await _stream(context, run, display, request)
        except ContextTooLong:
            if share < 1.0:
                raise
            share = 0.5
            run.restarts.append("the prompt was too long for the model and was halved")
            continue
        if run.draft.strip() or ended.reason == "refused" or empty:
            break
        empty = True
        run.restarts.append("the model returned nothing")
    if ended.reason == "cut":
        run.notes.append(user_messages.CUT)
    if ended.reason == "refused":
        run.notes.append(user_messages.DECLINED)
    if not run.draft.strip():
        raise Refused(user_messages.DECLINED if ended.reason == "refused" else user_messages.NO_ANSWER)


def _prompt(context: Context, run: Run, settings: ChannelSettings, history: History, share: float) -> Prompt:
    assert run.route is not None
    past = run.past = memory.compose(
        history, run.remembered, int(share * context.share(HISTORY_SHARE)), context.count, facts=run.facts
    )
    run.left_out = past.left_out
    terms = context.memory.terms if context.memory else None
    if share < 1.0:
        run.passages = prompt.fitting(run.passages, int(share * context.share(PASSAGE_SHARE)), context.count)
    request = prompt.build(
        question=run.turn.question,
        searched=run.query,
        author=run.turn.author.name,
        past=past,
        passages=_shown(context, run),
        tier=run.route.tier,
        max_tokens=context.settings.answer_tokens,
        persona=settings.persona,
        cache_key=cache_key_of(run.turn),
        life=prompt_cache.life(prompt_cache.pauses(history, run.turn.created_at)),
        language=run.language,
        beside=run.beside,
        looked_up=run.looked_up,
        told=run.told,
        bearing=memory.about(run.turn.question, run.facts, terms) if terms else (),
        said=memory.said_before(run.turn.question, (*past.recalled, *past.messages), terms) if terms else (),
    )
    if run.weak:
        request = prompt.hinted(request, prompt.WEAK)
    run.parts = prompt.parts(request, past, context.count)
    return request


def _shown(context: Context, run: Run) -> tuple[Passage, ...]:
    """The passages as the model reads them. Citations are checked against the originals, which keep their numbers."""
    if not context.settings.compression:
        return run.passages
    extracts = compress(run.query, run.passages, share=KEPT_SHARE, count=context.count)
    run.passages = tuple(extract.passage for extract in extracts)
    return tuple(replace(extract.passage, text=extract.text) for extract in extracts)


async def _reserve(context: Context, run: Run, request: Prompt) -> Prompt:
    """Set aside what the prompt and its answer may take; a shorter answer where little is left of the day.

    What was set aside when the question was accepted is given back, as far as it is not needed, with the call itself.
    """
    if run.answer_tokens:
        return prompt.shortened(request, run.answer_tokens)
    run.prompt_tokens = prompt.size(request, context.count) + _seen(context, run)
    run.spent_before = sum(call.usage.total_tokens for call in run.calls)
    held = run.reservation
    if held is not None and run.prompt_tokens + run.spent_before + request.max_tokens <= held.tokens:
        run.answer_tokens = request.max_tokens
        return request
    try:
        await _fit(context, run, request)
    except OverBudget as spent:
        raise Refused(user_messages.over_budget(spent, context.clock())) from None
    return prompt.shortened(request, run.answer_tokens)


async def _fit(context: Context, run: Run, request: Prompt) -> None:
    """Set more aside, or for the first time, by what is left of the day now. Raises OverBudget."""
    turn, store, held = run.turn, context.store, run.reservation
    states = await store.budgets(turn.thread.tenant_id, turn.thread.channel_id, turn.author)
    run.budgets = tuple(budget.without(state, held) for state in states)
    if budget.is_close(run.budgets, run.prompt_tokens + run.spent_before, request.max_tokens):
        run.prompt_tokens = await context.llm.count(request) or run.prompt_tokens
    need = run.prompt_tokens + run.spent_before
    run.answer_tokens = budget.answer_tokens(run.budgets, need, request.max_tokens)
    wanted = need + run.answer_tokens
    run.reservation = await (store.reserve(turn, wanted) if held is None else store.change(turn, held, wanted))


def _seen(context: Context, run: Run) -> int:
    """Tokens of the images."""
    if context.reader is None or run.route is None:
        return 0
    return sum(context.reader.tokens(image, run.route.model) for image in run.beside.images)


async def _stream(context: Context, run: Run, display: Display, request: Prompt) -> Ended:
    """Show the text as it comes. Raises LLMError where the stream ends without its terminal event."""
    run.draft = ""
    async with closing(context.llm.stream(request, meter=run.meter)) as events:
        async for event in events:
            if isinstance(event, Ended):
                return event
            if isinstance(event, Restarted):
                run.draft = ""
                run.restarts.append(event.reason)
                continue
            if "ttft" not in run.timings_ms:
                run.timings_ms["ttft"] = context.since(run.started)
            run.draft += event.text
            display.show(lambda: renumber(run.draft, len(run.passages)))
    raise LLMError("The model's answer broke off before its end; ask again.")
