"""The writing of an answer: set tokens aside, stream the model's text, try again where that may help."""

from __future__ import annotations

from dataclasses import replace

from bot.engine import budget, memory, prefix, prompt, words
from bot.engine.budget import PASSAGE_SHARE
from bot.engine.citations import renumber
from bot.engine.hold import closing
from bot.engine.means import HISTORY_SHARE, Means
from bot.engine.ports import Ended, Prompt, Restarted
from bot.engine.run import Run, cache_key_of
from bot.engine.stream import Display
from bot.errors import ContextTooLong, LLMError, OverBudget, Refused
from bot.types import ChannelSettings, History
from knowledge.compress import compress
from knowledge.types import Passage

KEPT_SHARE = 0.5
"""How much of the passages is shown where they are compressed."""


async def write(means: Means, run: Run, display: Display, settings: ChannelSettings, history: History) -> None:
    """Reserve and stream; a prompt that proves too long is halved, an empty answer asked for again, once each."""
    share, empty = 1.0, False
    while True:
        request = _prompt(means, run, settings, history, share)
        request = await _reserve(means, run, request)
        try:
            ended = await _stream(means, run, display, request)
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
        run.notes.append(words.CUT)
    if ended.reason == "refused":
        run.notes.append(words.DECLINED)
    if not run.draft.strip():
        raise Refused(words.DECLINED if ended.reason == "refused" else words.NO_ANSWER)


def _prompt(means: Means, run: Run, settings: ChannelSettings, history: History, share: float) -> Prompt:
    assert run.route is not None
    past = run.past = memory.compose(
        history, run.remembered, int(share * means.share(HISTORY_SHARE)), means.count, facts=run.facts
    )
    run.left_out = past.left_out
    terms = means.memory.terms if means.memory else None
    if share < 1.0:
        run.passages = prompt.fitting(run.passages, int(share * means.share(PASSAGE_SHARE)), means.count)
    request = prompt.build(
        question=run.turn.question,
        searched=run.query,
        author=run.turn.author.name,
        past=past,
        passages=_shown(means, run),
        tier=run.route.tier,
        max_tokens=means.settings.answer_tokens,
        persona=settings.persona,
        cache_key=cache_key_of(run.turn),
        life=prefix.life(prefix.pauses(history, run.turn.created_at)),
        language=run.language,
        beside=run.beside,
        looked_up=run.looked_up,
        told=run.told,
        bearing=memory.about(run.turn.question, run.facts, terms) if terms else (),
        said=memory.said_before(run.turn.question, (*past.recalled, *past.messages), terms) if terms else (),
    )
    if run.weak:
        request = prompt.hinted(request, prompt.WEAK)
    run.parts = prompt.parts(request, past, means.count)
    return request


def _shown(means: Means, run: Run) -> tuple[Passage, ...]:
    """The passages as the model reads them. Citations are checked against the originals, which keep their numbers."""
    if not means.settings.compression:
        return run.passages
    extracts = compress(run.query, run.passages, share=KEPT_SHARE, count=means.count)
    run.passages = tuple(extract.passage for extract in extracts)
    return tuple(replace(extract.passage, text=extract.text) for extract in extracts)


async def _reserve(means: Means, run: Run, request: Prompt) -> Prompt:
    """Set aside what the prompt and its answer may take; a shorter answer where little is left of the day.

    What was set aside when the question was accepted is given back, as far as it is not needed, with the call itself.
    """
    if run.answer_tokens:
        return prompt.shortened(request, run.answer_tokens)
    run.prompt_tokens = prompt.size(request, means.count) + _seen(means, run)
    run.spent_before = sum(call.usage.total_tokens for call in run.calls)
    held = run.reservation
    if held is not None and run.prompt_tokens + run.spent_before + request.max_tokens <= held.tokens:
        run.answer_tokens = request.max_tokens
        return request
    try:
        await _fit(means, run, request)
    except OverBudget as spent:
        raise Refused(words.over_budget(spent, means.clock())) from None
    return prompt.shortened(request, run.answer_tokens)


async def _fit(means: Means, run: Run, request: Prompt) -> None:
    """Set more aside, or for the first time, by what is left of the day now. Raises OverBudget."""
    turn, store, held = run.turn, means.store, run.reservation
    states = await store.budgets(turn.thread.tenant_id, turn.thread.channel_id, turn.author)
    run.budgets = tuple(budget.without(state, held) for state in states)
    if budget.is_close(run.budgets, run.prompt_tokens + run.spent_before, request.max_tokens):
        run.prompt_tokens = await means.llm.count(request) or run.prompt_tokens
    need = run.prompt_tokens + run.spent_before
    run.answer_tokens = budget.answer_tokens(run.budgets, need, request.max_tokens)
    wanted = need + run.answer_tokens
    run.reservation = await (store.reserve(turn, wanted) if held is None else store.change(turn, held, wanted))


def _seen(means: Means, run: Run) -> int:
    """Tokens of the images."""
    if means.reader is None or run.route is None:
        return 0
    return sum(means.reader.tokens(image, run.route.model) for image in run.beside.images)


async def _stream(means: Means, run: Run, display: Display, request: Prompt) -> Ended:
    """Show the text as it comes. Raises LLMError where the stream ends without its terminal event."""
    run.draft = ""
    async with closing(means.llm.stream(request, meter=run.meter)) as events:
        async for event in events:
            if isinstance(event, Ended):
                return event
            if isinstance(event, Restarted):
                run.draft = ""
                run.restarts.append(event.reason)
                continue
            if "ttft" not in run.timings_ms:
                run.timings_ms["ttft"] = means.since(run.started)
            run.draft += event.text
            display.show(lambda: renumber(run.draft, len(run.passages)))
    raise LLMError("The model's answer broke off before its end; ask again.")
