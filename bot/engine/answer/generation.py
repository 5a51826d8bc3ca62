"""Generates an answer: builds the prompt, reserves tokens, streams the model's text, and retries some failures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

from bot.engine import memory, user_messages
from bot.engine.aio import closing
from bot.engine.answer import prompt, prompt_cache, reservation, trimming
from bot.engine.answer.attempt_state import Attempt, cache_key_of
from bot.engine.answer.citations import is_bare, renumber
from bot.engine.answer.context import HISTORY_SHARE, Context
from bot.engine.answer.prompt import SentPrompt
from bot.engine.answer.question_context import Attachments
from bot.engine.answer.retrieval import Evidence
from bot.engine.display.stream import Display
from bot.engine.memory import Remembered
from bot.engine.ports.llm import Ended, Prompt, Restarted
from bot.errors import ContextTooLong, LLMError, Refused
from bot.types.conversation import Fact
from bot.types.turns import TurnRecord
from bot.types.usage import Route
from knowledge.search.passage_compression import compress
from knowledge.types.search_results import Passage

log = logging.getLogger(__name__)

COMPRESSED_SHARE = 0.5
"""The share of the passages' tokens that is kept when they are compressed."""


@dataclass(frozen=True, slots=True)
class Material:
    """The inputs of an answer's prompt."""

    record: TurnRecord
    route: Route
    attachments: Attachments
    evidence: Evidence
    recalled: tuple[Remembered, ...]
    facts: tuple[Fact, ...]


NOTHING_ATTACHED = Attachments()


def material(
    context: Context,
    evidence: Evidence,
    record: TurnRecord,
    route: Route,
    attached: Attachments = NOTHING_ATTACHED,
    recalled: tuple[Remembered, ...] = (),
) -> Material:
    """Return the inputs of the prompt; facts belong to them where the memory is on."""
    return Material(record, route, attached, evidence, recalled, record.facts if context.memory else ())


async def generate(context: Context, attempt: Attempt, material: Material, display: Display) -> None:
    """Stream the answer into the attempt's journal and the display.

    A prompt that proves too long is trimmed once. An answer that is empty, or a bare “Yes.” without a source, is asked
    for again once. The context that a server named is remembered for its model, so that later prompts are trimmed
    before they are sent. Raises Refused, LLMError.
    """
    journal, was_trimmed, was_empty = attempt.journal, False, False
    start = context.monotonic()
    request = _fitted(context, attempt, material, _build(context, attempt, material))
    journal.timings_ms["prompt"] = context.since(start)
    while True:
        request = await _reserved(context, attempt, material, request)
        try:
            ended = await _stream(context, attempt, request, display)
        except ContextTooLong as error:
            if was_trimmed:
                raise
            request, was_trimmed = _trimmed(context, attempt, material, request, error), True
            continue
        if ended.reason == "refused" or was_empty or not (_is_empty(attempt) or _is_bare(attempt)):
            break
        was_empty = True
        if _is_empty(attempt):
            journal.events.append("the model returned nothing")
        else:
            journal.events.append("the model answered with one word and no source")
            request = prompt.hinted(request, prompt.BARE_ANSWER)
    journal.outage = ended.outage
    if journal.sent is not None:
        journal.notes += user_messages.incomplete_files(journal.sent.attached.left_out, journal.sent.attached.shortened)
    if ended.reason == "cut":
        journal.notes.append(user_messages.CUT)
    if ended.reason == "refused":
        journal.notes.append(user_messages.DECLINED)
    if _is_empty(attempt):
        raise Refused(user_messages.DECLINED if ended.reason == "refused" else user_messages.NO_ANSWER)
    if ended.reason == "complete" and _is_bare(attempt):
        raise Refused(user_messages.BARE_ANSWER)


def _is_empty(attempt: Attempt) -> bool:
    return not attempt.journal.text.strip()


def _is_bare(attempt: Attempt) -> bool:
    """Return whether the answer is a bare “Yes.”, “はい。” or the like: nobody could tell what that rests on."""
    sent = attempt.journal.sent
    return sent is not None and is_bare(attempt.journal.text, sent.passages)


async def _reserved(context: Context, attempt: Attempt, material: Material, request: Prompt) -> Prompt:
    """Reserve the prompt's tokens. Return the prompt with the answer's length that is left today, or its own."""
    reserved = await reservation.for_prompt(context, attempt, request, _image_tokens(context, material))
    return prompt.shortened(reserved, min(reserved.max_tokens, request.max_tokens))


def _fitted(context: Context, attempt: Attempt, material: Material, request: Prompt) -> Prompt:
    """Return the prompt, trimmed if it is too long for the context that the model's server named earlier."""
    window = context.windows.get(material.route.model)
    if window is None or window.holds(request, context.count):
        return request
    shorter = _shortened(context, attempt, material, request, window)
    return shorter or _build(context, attempt, material)


def _trimmed(context: Context, attempt: Attempt, material: Material, request: Prompt, error: ContextTooLong) -> Prompt:
    """Return a prompt that fits the model's context. Raises the error again if the question alone does not fit."""
    window = trimming.window_of(request, error, context.count)
    if window is not None:
        context.windows[material.route.model] = window
    shorter = _shortened(context, attempt, material, request, window)
    if shorter is None:
        raise error
    return shorter


def _shortened(
    context: Context, attempt: Attempt, material: Material, request: Prompt, window: trimming.Window | None
) -> Prompt | None:
    """Return a smaller prompt that fits the context; None if the question alone does not fit."""
    attached = material.attachments.context
    trim = trimming.trim(request, window, question=attempt.turn.question, attached=attached, count=context.count)
    shorter = None if trim is None else _build(context, attempt, material, trim)
    if shorter is None or not _is_smaller(context, shorter, request):
        return None
    limit = "" if window is None else f" of {window.tokens:,} tokens"
    log.info(
        "turn %s: its prompt exceeds the context%s of %s and is trimmed", attempt.turn.id, limit, material.route.model
    )
    attempt.journal.events.append(f"the prompt was too long for the model's context{limit} and was trimmed")
    return shorter


def _is_smaller(context: Context, prompt_after: Prompt, before: Prompt) -> bool:
    sizes = [prompt.size(one, context.count) + one.max_tokens for one in (prompt_after, before)]
    return sizes[0] < sizes[1]


def _build(context: Context, attempt: Attempt, material: Material, trim: trimming.Trim | None = None) -> Prompt:
    """Build the prompt within the usual limits or those of ``trim``, and record its contents in the journal."""
    turn, evidence, history = attempt.turn, material.evidence, material.record.history
    budget = context.share(HISTORY_SHARE) if trim is None else trim.history
    past = memory.compose(history, material.recalled, budget, context.count, facts=material.facts)
    passages, attached, answer = evidence.passages, material.attachments.context, context.settings.answer_tokens
    if trim is not None:
        passages = prompt.fitting(passages, trim.passages, context.count)
        attached, answer = trimming.trimmed(attached, trim.attached, context.count), trim.answer
    passages, shown = _compressed(context, evidence.query.expanded, passages)
    terms = context.memory.terms if context.memory else None
    request = prompt.build(
        question=turn.question,
        searched=evidence.query.question,
        carried=evidence.query.carried,
        parts=evidence.parts,
        author=turn.author.name,
        past=past,
        passages=shown,
        tier=material.route.tier,
        max_tokens=answer,
        persona=material.record.settings.persona,
        cache_key=cache_key_of(turn.thread),
        life=prompt_cache.life(prompt_cache.pauses(history, turn.created_at)),
        language=evidence.query.language,
        attached=attached,
        looked_up=evidence.query.needs_search,
        overview=evidence.overview,
        told=evidence.query.statements,
        bearing=memory.relevant_facts(turn.question, material.facts, terms) if terms else (),
        said=memory.earlier_statements(turn.question, (*past.recalled, *past.messages), terms) if terms else (),
    )
    if evidence.low_confidence:
        request = prompt.hinted(request, prompt.LOW_CONFIDENCE)
    attempt.journal.sent = SentPrompt(passages, past, prompt.parts(request, past, context.count), attached)
    return request


def _compressed(
    context: Context, query: str, passages: tuple[Passage, ...]
) -> tuple[tuple[Passage, ...], tuple[Passage, ...]]:
    """Return the original passages, which citations are checked against, and the compressed ones for the model."""
    if not context.settings.compression:
        return passages, passages
    extracts = compress(query, passages, share=COMPRESSED_SHARE, count=context.count)
    shown = tuple(replace(extract.passage, text=extract.text) for extract in extracts)
    return tuple(extract.passage for extract in extracts), shown


def _image_tokens(context: Context, material: Material) -> int:
    reader = context.reader
    if reader is None:
        return 0
    return sum(reader.tokens(image, material.route.model) for image in material.attachments.context.images)


async def _stream(context: Context, attempt: Attempt, request: Prompt, display: Display) -> Ended:
    """Show the text as it arrives. Raises LLMError if the stream ends without its last event."""
    journal = attempt.journal
    journal.text = ""
    count = len(journal.sent.passages) if journal.sent else 0
    async with closing(context.llm.stream(request, meter=attempt.accounting)) as events:
        async for event in events:
            if isinstance(event, Ended):
                return event
            if isinstance(event, Restarted):
                journal.text = ""
                journal.events.append(event.reason)
                continue
            if "ttft" not in journal.timings_ms:
                journal.timings_ms["ttft"] = context.since(attempt.started)
            journal.text += event.text
            display.show(lambda: renumber(journal.text, count))
    raise LLMError("The model's answer is incomplete. Ask again.")
